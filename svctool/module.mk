# svctool - makes, starts, stops, checks and shows a node
LIBS += svctool/libsvctool.a
svctool/libsvctool.a: \
    svctool/args.o svctool/make.o svctool/node.o svctool/open_to_show.o \
    svctool/lifecycle/cmd_lifecycle.o svctool/lifecycle/start.o \
    svctool/lifecycle/stop.o svctool/lifecycle/wait_up.o \
    svctool/check/cmd_check.o svctool/check/domain.o svctool/check/find.o \
    svctool/check/layout.o svctool/check/names.o svctool/check/queues.o \
    svctool/check/routes.o svctool/check/running.o svctool/check/services.o \
    svctool/check/settings.o svctool/check/space.o svctool/check/starts.o \
    svctool/check/users.o svctool/check/variable.o svctool/check/variables.o \
    svctool/cluster/cmd_cluster.o svctool/cluster/enter.o svctool/cluster/files.o \
    svctool/cluster/leave.o svctool/cluster/open.o svctool/cluster/rotate.o svctool/cluster/status.o svctool/cluster/store.o svctool/cluster/token.o \
    svctool/db/cmd_db.o svctool/db/local.o svctool/db/schema.o \
    svctool/init/cmd_init.o svctool/init/imap.o svctool/init/imap_files.o svctool/init/control.o svctool/init/domains.o \
    svctool/init/existing.o svctool/init/identity.o svctool/init/options.o \
    svctool/init/tls.o \
    svctool/init/unused.o svctool/init/users.o \
    svctool/queue/add.o svctool/queue/change.o svctool/queue/cmd_queue.o svctool/queue/cmd_rm.o svctool/queue/count.o \
    svctool/queue/deferrals.o svctool/queue/destinations.o \
    svctool/queue/hold.o svctool/queue/messages.o \
    svctool/queue/ops.o svctool/queue/order.o \
    svctool/queue/select.o svctool/queue/remove.o \
    svctool/show/cmd_dns.o svctool/show/cmd_route.o \
    svctool/show/cmd_log.o svctool/show/cmd_showctl.o svctool/show/cmd_status.o \
    svctool/show/cmd_tls_report.o svctool/show/tls_report_send.o svctool/show/log_fields.o \
    svctool/show/log_look.o svctool/show/log_match.o \
    svctool/show/log_merge.o svctool/show/log_reader.o \
    svctool/show/log_tail.o svctool/show/log_time.o svctool/show/report.o \
    svctool/show/report_cluster.o svctool/show/report_json.o svctool/show/report_lookup.o svctool/show/report_restart.o \
    svctool/show/report_text.o \
    svctool/run/cmd_systemd.o svctool/run/dovecot.o svctool/run/greet.o \
    svctool/run/place.o svctool/run/ports.o svctool/run/proc.o \
    svctool/run/ready.o svctool/run/rests.o svctool/run/rspawn.o svctool/run/run_script.o \
    svctool/run/service.o svctool/run/service_env.o svctool/run/service_remove.o svctool/run/session.o svctool/run/spawn.o \
    svctool/run/supervise.o svctool/run/systemd_guard.o \
    svctool/run/systemd_unit.o

# The files of Dovecot, embedded as texts: svctool/init/dovecot/NAME.in is template_NAME.
IMAP_TEMPLATES := $(sort $(notdir $(wildcard $(SRC)/svctool/init/dovecot/*.in)))
svctool/init/imap_files.o: svctool/init/dovecot/templates.h
svctool/init/imap_files.o: CPPFLAGS += -I.
svctool/init/dovecot/templates.h: $(IMAP_TEMPLATES:%=svctool/init/dovecot/%)
	@mkdir -p $(@D)
	@echo "  TEXT  $@"
	@for file in $(IMAP_TEMPLATES); do \
	    echo "static const char template_$${file%.in}[] =" | tr . _; \
	    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' \
	    $(SRC)/svctool/init/dovecot/$$file; echo ";"; done >$@.new && mv $@.new $@

PROGS += svctool/svctool svctool/qmail-rm
svctool/svctool: svctool/main.o svctool/libsvctool.a adminsrv/libadmin.a \
    cluster/libcluster.a pop3/libpop3.a smtp/libsmtp.a delivery/libdelivery.a remote/libremote.a queue/libqueue.a \
    mailbox/libmailbox.a auth/libauth.a lookupd/libpgstore.a lookupd/liblookupd.a \
    resolver/libresolver.a \
    control/libcontrol.a base/libbase.a
svctool/qmail-rm: svctool/main_rm.o svctool/libsvctool.a adminsrv/libadmin.a \
    cluster/libcluster.a pop3/libpop3.a smtp/libsmtp.a delivery/libdelivery.a remote/libremote.a queue/libqueue.a \
    mailbox/libmailbox.a auth/libauth.a lookupd/libpgstore.a lookupd/liblookupd.a \
    resolver/libresolver.a \
    control/libcontrol.a base/libbase.a
svctool/svctool svctool/qmail-rm: LDLIBS += -lcdb -ljansson -lssl -lcrypto -lcrypt -lgsasl -lz
MANS += svctool/svctool.8 svctool/qmail-rm.8
