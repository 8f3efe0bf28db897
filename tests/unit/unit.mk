# Unit tests: each tests/unit/test_NAME.c is one program with one source file's
# tests.  The libraries are in link order; --as-needed leaves out the unused.
UNIT_LIBS := svctool/libsvctool.a adminsrv/libadmin.a smtp/libsmtp.a delivery/libdelivery.a queue/libqueue.a \
    mailbox/libmailbox.a lookupd/liblookupd.a control/libcontrol.a \
    base/libbase.a
# T and DIR choose some of them, as in make check.
UNITS := $(addprefix tests/unit/,$(shell $(SRC)/tests/run-check --units \
    $(T) $(DIR)))
$(foreach unit,$(UNITS),$(eval $(unit): $(unit).o $(filter $(LIBS),$(UNIT_LIBS))))
$(UNITS): LDLIBS += -lcmocka -lssl -lcrypto -lcdb -lcrypt -ljansson -lz
