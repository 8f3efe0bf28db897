# adminsrv - the user and domain commands
LIBS += adminsrv/libadmin.a
adminsrv/libadmin.a: adminsrv/bulk.o adminsrv/cli.o adminsrv/convert.o adminsrv/copy_tree.o adminsrv/database.o \
    adminsrv/dirhash.o adminsrv/domain.o adminsrv/domain_cluster.o adminsrv/domain_db.o adminsrv/domain_list.o adminsrv/domain_remove.o adminsrv/domain_rename.o adminsrv/filesystems.o adminsrv/greet.o adminsrv/homes.o adminsrv/hook.o adminsrv/import.o adminsrv/last_login.o adminsrv/leftover.o adminsrv/limits.o \
    adminsrv/line_file.o adminsrv/lock.o adminsrv/names.o adminsrv/node_lines.o adminsrv/notify.o \
    adminsrv/move.o adminsrv/owner.o adminsrv/password.o adminsrv/placement.o adminsrv/progress.o adminsrv/quota_text.o adminsrv/records.o adminsrv/records_cdb.o adminsrv/records_pg.o \
    adminsrv/tasks.o adminsrv/user_dir.o adminsrv/user_info.o adminsrv/user_info_json.o \
    adminsrv/users.o adminsrv/users_cdb.o adminsrv/users_move.o adminsrv/users_place.o adminsrv/vacation.o adminsrv/users_pg.o adminsrv/view.o adminsrv/vpasswd_file.o

# What the server, its helper and its client have in common.
LIBS += adminsrv/libadminsrv.a
adminsrv/libadminsrv.a: adminsrv/server/admins.o adminsrv/server/api.o \
    adminsrv/server/api_answer.o adminsrv/server/api_openapi.o adminsrv/server/api_tls.o adminsrv/server/command.o \
    adminsrv/server/listen.o adminsrv/server/metrics.o adminsrv/server/rights.o adminsrv/server/runner.o \
    adminsrv/server/server.o adminsrv/server/session.o adminsrv/server/words.o

ADMINSRV_PROGS := clearopensmtp dbinfo hostcntrl hostsync vaddaliasdomain vadddomain vadduser valias \
    vbulletin vcfilter vconvert vdeldomain vdeloldusers vdeluser vdominfo \
    vexport vfstab vhostid vipmap vlimit vmkpasswd vmoduser vmoveuser vmoveuserdir vpasswd \
    vrenamedomain vrenameuser vsetpass vsetuserquota vsmtp vuserinfo
PROGS += $(addprefix adminsrv/,$(ADMINSRV_PROGS))
MANS += $(addprefix adminsrv/,$(addsuffix .8,$(ADMINSRV_PROGS)))
# Those that send mail, too.
GREETERS := vadduser vdeloldusers vmoduser
$(foreach prog,$(filter-out vcfilter,$(ADMINSRV_PROGS)),$(eval adminsrv/$(prog): adminsrv/$(prog).o \
    adminsrv/libadmin.a $(if $(filter $(prog),$(GREETERS)),delivery/libdelivery.a queue/libqueue.a) mailbox/libmailbox.a auth/libauth.a lookupd/libpgstore.a lookupd/liblookupd.a \
    control/libcontrol.a base/libbase.a))
$(addprefix adminsrv/,$(ADMINSRV_PROGS)): LDLIBS += -lcrypt -lcrypto -lgsasl
adminsrv/vdominfo adminsrv/vmoveuser adminsrv/vuserinfo: LDLIBS += -ljansson
# Filters' names, and what folders may be called, are deliveries' to say.
adminsrv/vcfilter: adminsrv/vcfilter.o adminsrv/libadmin.a delivery/libdelivery.a \
    queue/libqueue.a mailbox/libmailbox.a lookupd/libpgstore.a \
    lookupd/liblookupd.a control/libcontrol.a base/libbase.a
# One program under two names.
PROGS += adminsrv/vpopbull
MANS += adminsrv/vpopbull.8
adminsrv/vpopbull: adminsrv/vbulletin.o adminsrv/libadmin.a mailbox/libmailbox.a \
    auth/libauth.a lookupd/libpgstore.a lookupd/liblookupd.a control/libcontrol.a \
    base/libbase.a
adminsrv/vpopbull: LDLIBS += -lcrypt -lcrypto -lgsasl

# Administration from afar.
PROGS += adminsrv/adminclient adminsrv/adminsrv adminsrv/admin-run adminsrv/mgmtpass adminsrv/vpriv
MANS += adminsrv/adminclient.8 adminsrv/adminsrv.8 adminsrv/admin-run.8 adminsrv/mgmtpass.8 adminsrv/vpriv.8
ADMIN_LIBS := adminsrv/libadminsrv.a adminsrv/libadmin.a mailbox/libmailbox.a auth/libauth.a \
    lookupd/libpgstore.a lookupd/liblookupd.a control/libcontrol.a base/libbase.a
adminsrv/adminsrv: adminsrv/server/main.o $(ADMIN_LIBS)
adminsrv/admin-run: adminsrv/server/admin_run.o $(ADMIN_LIBS)
adminsrv/adminclient: adminsrv/adminclient.o $(ADMIN_LIBS)
adminsrv/mgmtpass: adminsrv/mgmtpass.o $(ADMIN_LIBS)
adminsrv/vpriv: adminsrv/vpriv.o $(ADMIN_LIBS)
adminsrv/adminsrv adminsrv/admin-run adminsrv/adminclient adminsrv/mgmtpass adminsrv/vpriv: \
    LDLIBS += -lssl -lcrypto -lcrypt -lgsasl
adminsrv/adminsrv: LDLIBS += -ljansson
adminsrv/libadminsrv.a_LDLIBS := -Wl,--as-needed -levent_openssl -levent_extra -levent_core -ljansson -lssl -lcrypto -Wl,--no-as-needed
PROGS += adminsrv/cluster-task
MANS += adminsrv/cluster-task.8
adminsrv/cluster-task: adminsrv/cluster_task.o adminsrv/libadmin.a mailbox/libmailbox.a \
    auth/libauth.a lookupd/libpgstore.a lookupd/liblookupd.a control/libcontrol.a \
    base/libbase.a
adminsrv/cluster-task: LDLIBS += -lcrypt -lcrypto -lgsasl
