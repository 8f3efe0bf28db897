# Unit tests: each tests/unit/test_NAME.c is one program with one source file's
# tests.  The libraries are in link order; --as-needed leaves out the unused.
UNIT_LIBS := svctool/libsvctool.a adminsrv/libadmin.a smtp/libsmtp.a delivery/libdelivery.a queue/libqueue.a \
    mailbox/libmailbox.a lookupd/liblookupd.a control/libcontrol.a \
    base/libbase.a
UNITS := $(patsubst $(SRC)/%.c,%,$(wildcard $(SRC)/tests/unit/test_*.c))
$(foreach unit,$(UNITS),$(eval $(unit): $(unit).o $(filter $(LIBS),$(UNIT_LIBS))))
$(UNITS): LDLIBS += -lcmocka -lssl -lcrypto -lcdb -lcrypt -ljansson -lz
