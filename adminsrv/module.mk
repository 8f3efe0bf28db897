# adminsrv - the user and domain commands
LIBS += adminsrv/libadmin.a
adminsrv/libadmin.a: adminsrv/bulk.o adminsrv/cli.o adminsrv/convert.o adminsrv/database.o \
    adminsrv/dirhash.o adminsrv/domain.o adminsrv/domain_db.o adminsrv/domain_remove.o adminsrv/import.o adminsrv/leftover.o \
    adminsrv/line_file.o adminsrv/lock.o adminsrv/names.o adminsrv/node_lines.o adminsrv/notify.o \
    adminsrv/owner.o adminsrv/password.o adminsrv/progress.o adminsrv/quota_text.o \
    adminsrv/user_dir.o adminsrv/user_info.o adminsrv/user_info_json.o \
    adminsrv/users.o adminsrv/users_cdb.o adminsrv/users_pg.o adminsrv/vpasswd_file.o

ADMINSRV_PROGS := vaddaliasdomain vadddomain vadduser vconvert vdeldomain vdeluser \
    vmkpasswd vmoduser vpasswd vuserinfo
PROGS += $(addprefix adminsrv/,$(ADMINSRV_PROGS))
MANS += $(addprefix adminsrv/,$(addsuffix .8,$(ADMINSRV_PROGS)))
$(foreach prog,$(ADMINSRV_PROGS),$(eval adminsrv/$(prog): adminsrv/$(prog).o \
    adminsrv/libadmin.a mailbox/libmailbox.a lookupd/libpgstore.a lookupd/liblookupd.a \
    control/libcontrol.a base/libbase.a))
$(addprefix adminsrv/,$(ADMINSRV_PROGS)): LDLIBS += -lcrypt -lcrypto -lgsasl
adminsrv/vuserinfo: LDLIBS += -ljansson
