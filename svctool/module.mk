# svctool - makes, starts, stops, checks and shows a node
LIBS += svctool/libsvctool.a
svctool/libsvctool.a: svctool/args.o svctool/check_access.o svctool/check_as_owner.o \
    svctool/check_assign_cdb.o svctool/check_cdb.o \
    svctool/check_collections.o svctool/check_compiled.o \
    svctool/check_domain.o svctool/check_domain_users.o \
    svctool/check_domains.o svctool/check_find.o svctool/check_json.o \
    svctool/check_lines.o svctool/check_lock.o \
    svctool/check_names.o svctool/check_owners.o \
    svctool/check_place.o svctool/check_postmaster.o \
    svctool/check_programs.o svctool/check_queue_modes.o \
    svctool/check_rcpthosts.o svctool/check_space.o \
    svctool/check_queue_orphans.o svctool/check_queues.o \
    svctool/check_rules.o svctool/check_running.o svctool/check_services.o svctool/check_settings.o \
    svctool/check_spelling.o svctool/check_starts.o svctool/check_tls.o svctool/check_variable.o svctool/check_variables.o \
    svctool/check_virtual.o svctool/cmd_check.o svctool/cmd_init.o \
    svctool/cmd_lifecycle.o svctool/cmd_queue.o svctool/cmd_showctl.o \
    svctool/cmd_status.o svctool/cmd_systemd.o \
    svctool/greet.o svctool/hung.o svctool/init_control.o \
    svctool/init_domains.o svctool/init_existing.o \
    svctool/init_identity.o svctool/init_options.o \
    svctool/init_rules.o svctool/init_sweep.o svctool/init_tls.o svctool/init_unused.o \
    svctool/log_look.o svctool/log_tail.o svctool/make.o svctool/node.o svctool/open_to_show.o \
    svctool/place.o svctool/ports.o \
    svctool/proc.o svctool/proc_socket.o svctool/queue_add.o \
    svctool/queue_count.o svctool/queue_hold.o svctool/queue_ops.o \
    svctool/queue_remove.o svctool/ready.o svctool/report.o \
    svctool/report_json.o svctool/report_restart.o svctool/report_text.o \
    svctool/run_script.o svctool/service.o svctool/service_env.o svctool/spawn.o svctool/start.o \
    svctool/stop.o svctool/supervise.o svctool/systemd_guard.o \
    svctool/systemd_unit.o svctool/users.o svctool/wait_up.o
PROGS += svctool/svctool
svctool/svctool: svctool/main.o svctool/libsvctool.a adminsrv/libadmin.a \
    smtp/libsmtp.a delivery/libdelivery.a queue/libqueue.a \
    mailbox/libmailbox.a lookupd/liblookupd.a control/libcontrol.a base/libbase.a
svctool/svctool: LDLIBS += -lcdb -ljansson -lssl -lcrypto -lcrypt -lz
MANS += svctool/svctool.8
