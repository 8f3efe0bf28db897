# svctool - makes, starts, stops, checks and shows a node
LIBS += svctool/libsvctool.a
svctool/libsvctool.a: svctool/args.o svctool/cmd_init.o \
    svctool/cmd_lifecycle.o svctool/init_control.o svctool/init_domains.o \
    svctool/init_rules.o svctool/init_tls.o svctool/make.o svctool/node.o \
    svctool/ports.o svctool/proc.o svctool/ready.o svctool/run_script.o \
    svctool/service.o svctool/spawn.o svctool/start.o svctool/stop.o \
    svctool/supervise.o svctool/users.o
PROGS += svctool/svctool
svctool/svctool: svctool/main.o svctool/libsvctool.a queue/libqueue.a \
    control/libcontrol.a base/libbase.a
svctool/svctool: LDLIBS += -lcdb
