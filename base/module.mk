# base - strings, errors, log, time, files, streams, TLS, listener, packets
LIBS += base/libbase.a
base/libbase.a: base/buf.o base/clock.o base/error.o base/file.o base/log.o base/loop.o \
    base/mem.o base/packet.o base/scan.o base/sync_pool.o base/vars.o base/wire.o
