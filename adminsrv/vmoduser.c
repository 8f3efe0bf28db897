/* SPDX-License-Identifier: ISC */
/* vmoduser: changes a user's quota, comment, flags, or state. */
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/names.h"
#include "adminsrv/quota_text.h"
#include "adminsrv/user_dir.h"
#include "adminsrv/users.h"
#include "control/global_vars.h"
#include "control/home.h"
#include "lookupd/store.h"

static const char usage[] =
    "usage: vmoduser [-n] [-c comment] [-q quota] [-tx] [-abdiprsuw]\n"
    "                user@domain\n";

struct change {
	const char *gecos; /* NULL: as it is */
	const char *quota;
	unsigned flags;
	bool is_toggled; /* flags are changed over, not set */
	bool is_cleared; /* no flags but those */
	bool is_state_toggled;
};

static unsigned
flag_of(int option)
{
	switch (option) {
	case 'a':
		return STORE_POSTMASTER;
	case 'b':
		return STORE_BOUNCE_MAIL;
	case 'd':
		return STORE_NO_PASSWD_CHANGE;
	case 'i':
		return STORE_NO_IMAP;
	case 'p':
		return STORE_NO_POP;
	case 'r':
		return STORE_NO_RELAY;
	case 's':
		return STORE_NO_SMTP;
	case 'u':
		return STORE_NO_DIALUP;
	case 'w':
		return STORE_NO_WEBMAIL;
	}
	return 0;
}

/*
 * Whether entry would get no mail for a reason that old did not have: what
 * another system left so may be mended step by step.
 */
static bool
stops_mail(const struct vpasswd_entry *old, const struct vpasswd_entry *entry)
{
	return (entry->uid_flags & ~old->uid_flags & VPASSWD_INACTIVE) != 0 ||
	    (entry->gid_flags & ~old->gid_flags & STORE_BOUNCE_MAIL) != 0;
}

static enum admin_result
refuse_postmaster(struct error *err)
{
	error_set(err,
	    "every domain has a postmaster, who gets mail (RFC 5321 "
	    "4.5.1): leave out -n and -b");
	return ADMIN_REFUSED;
}

static enum admin_result
apply(const struct change *change, const struct store_domain *domain,
    const char *name, struct error *err)
{
	const struct vpasswd_entry *old;
	struct vpasswd_entry entry;
	struct users *users;
	enum admin_result result = users_open(
	    domain->dir, domain->uid, domain->gid, false, &users, err);

	if (result != ADMIN_OK)
		return result;
	old = vpasswd_file_find(users_file(users), name);
	entry = old != NULL ? *old : (struct vpasswd_entry){ .name = name };
	if (change->gecos != NULL)
		entry.gecos = change->gecos;
	if (change->quota != NULL)
		entry.quota = change->quota;
	if (change->is_cleared)
		entry.gid_flags = 0;
	if (change->is_toggled)
		entry.gid_flags ^= change->flags;
	else
		entry.gid_flags |= change->flags;
	if (change->is_state_toggled)
		entry.uid_flags ^= VPASSWD_INACTIVE;
	if (old != NULL && strcmp(name, "postmaster") == 0 &&
	    stops_mail(old, &entry))
		result = refuse_postmaster(err);
	else
		result = users_change(users, &entry, err);
	if (result == ADMIN_OK && change->quota != NULL) {
		old = vpasswd_file_find(users_file(users), name);
		if (user_dir_forget_size(old->dir, err) == -1) {
			error_context(err,
			    "the quota is changed, but the old "
			    "one may still be kept");
			result = ADMIN_FAILED;
		}
	}
	users_close(&users);
	return result;
}

int
main(int argc, char **argv)
{
	struct change change = { .gecos = NULL };
	const char *quota_text = NULL;
	struct names_address address;
	struct store_domain domain;
	enum admin_result result;
	struct buf quota;
	struct home *home;
	struct error err;
	int option;

	cli_start("vmoduser", argv, usage);
	while ((option = getopt(argc, argv, "abc:dinpq:rstuwx")) != -1) {
		if (option == 'c')
			change.gecos = optarg;
		else if (option == 'n')
			change.is_state_toggled = true;
		else if (option == 'q')
			quota_text = optarg;
		else if (option == 't')
			change.is_toggled = true;
		else if (option == 'x')
			change.is_cleared = true;
		else if (flag_of(option) == 0)
			cli_usage(usage);
		change.flags |= flag_of(option);
	}
	if (argc - optind != 1)
		cli_usage(usage);
	buf_init(&quota);
	if (names_address(argv[optind], &address, &err) == -1 ||
	    (quota_text != NULL &&
		quota_text_read(quota_text, &quota, &err) == -1)) {
		buf_release(&quota);
		return cli_end(ADMIN_REFUSED, &err);
	}
	if (quota_text != NULL)
		change.quota = quota.data;
	home = global_vars_home();
	result = users_find_domain(home->root, address.domain, &domain, &err);
	if (result == ADMIN_OK) {
		result = apply(&change, &domain, address.local, &err);
		store_domain_release(&domain);
	}
	home_free(&home);
	buf_release(&quota);
	return cli_end(result, &err);
}
