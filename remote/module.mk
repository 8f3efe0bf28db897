# remote - mail to other hosts: qmail-remote, qmail-tcpto
LIBS += remote/libremote.a
remote/libremote.a: remote/auth.o remote/body.o remote/elsewhere.o remote/exchange.o \
    remote/hello.o remote/node.o \
    remote/dane.o remote/https.o remote/mta_sts.o remote/operate.o remote/output.o \
    remote/pace.o remote/program.o remote/rules.o remote/tls_policy.o \
    remote/tls_report.o remote/tls_report_mail.o remote/tls_required.o remote/token.o \
    remote/qmtp.o remote/reply.o remote/session.o remote/tcpto.o \
    remote/transaction.o
remote/libremote.a_LDLIBS := -Wl,--as-needed -lcurl -lgsasl -ljansson -lssl -lz -Wl,--no-as-needed

PROGS += remote/qmail-remote
remote/qmail-remote: remote/main_remote.o
remote/qmail-remote: LDLIBS += -lssl -lcrypto
MANS += remote/qmail-remote.8

# One program under two names.
PROGS += remote/qmail-tcpto remote/qmail-tcpok
remote/qmail-tcpto remote/qmail-tcpok: remote/main_tcpto.o
MANS += remote/qmail-tcpto.8 remote/qmail-tcpok.8

remote/qmail-remote remote/qmail-tcpto remote/qmail-tcpok: \
    remote/libremote.a queue/libqueue.a resolver/libresolver.a \
    control/libcontrol.a base/libbase.a

# Mail for a host that has the queue.
PROGS += remote/qmail-qmqpc
remote/qmail-qmqpc: remote/main_qmqpc.o queue/libqueue.a control/libcontrol.a \
    base/libbase.a
remote/qmail-qmqpc: LDLIBS += -lssl -lcrypto
MANS += remote/qmail-qmqpc.8

# What a Maildir holds for another host; the first two and the next two are one
# program each under two names.
SERIAL_PROGS := remote/maildirsmtp remote/maildirqmtp remote/serialsmtp \
    remote/serialqmtp remote/maildirserial remote/maildiratrn
PROGS += $(SERIAL_PROGS)
remote/maildirsmtp remote/maildirqmtp: remote/main_maildirsmtp.o \
    remote/serial_maildir.o remote/serial.o
remote/serialsmtp remote/serialqmtp: remote/main_serial.o remote/serial.o
remote/maildiratrn: remote/main_maildiratrn.o remote/serial_maildir.o \
    remote/serial.o
remote/maildirserial: remote/main_maildirserial.o remote/serial_maildir.o \
    remote/serial.o
$(SERIAL_PROGS): remote/libremote.a queue/libqueue.a resolver/libresolver.a \
    control/libcontrol.a base/libbase.a
$(SERIAL_PROGS): LDLIBS += -lssl -lcrypto
MANS += $(SERIAL_PROGS:=.8)

# Remote delivery for all queues.
PROGS += remote/qmail-rspawn
remote/qmail-rspawn: remote/main_rspawn.o remote/spawner.o \
    remote/spawner_destination.o remote/spawner_domain.o remote/spawner_node.o \
    remote/spawner_operate.o remote/spawner_program.o
remote/qmail-rspawn: remote/libremote.a queue/libqueue.a \
    resolver/libresolver.a control/libcontrol.a base/libbase.a
remote/qmail-rspawn: LDLIBS += -lssl -lcrypto
MANS += remote/qmail-rspawn.8
