# mqmail - one Makefile, which includes */module.mk
#
# make help lists the targets.
#
# Objects and programs go to build/VARIANT.  The rules run there (VPATH finds
# the sources), so module.mk files name paths relative to the root.

comma := ,
SANITIZE ?=
VARIANT := $(if $(SANITIZE),$(subst $(comma),-,$(SANITIZE)),plain)
PREFIX ?= /usr

ifndef SRC

SRC := $(CURDIR)
BUILD := build/$(VARIANT)
JOBS := $(shell nproc)
export SANITIZE

# Goals one after the other: two makes in one build folder would race.  Each
# of them still runs its own recipes in parallel.
.NOTPARALLEL:
.PHONY: all units libs help check check-fresh crash bench fuzz format \
    install demo demo-stop cluster-demo check-cluster clean packages
all units libs install:
	@mkdir -p $(BUILD)
	@+$(MAKE) --no-print-directory -C $(BUILD) -f $(SRC)/Makefile \
	    SRC=$(SRC) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) $@

help:
	@echo "make              all programs, in build/plain/bin"
	@echo "make units        the unit tests' programs, in build/plain/tests/unit"
	@echo "make check        unit and integration tests; some of them:"
	@echo "                    make check T='test_queue_add test_55_*'"
	@echo "                    make check DIR=queue"
	@echo "make check-fresh  the same in a root folder where nothing of ours is"
	@echo "make check-cluster all tests of clusters, also the long ones; as root"
	@echo "make crash        kills processes under load, at length"
	@echo "make bench        measures beside other servers; less of it:"
	@echo "                    make bench BENCH=quick"
	@echo "                    make bench BENCH='quick mqmail part1 kept'"
	@echo "make fuzz         runs the fuzzers"
	@echo "make demo         a node in ./demo-node, until make demo-stop"
	@echo "make cluster-demo three nodes in ./demo-cluster, until make demo-stop; as root"
	@echo "make install      DESTDIR= PREFIX=/usr"
	@echo "make packages     installs what building needs"
	@echo "make libs         the folders' libraries alone"
	@echo "make format       clang-format on all sources"
	@echo "make clean        removes build/"
	@echo "SANITIZE=address,undefined (or thread): another build and its tests"

packages:
	@tests/packages

check:
	@tests/packages check
	@+$(MAKE) -j$(JOBS) --no-print-directory all units
	@tests/run-check $(BUILD) $(T) $(DIR)

check-fresh:
	@tests/packages check
	@tests/fresh $(if $(T),T="$(T)") $(if $(DIR),DIR="$(DIR)") \
	    $(if $(SANITIZE),SANITIZE=$(SANITIZE))

# Also what make check leaves out, as it takes minutes of waiting.
check-cluster:
	@tests/packages check
	@+$(MAKE) -j$(JOBS) --no-print-directory all
	@MQMAIL_TEST_ALL=1 tests/run-check $(BUILD) \
	    $(or $(T),'test_9*_cluster*')

crash: packages
	@+$(MAKE) -j$(JOBS) --no-print-directory all
	@tests/run-crash $(BUILD)

# Yardsticks to measure beside our own, where they are.
BENCH_SHARED ?= $(firstword $(wildcard ../shared/bench ../../shared/bench))
BENCH_YARDSTICK ?= $(wildcard $(BENCH_SHARED)/limit.c \
    $(BENCH_SHARED)/journal.c)

bench:
	@tests/packages bench
	@+$(MAKE) -j$(JOBS) --no-print-directory all
	@tests/bench/bench $(BUILD) $(BENCH) $(BENCH_YARDSTICK:%=--yardstick %)

fuzz:
	@tests/packages fuzz
	@tests/fuzz/run

demo: packages
	@+$(MAKE) -j$(JOBS) --no-print-directory all
	@tests/demo start $(BUILD)

cluster-demo:
	@tests/packages check
	@+$(MAKE) -j$(JOBS) --no-print-directory all
	@tests/cluster-demo start $(BUILD)

demo-stop:
	@tests/demo stop $(BUILD)
	@tests/cluster-demo stop $(BUILD)

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build

else

CC := gcc
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
    -Wcast-qual -Wwrite-strings -Wformat=2 -Wvla
HARDEN := -fstack-protector-strong -fPIE
LDHARDEN := -pie -Wl,-z,relro,-z,now
OPTIMIZE := -O2 -g
ifneq ($(SANITIZE),)
SANITIZER := -fsanitize=$(SANITIZE) -fno-omit-frame-pointer
OPTIMIZE := -O1 -g
else
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
endif
CFLAGS += -std=gnu17 -pthread $(OPTIMIZE) $(WARNINGS) $(HARDEN) $(SANITIZER)
CPPFLAGS += -D_GNU_SOURCE -I$(SRC) -include $(SRC)/base/banned.h \
    -DPREFIX='"$(PREFIX)"' -MMD -MP
LDFLAGS += -pthread $(LDHARDEN) $(SANITIZER)

VPATH := $(SRC)
PROGS :=
LIBS :=
UNITS :=
MANS :=
BUILT_MANS :=
include $(sort $(patsubst $(SRC)/%,$(SRC)/%,$(wildcard $(SRC)/*/module.mk)))
include $(SRC)/tests/unit/unit.mk

.PHONY: all units libs install
# The recipe keeps make from saying that there is nothing to be done.
all: $(addprefix bin/,$(notdir $(PROGS))) $(BUILT_MANS)
	@:
units: $(UNITS)
	@:
libs: $(LIBS)
	@:

%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $*.c"
	@$(CC) $(CFLAGS) $(CPPFLAGS) $(UNIT_FLAGS) -c -o $@ $<

# A list that names other objects makes another library.
$(foreach lib,$(LIBS),$(eval $(lib): $(SRC)/$(dir $(lib))module.mk))
$(LIBS):
	@echo "  AR    $@"
	@rm -f $@ && ar rcs $@ $(filter %.o,$^)

$(PROGS) $(UNIT_PROGS):
	@mkdir -p $(@D)
	@echo "  LD    $@"
	@$(UNIT_CHECK)
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LDLIBS) \
	    $(foreach lib,$(filter %.a,$^),$($(lib)_LDLIBS))

# One folder with every program: programs find each other beside themselves.
define bin_rule
bin/$(notdir $(1)): $(1)
	@mkdir -p bin
	@ln -f $$< $$@
endef
$(foreach prog,$(PROGS),$(eval $(call bin_rule,$(prog))))

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man8 \
	    $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 755 $(addprefix bin/,$(notdir $(PROGS))) \
	    $(DESTDIR)$(PREFIX)/sbin
	install -m 644 $(addprefix $(SRC)/,$(filter %.8,$(MANS))) \
	    $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 $(addprefix $(SRC)/,$(filter %.5,$(MANS))) $(BUILT_MANS) \
	    $(DESTDIR)$(PREFIX)/share/man/man5

-include $(shell find . -name '*.d' -type f -not -path './bench-*')

endif
