/* SPDX-License-Identifier: ISC */
/* What is known of a user, for people. */
#include "adminsrv/user_info.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "lookupd/store.h"
#include "mailbox/quota_scan.h"

enum { MAILDIRSIZE_MAX = 64 * 1024 };

const struct user_info_flag user_info_flags[] = {
	{ STORE_NO_PASSWD_CHANGE, 'd', "no_password_change",
	    "may not change the password" },
	{ STORE_NO_POP, 'p', "no_pop", "no POP3" },
	{ STORE_NO_WEBMAIL, 'w', "no_webmail", "no webmail" },
	{ STORE_NO_IMAP, 'i', "no_imap", "no IMAP" },
	{ STORE_BOUNCE_MAIL, 'b', "bounce_mail", "mail is bounced" },
	{ STORE_NO_RELAY, 'r', "no_relay", "no relaying" },
	{ STORE_NO_DIALUP, 'u', "no_dialup", "no dialup" },
	{ STORE_POSTMASTER, 'a', "postmaster", "administrator of the domain" },
	{ STORE_NO_SMTP, 's', "no_smtp", "no SMTP" },
	{ STORE_USER_FLAG_0, '0', "user_flag_0", "flag 0" },
	{ STORE_USER_FLAG_1, '1', "user_flag_1", "flag 1" },
	{ STORE_USER_FLAG_2, '2', "user_flag_2", "flag 2" },
	{ STORE_USER_FLAG_3, '3', "user_flag_3", "flag 3" },
	{ STORE_OVERRIDE_LIMITS, 'o', "override_limits",
	    "the domain's limits do not hold" },
	{ 0, 0, NULL, NULL },
};

/* The sum of a maildirsize that was made for this quota; false: look. */
static bool
read_maildirsize(
    const struct vpasswd_entry *entry, struct quota_usage *usage_out)
{
	OWN_TEXT path = xasprintf("%s/Maildir/maildirsize", entry->dir);
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct quota wanted, found;
	unsigned lines;

	return quota_read(entry->quota, &wanted, NULL) == 1 &&
	    file_read(path, MAILDIRSIZE_MAX, &text, NULL) == 1 &&
	    quota_read_text(
		text.data, text.length, &found, usage_out, &lines) &&
	    found.bytes == wanted.bytes && found.count == wanted.count;
}

int
user_info_usage(const struct vpasswd_entry *entry,
    struct quota_usage *usage_out, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/Maildir", entry->dir);
	AUTO(file_close) int fd = -1;

	if (read_maildirsize(entry, usage_out))
		return 1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT
		    ? 0
		    : error_sys(err, "cannot open '%s'", path);
	return quota_scan(fd, usage_out, err) == -1
	    ? error_context(err, "'%s'", path)
	    : 1;
}

static void
print_flags(const struct vpasswd_entry *entry)
{
	printf("gid           : %u\n", entry->gid_flags);
	if (entry->gid_flags == 0)
		puts("                -all services available");
	for (const struct user_info_flag *row = user_info_flags; row->flag != 0;
	     row++) {
		if ((entry->gid_flags & row->flag) != 0)
			printf("                -%s\n", row->text);
	}
}

static int
print_quota(const struct vpasswd_entry *entry, struct error *err)
{
	struct quota_usage usage;
	int found = user_info_usage(entry, &usage, err);

	printf("quota         : %s\n", entry->quota);
	if (found == 1)
		printf("curr quota    : %" PRId64 "S,%" PRId64 "C\n",
		    usage.bytes, usage.count);
	else if (found == 0)
		puts("curr quota    : no Maildir");
	return found == -1 ? -1 : 0;
}

int
user_info_print(const struct vpasswd_entry *entry, const char *domain,
    unsigned fields, struct error *err)
{
	if ((fields & USER_INFO_NAME) != 0)
		printf("name          : %s@%s\n", entry->name, domain);
	if ((fields & USER_INFO_HASH) != 0)
		printf("passwd        : %s\n", entry->hash);
	if ((fields & USER_INFO_UID) != 0)
		printf("uid           : %u\n"
		       "                -%s\n",
		    entry->uid_flags,
		    (entry->uid_flags & VPASSWD_INACTIVE) == 0 ? "active"
			: vpasswd_may_log_in(entry->uid_flags)
			? "inactive until a login"
			: "inactive");
	if ((fields & USER_INFO_GID) != 0)
		print_flags(entry);
	if ((fields & USER_INFO_GECOS) != 0)
		printf("gecos         : %s\n", entry->gecos);
	if ((fields & USER_INFO_DIR) != 0)
		printf("dir           : %s\n", entry->dir);
	if ((fields & USER_INFO_QUOTA) != 0)
		return print_quota(entry, err);
	return 0;
}
