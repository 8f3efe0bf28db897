# cluster - what a node is in a cluster
LIBS += cluster/libcluster.a
cluster/libcluster.a: cluster/identity.o cluster/keys.o cluster/materialize.o \
    cluster/message.o cluster/state.o
# clusterd and the tools: no program that holds mail is linked with libzmq.
cluster/libcluster.a_LDLIBS := -Wl,--as-needed -lzmq -ljansson -Wl,--no-as-needed

PROGS += cluster/clusterd
cluster/clusterd: cluster/main.o cluster/bus.o cluster/follow.o \
    cluster/health.o cluster/keeper.o cluster/lease.o cluster/server.o \
    cluster/libcluster.a queue/libqueue.a \
    lookupd/libpgstore.a lookupd/liblookupd.a control/libcontrol.a base/libbase.a
cluster/clusterd: LDLIBS += -lcdb -ljansson -lseccomp
MANS += cluster/clusterd.8
