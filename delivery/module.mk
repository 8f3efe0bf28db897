# delivery - deliveries to virtual users: qmail-vdeliver and vdelivermail
LIBS += delivery/libdelivery.a
delivery/libdelivery.a: delivery/domain_quota.o delivery/domain_rules.o delivery/dotqmail.o \
    delivery/dotqmail_find.o delivery/dotqmail_lines.o \
    delivery/autorespond.o delivery/filter.o delivery/general.o \
    delivery/general_filter.o delivery/general_sound.o \
    delivery/forward.o delivery/header.o delivery/local.o \
    delivery/local_env.o delivery/local_file.o delivery/message_file.o delivery/outcome.o \
    delivery/run_program.o delivery/trace.o delivery/vdeliver.o \
    delivery/vdeliver_limits.o delivery/vdeliver_lookup.o \
    delivery/vdeliver_process.o delivery/vdeliver_warn.o \
    delivery/vdeliver_quota.o delivery/vdeliver_write.o delivery/worker.o

PROGS += delivery/qmail-vdeliver delivery/vdelivermail delivery/autoresponder
delivery/autoresponder: delivery/autoresponder.o
delivery/qmail-vdeliver: delivery/qmail-vdeliver.o
delivery/vdelivermail: delivery/vdelivermail.o
delivery/qmail-vdeliver delivery/vdelivermail delivery/autoresponder: \
    delivery/libdelivery.a \
    queue/libqueue.a mailbox/libmailbox.a lookupd/liblookupd.a \
    control/libcontrol.a base/libbase.a
delivery/qmail-vdeliver delivery/vdelivermail delivery/autoresponder: LDLIBS += -lcdb -lcrypto
MANS += delivery/autoresponder.8 delivery/qmail-vdeliver.8 delivery/vdelivermail.8
