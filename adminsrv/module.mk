# adminsrv - the user and domain commands
LIBS += adminsrv/libadmin.a
adminsrv/libadmin.a: adminsrv/bulk.o adminsrv/cli.o adminsrv/convert.o adminsrv/copy_tree.o adminsrv/database.o \
    adminsrv/dirhash.o adminsrv/domain.o adminsrv/domain_db.o adminsrv/domain_list.o adminsrv/domain_remove.o adminsrv/domain_rename.o adminsrv/filesystems.o adminsrv/greet.o adminsrv/homes.o adminsrv/hook.o adminsrv/import.o adminsrv/last_login.o adminsrv/leftover.o adminsrv/limits.o \
    adminsrv/line_file.o adminsrv/lock.o adminsrv/names.o adminsrv/node_lines.o adminsrv/notify.o \
    adminsrv/owner.o adminsrv/password.o adminsrv/progress.o adminsrv/quota_text.o adminsrv/records.o adminsrv/records_cdb.o adminsrv/records_pg.o \
    adminsrv/user_dir.o adminsrv/user_info.o adminsrv/user_info_json.o \
    adminsrv/users.o adminsrv/users_cdb.o adminsrv/users_move.o adminsrv/vacation.o adminsrv/users_pg.o adminsrv/vpasswd_file.o

ADMINSRV_PROGS := clearopensmtp vaddaliasdomain vadddomain vadduser valias \
    vbulletin vcfilter vconvert vdeldomain vdeloldusers vdeluser vdominfo \
    vexport vfstab vipmap vlimit vmkpasswd vmoduser vmoveuserdir vpasswd \
    vrenamedomain vrenameuser vsetpass vsetuserquota vuserinfo
PROGS += $(addprefix adminsrv/,$(ADMINSRV_PROGS))
MANS += $(addprefix adminsrv/,$(addsuffix .8,$(ADMINSRV_PROGS)))
# Those that send mail, too.
GREETERS := vadduser vdeloldusers vmoduser
$(foreach prog,$(filter-out vcfilter,$(ADMINSRV_PROGS)),$(eval adminsrv/$(prog): adminsrv/$(prog).o \
    adminsrv/libadmin.a $(if $(filter $(prog),$(GREETERS)),delivery/libdelivery.a queue/libqueue.a) mailbox/libmailbox.a auth/libauth.a lookupd/libpgstore.a lookupd/liblookupd.a \
    control/libcontrol.a base/libbase.a))
$(addprefix adminsrv/,$(ADMINSRV_PROGS)): LDLIBS += -lcrypt -lcrypto -lgsasl
adminsrv/vdominfo adminsrv/vuserinfo: LDLIBS += -ljansson
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
