/* SPDX-License-Identifier: ISC */
/* vmoduser: changes a user's quota, comment, flags, state or password. */
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/greet.h"
#include "adminsrv/names.h"
#include "adminsrv/quota_text.h"
#include "adminsrv/user_info.h"
#include "adminsrv/users.h"
#include "adminsrv/vacation.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: vmoduser [-nv] [-c comment] [-q quota] [-tx] [-abdioprsuw0123]\n"
    "                [-P password] [-Ce] [-h hash] [-l file] user@domain\n";

struct change {
	const char *gecos; /* NULL: as it is */
	const char *quota;
	unsigned flags;
	bool is_toggled; /* flags are changed over, not set */
	bool is_cleared; /* no flags but those */
	bool is_state_toggled;
	const struct password_data *password; /* NULL: as it is */
	const struct buf *answer;             /* in absence; the same */
};

/* The flag of an option, or 0. */
static unsigned
flag_of_option(int option)
{
	const struct user_info_flag *row = user_info_flags;

	while (row->flag != 0 && row->option != option)
		row++;
	return row->flag;
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
change_user(const struct change *change, const struct home *home,
    const struct names_address *address, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	AUTO(buf_release) struct buf quota = BUF_INIT;
	const struct vpasswd_entry *old;
	struct vpasswd_entry entry;
	bool is_back;
	enum admin_result result = users_open_named(
	    home->root, address->domain, &users, err);

	if (result == ADMIN_OK)
		result = users_find(users, address->local, &old, err);
	if (result != ADMIN_OK)
		return result;
	entry = *old;
	if (change->gecos != NULL)
		entry.gecos = change->gecos;
	if (change->quota != NULL) {
		if (quota_text_change(change->quota, old->quota, &quota, err) ==
		    -1)
			return ADMIN_REFUSED;
		entry.quota = quota.data;
	}
	if (change->password != NULL) {
		entry.hash = change->password->hash.data;
		entry.scram = password_text(&change->password->scram);
		entry.secret = password_text(&change->password->secret);
	}
	if (change->is_cleared)
		entry.gid_flags = 0;
	if (change->is_toggled)
		entry.gid_flags ^= change->flags;
	else
		entry.gid_flags |= change->flags;
	if (change->is_state_toggled)
		entry.uid_flags =
		    (entry.uid_flags ^ VPASSWD_INACTIVE) & ~VPASSWD_AWAY;
	if (strcmp(address->local, "postmaster") == 0 &&
	    stops_mail(old, &entry))
		return admin_refuse(err,
		    "every domain has a postmaster, who gets mail (RFC 5321 "
		    "4.5.1): leave out -n and -b");
	is_back = (old->uid_flags & ~entry.uid_flags & VPASSWD_INACTIVE) != 0;
	result = users_change(users, &entry, err);
	if (result == ADMIN_OK && change->quota != NULL)
		result = users_set_quota(
		    users, address->local, quota.data, err);
	if (result == ADMIN_OK && change->answer != NULL)
		result = vacation_put(
		    users, address->local, change->answer, err);
	users_close(&users);
	if (result == ADMIN_OK && is_back)
		greet_users(home, address->domain, GREET_BACK,
		    &(const char *){ address->local }, 1);
	return result;
}

int
main(int argc, char **argv)
{
	struct change change = { .gecos = NULL };
	struct cli_password password = { .argument = NULL };
	AUTO(buf_release) struct buf answer = BUF_INIT;
	const char *answer_path = NULL;
	AUTO(password_data_release)
	struct password_data data = { .hash = BUF_INIT };
	struct names_address address;
	enum admin_result result = ADMIN_OK;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	int option;

	cli_start("vmoduser", argv, usage);
	while ((option = getopt(argc, argv, "0123abCc:deh:il:noP:pq:rstuvwx")) !=
	    -1) {
		if (option == 'c')
			change.gecos = optarg;
		else if (option == 'n')
			change.is_state_toggled = true;
		else if (option == 'q')
			change.quota = optarg;
		else if (option == 'l')
			answer_path = optarg;
		else if (option == 'P')
			password.argument = optarg;
		else if (option == 't')
			change.is_toggled = true;
		else if (option == 'x')
			change.is_cleared = true;
		else if (option == 'v')
			cli_be_verbose();
		else if (flag_of_option(option) == 0 &&
		    (strchr("Ceh", option) == NULL ||
			!cli_password_option(&password, option, optarg)))
			cli_usage(usage);
		change.flags |= flag_of_option(option);
	}
	if (argc - optind != 1)
		cli_usage(usage);
	if ((password.is_hashed || password.keeps_secret ||
		password.method != NULL) &&
	    password.argument == NULL)
		cli_usage(usage);
	if (names_address(argv[optind], &address, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	if (answer_path != NULL) {
		if (vacation_read(answer_path, &answer, &err) == -1)
			return cli_end(ADMIN_REFUSED, &err);
		change.answer = &answer;
	}
	home = global_vars_home();
	if (password.argument != NULL) {
		result = cli_password_hash(
		    &password, argv[optind], &data, &err);
		change.password = &data;
	}
	if (result == ADMIN_OK)
		result = change_user(&change, home, &address, &err);
	return cli_end_change(
	    home, "vmoduser", result, &err, argv[optind], NULL);
}
