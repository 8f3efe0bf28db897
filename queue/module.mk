# queue - the on-disk store, intake, multiplexer, scheduler and queue tools
LIBS += queue/libqueue.a
queue/libqueue.a: queue/job.o
