# resolver - asks the DNS, in a process of its own
LIBS += resolver/libresolver.a
resolver/libresolver.a: resolver/dns_client.o resolver/dns_packet.o \
    resolver/dns_record.o

PROGS += resolver/resolverd
resolver/resolverd: resolver/main.o resolver/server.o resolver/unbound.o
resolver/resolverd: LDLIBS += -lunbound -lseccomp
resolver/resolverd: resolver/libresolver.a control/libcontrol.a base/libbase.a
MANS += resolver/resolverd.8
