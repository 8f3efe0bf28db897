# queue - the on-disk store, intake, multiplexer, scheduler and queue tools
LIBS += queue/libqueue.a
queue/libqueue.a: queue/commit.o queue/commit_step.o queue/dir.o queue/envelope.o \
    queue/exitcode.o queue/health.o queue/idmap.o queue/intake_packet.o queue/job.o \
    queue/mux.o queue/sink.o queue/sink_intake.o queue/sink_program.o \
    queue/schedule.o queue/spare.o
