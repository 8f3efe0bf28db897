# queue - the on-disk store, intake, multiplexer, scheduler and queue tools
LIBS += queue/libqueue.a
queue/libqueue.a: queue/bounce.o queue/commit.o queue/dir.o queue/direct.o queue/dsn.o \
    queue/envelope.o queue/exitcode.o queue/fix.o queue/fix_journal.o \
    queue/fix_message.o queue/fix_owner.o queue/fix_step.o queue/health.o queue/held.o queue/idmap.o \
    queue/intake_packet.o queue/job.o queue/journal.o queue/journal_scan.o \
    queue/journal_record.o queue/keep.o queue/keep_step.o \
    queue/keep_sync.o queue/lane.o queue/look.o \
    queue/look_message.o queue/mux.o queue/recent.o \
    queue/remembered.o queue/retry_lane.o queue/route.o queue/router.o queue/scanner.o \
    queue/schedule.o queue/send_backlog.o queue/send_body.o \
    queue/send_bounce.o \
    queue/send_client.o queue/send_deliver.o queue/send_intake.o \
    queue/send_load.o queue/send_message.o queue/send_operate.o queue/send_settle.o \
    queue/send_stranger.o queue/send_transaction.o queue/send_worker.o queue/sink.o queue/sink_intake.o queue/sink_program.o \
    queue/sink_settings.o queue/tls_wish.o queue/upgrade.o

PROGS += queue/qmail-send queue/qmail-start queue/queue-fix queue/qmail-queue \
    queue/qmail-multi queue/qmail-nullqueue queue/qmail-qstat \
    queue/qmail-qread
queue/qmail-send: queue/main_send.o queue/libqueue.a lookupd/liblookupd.a \
    control/libcontrol.a base/libbase.a
queue/qmail-send: LDLIBS += -lcdb -lz
queue/qmail-start: queue/main_start.o control/libcontrol.a base/libbase.a
queue/qmail-start: LDLIBS += -lcdb
queue/queue-fix: queue/main_fix.o queue/libqueue.a control/libcontrol.a \
    base/libbase.a
queue/queue-fix: LDLIBS += -lcdb -lz
queue/qmail-queue: queue/main_queue.o queue/libqueue.a control/libcontrol.a \
    base/libbase.a
queue/qmail-queue: LDLIBS += -lcdb
queue/qmail-multi: queue/main_multi.o queue/libqueue.a base/libbase.a
queue/qmail-nullqueue: queue/main_null.o base/libbase.a
queue/qmail-qstat: queue/main_qstat.o queue/libqueue.a control/libcontrol.a \
    base/libbase.a
queue/qmail-qstat: LDLIBS += -ljansson -lz
queue/qmail-qread: queue/main_qread.o queue/libqueue.a control/libcontrol.a \
    base/libbase.a
queue/qmail-qread: LDLIBS += -ljansson -lz

MANS += queue/qmail-qstat.8 queue/qmail-qread.8
MANS += queue/qmail-send.8 queue/qmail-start.8 queue/qmail-queue.8 \
    queue/qmail-multi.8 queue/qmail-nullqueue.8 queue/queue-fix.8
