# base - strings, errors, log, time, files, streams, TLS, listener, packets
LIBS += base/libbase.a
base/libbase.a: base/arena.o base/buf.o base/certificate.o base/clock.o base/confine.o \
    base/endpoint.o \
    base/error.o base/file.o base/idle_fds.o base/ipcount.o base/lines.o \
    base/listen_socket.o base/listener.o base/listener_daemon.o base/log.o base/log_text.o \
    base/loop.o base/mailbox_text.o base/mem.o base/netstring.o base/outbox.o \
    base/packet.o base/packet_server.o base/process.o base/program.o base/relay.o base/scan.o base/signals.o \
    base/stream.o base/strlist.o base/sync_pool.o base/test_time.o base/tls.o \
    base/tls_tickets.o base/usage.o base/utf8.o base/uuid.o base/vars.o base/wire.o \
    base/work_pool.o base/worker_pool.o
base/libbase.a_LDLIBS := -Wl,--as-needed -lcrypto -Wl,--no-as-needed
