# lookupd - user stores behind one interface
LIBS += lookupd/liblookupd.a
lookupd/liblookupd.a: lookupd/cdb_cache.o lookupd/domain_files.o \
    lookupd/domains.o lookupd/logins.o lookupd/store.o lookupd/store_cdb.o \
    lookupd/vpasswd.o
MANS += lookupd/vpasswd.5
