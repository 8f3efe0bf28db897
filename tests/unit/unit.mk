# Unit tests.  Each tests/unit/test_NAME.c has the tests of one source file, which
# its first lines name, and a main() of its own.  All files of one folder are
# one program, tests/unit/FOLDER: the compiler gives each main() the name of its
# file, and tests/unit/run.c calls the one that is asked for, in a process of
# its own.  tests/unit/test_NAME is a link to that program, which so knows what
# to run.
#
# These have programs of their own: they take the place of a call of libc or of
# the product (fsync, time, intake_find), which the others need as it is.  The
# linking of a folder fails for a file that does so and is not here.
UNIT_ALONE := test_commit test_commit_journal test_journal_power_cut \
    test_keep_step test_log test_maildir_batch test_maildir_cache test_router \
    test_scanner test_send_body test_send_client test_send_stranger \
    test_vdeliver_quota

# The libraries are in link order, each needs those behind it alone; --as-needed
# leaves out the unused.
UNIT_FOLDERS := svctool adminsrv cluster pop3 smtp remote delivery queue mailbox auth lookupd resolver control base
UNIT_LIBS := svctool/libsvctool.a adminsrv/libadminsrv.a adminsrv/libadmin.a cluster/libcluster.a \
    pop3/libpop3.a smtp/libsmtp.a \
    remote/libremote.a delivery/libdelivery.a queue/libqueue.a mailbox/libmailbox.a \
    auth/libauth.a lookupd/libpgstore.a lookupd/liblookupd.a \
    resolver/libresolver.a control/libcontrol.a base/libbase.a
# Of the tests' own code: half the time of -O2 to compile.
UNIT_OPTIMIZE := -Og
UNIT_LDLIBS := -lcmocka -lssl -lcrypto -lcdb -lcrypt -lgsasl -ljansson -lz

# FOLDER:test_NAME of all, and of those that T and DIR choose, as in make check.
UNIT_ALL := $(shell $(SRC)/tests/run-check --units)
UNIT_CHOSEN := $(if $(T)$(DIR),$(shell $(SRC)/tests/run-check --units \
    $(T) $(DIR)),$(UNIT_ALL))
UNITS := $(foreach unit,$(UNIT_CHOSEN),tests/unit/$(lastword $(subst :, ,$(unit))))
UNIT_PROGS :=

# The tests of these make what they need with the code of a folder above.
unit_top_adminsrv := svctool
unit_top_lookupd := adminsrv
unit_top_auth := adminsrv

# The libraries of folder $(1) and of those below it.
unit_libs = $(if $(filter $(1)/%,$(firstword $(2))),$(2),$(if $(2),$(call \
    unit_libs,$(1),$(wordlist 2,$(words $(2)),$(2)))))

# Nothing but its main() is global in a file of tests: what takes the place of
# another function would do so for all.
unit_check = nm -A -g --defined-only $(1) | grep -v ' test_[a-z_0-9]*_main$$' | \
    awk '{ print $$1 " " $$3 ": make it static, or see UNIT_ALONE" } END { exit NR > 0 }'

# Folder $(1), whose files are $(2).  The list changes only when they do.
define unit_folder
UNIT_PROGS += tests/unit/$(1)
tests/unit/$(1): tests/unit/run_$(1).o $(2:%=tests/unit/%.o) \
    $(call unit_libs,$(or $(unit_top_$(1)),$(1)),$(UNIT_LIBS))
tests/unit/$(1): UNIT_CHECK = $$(call unit_check,$(2:%=tests/unit/%.o))
$(2:%=tests/unit/%.o): UNIT_FLAGS = $(UNIT_OPTIMIZE) -Dmain=$$(notdir $$*)_main \
    -include $(SRC)/tests/unit/entry.h
tests/unit/run_$(1).o: tests/unit/run.c tests/unit/run_$(1).list
	@echo "  CC    $$<"
	@$$(CC) $$(CFLAGS) $$(CPPFLAGS) -DUNIT_LIST='"run_$(1).list"' \
	    -Itests/unit -c -o $$@ $$<
tests/unit/run_$(1).list: UNIT_NAMES := $(2)
$(2:%=tests/unit/%): tests/unit/$(1)
	@ln -sf $(1) $$@
endef
unit_names = $(filter-out $(UNIT_ALONE),$(patsubst $(1):%,%,$(filter $(1):%,$(UNIT_ALL))))
$(foreach folder,$(UNIT_FOLDERS),$(eval $(call unit_folder,$(folder),$(call unit_names,$(folder)))))
$(foreach unit,$(UNIT_ALONE),$(eval tests/unit/$(unit): tests/unit/$(unit).o $(UNIT_LIBS)))
UNIT_PROGS += $(UNIT_ALONE:%=tests/unit/%)
$(UNIT_ALONE:%=tests/unit/%.o): UNIT_FLAGS = $(UNIT_OPTIMIZE)
$(UNIT_PROGS): LDLIBS += $(UNIT_LDLIBS)

.PHONY: unit-lists
unit-lists:
tests/unit/run_%.list: unit-lists
	@mkdir -p $(@D)
	@printf 'UNIT(%s)\n' $(UNIT_NAMES) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
