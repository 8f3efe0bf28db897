# lookupd - user stores behind one interface
LIBS += lookupd/liblookupd.a
lookupd/liblookupd.a: lookupd/cache.o \
    lookupd/domain_files.o lookupd/domains.o lookupd/extension.o lookupd/logins.o lookupd/lookup_client.o \
    lookupd/query.o lookupd/snapshot.o lookupd/spool.o lookupd/store.o \
    lookupd/store_cdb.o lookupd/store_lookup.o lookupd/vpasswd.o

# What talks to PostgreSQL is a library of its own: processes that hold mail are
# not linked with libpq.
LIBS += lookupd/libpgstore.a
lookupd/libpgstore.a: lookupd/pg.o lookupd/schema.o
lookupd/libpgstore.a_LDLIBS := -Wl,--as-needed -lpq -Wl,--no-as-needed
lookupd/pg.o lookupd/schema.o: CPPFLAGS += -I/usr/include/postgresql

# The schema's versions, embedded as texts: lookupd/schema/NNN.sql.
SCHEMA_SQL := $(sort $(notdir $(wildcard $(SRC)/lookupd/schema/*.sql)))
lookupd/schema.o: lookupd/schema_texts.h
lookupd/schema.o: CPPFLAGS += -I.
lookupd/schema_texts.h: $(SCHEMA_SQL:%=lookupd/schema/%)
	@mkdir -p $(@D)
	@echo "  SQL   $@"
	@for file in $(SCHEMA_SQL); do echo "{"; \
	    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' \
	    $(SRC)/lookupd/schema/$$file; echo "},"; done >$@.new && mv $@.new $@

PROGS += lookupd/lookupd
lookupd/lookupd: lookupd/main.o lookupd/server.o lookupd/database.o \
    lookupd/database_follow.o lookupd/database_read.o \
    lookupd/database_snapshot.o lookupd/gateway.o lookupd/libpgstore.a lookupd/liblookupd.a \
    control/libcontrol.a base/libbase.a
lookupd/lookupd: LDLIBS += -lcdb -lzmq -lseccomp

# One program under two names.
PROGS += lookupd/lookup lookupd/inquerytest
lookupd/lookup lookupd/inquerytest: lookupd/lookup.o lookupd/liblookupd.a \
    control/libcontrol.a base/libbase.a
lookupd/lookup lookupd/inquerytest: LDLIBS += -lcdb -ljansson
MANS += lookupd/inquerytest.8 lookupd/lookup.8 lookupd/lookupd.8 lookupd/vpasswd.5
