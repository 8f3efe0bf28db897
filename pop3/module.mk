# pop3 - the POP3 server
LIBS += pop3/libpop3.a
pop3/libpop3.a: pop3/body.o pop3/cmd_auth.o pop3/cmd_mail.o pop3/cmd_session.o \
    pop3/command.o pop3/listen.o pop3/maildrop.o pop3/options.o pop3/popup.o \
    pop3/server.o pop3/session.o

# One program under two names.
PROGS += pop3/qmail-pop3d pop3/qmail-popup
pop3/qmail-pop3d pop3/qmail-popup: pop3/main.o pop3/libpop3.a smtp/libsmtp.a \
    delivery/libdelivery.a queue/libqueue.a mailbox/libmailbox.a auth/libauth.a \
    lookupd/liblookupd.a control/libcontrol.a base/libbase.a
pop3/qmail-pop3d pop3/qmail-popup: LDLIBS += -lssl -lcrypto -lcdb
MANS += pop3/qmail-pop3d.8 pop3/qmail-popup.8
