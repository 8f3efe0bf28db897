# remote - the conversation with other hosts; qmail-remote
LIBS += remote/libremote.a
remote/libremote.a: remote/auth.o remote/body.o remote/hello.o remote/qmtp.o \
    remote/reply.o remote/session.o remote/transaction.o
remote/libremote.a_LDLIBS := -Wl,--as-needed -lgsasl -lssl -Wl,--no-as-needed

PROGS += remote/qmail-remote
remote/qmail-remote: remote/main_remote.o remote/libremote.a \
    control/libcontrol.a base/libbase.a
remote/qmail-remote: LDLIBS += -lssl -lcrypto
MANS += remote/qmail-remote.8
