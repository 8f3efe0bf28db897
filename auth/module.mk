# auth - who may log in
LIBS += auth/libauth.a
auth/libauth.a: auth/apop.o auth/checkpassword.o auth/checkpassword_input.o auth/login.o \
    auth/oauth.o auth/sasl.o auth/sasl_talk.o auth/throttle.o auth/verify.o
auth/libauth.a_LDLIBS := -lcrypt -lgsasl -lcrypto

# One program under two names.
PROGS += auth/vchkpw auth/vchkpass
auth/vchkpw auth/vchkpass: auth/vchkpw.o auth/libauth.a lookupd/liblookupd.a \
    control/libcontrol.a base/libbase.a
auth/vchkpw auth/vchkpass: LDLIBS += -lcdb

PROGS += auth/sys-checkpwd
auth/sys-checkpwd: auth/sys_checkpwd.o auth/libauth.a control/libcontrol.a base/libbase.a
auth/sys-checkpwd: LDLIBS += -lpam
MANS += auth/vchkpw.8 auth/vchkpass.8 auth/sys-checkpwd.8
