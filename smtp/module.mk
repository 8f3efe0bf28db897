# smtp - qmail-smtpd: SMTP and LMTP
LIBS += smtp/libsmtp.a
smtp/libsmtp.a: smtp/address.o smtp/author.o smtp/body.o smtp/client_name.o smtp/cmd_atrn.o smtp/cmd_auth.o smtp/cmd_bdat.o \
    smtp/cmd_data.o \
    smtp/cmd_etrn.o smtp/cmd_helo.o smtp/cmd_mail.o smtp/cmd_misc.o smtp/cmd_rcpt.o \
    smtp/cmd_starttls.o smtp/config.o smtp/domain_rule.o smtp/hops.o \
    smtp/listen.o smtp/log.o smtp/message.o smtp/options.o smtp/originate.o smtp/package.o smtp/params.o \
    smtp/policy_mailbox.o smtp/policy_node.o smtp/policy_relay.o smtp/policy_sender.o smtp/qmqp.o smtp/qmtp.o smtp/received.o smtp/reply.o \
    smtp/rules.o smtp/server.o smtp/session.o smtp/text.o \
    smtp/transaction.o smtp/verbs.o

# One program under three names.
PROGS += smtp/qmail-smtpd smtp/qmail-qmtpd smtp/qmail-qmqpd
smtp/qmail-smtpd smtp/qmail-qmtpd smtp/qmail-qmqpd: smtp/main.o smtp/libsmtp.a delivery/libdelivery.a \
    queue/libqueue.a mailbox/libmailbox.a auth/libauth.a lookupd/liblookupd.a resolver/libresolver.a \
    control/libcontrol.a base/libbase.a
smtp/qmail-smtpd smtp/qmail-qmtpd smtp/qmail-qmqpd: LDLIBS += -lssl -lcrypto -lcdb
MANS += smtp/qmail-smtpd.8 smtp/qmail-qmtpd.8 smtp/qmail-qmqpd.8
