# auth - who may log in
LIBS += auth/libauth.a
auth/libauth.a: auth/apop.o auth/checkpassword.o auth/login.o auth/throttle.o auth/verify.o
auth/libauth.a_LDLIBS := -lcrypt -lcrypto

# One program under two names.
PROGS += auth/vchkpw auth/vchkpass
auth/vchkpw auth/vchkpass: auth/vchkpw.o auth/libauth.a lookupd/liblookupd.a \
    control/libcontrol.a base/libbase.a
auth/vchkpw auth/vchkpass: LDLIBS += -lcdb
MANS += auth/vchkpw.8 auth/vchkpass.8
