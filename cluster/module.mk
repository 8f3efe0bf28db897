# cluster - what a node is in a cluster
LIBS += cluster/libcluster.a
cluster/libcluster.a: cluster/identity.o cluster/keys.o cluster/materialize.o
# clusterd and the tools: no program that holds mail is linked with libzmq.
cluster/libcluster.a_LDLIBS := -Wl,--as-needed -lzmq -Wl,--no-as-needed
