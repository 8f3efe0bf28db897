/* SPDX-License-Identifier: ISC */
/* vrenameuser: gives a user another name. */
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "base/mem.h"
#include "lookupd/logins.h"
#include "control/layout.h"

static const char usage[] = "usage: vrenameuser [-v] old@domain new@domain\n";

/* The new name in the same domain, in any of its spellings. */
static enum admin_result
check_domain(const struct home *home, const struct names_address *address,
    const struct users *users, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .name = NULL };
	enum admin_result result = users_find_domain(
	    home->root, address->domain, &found, err);

	if (result == ADMIN_OK && strcmp(found.name, users_domain(users)) != 0)
		return admin_refuse(err,
		    "'%s' is another domain: vadduser adds the user there",
		    address->domain);
	return result;
}

static enum admin_result
rename_user(const struct home *home, struct users *users, const char *name,
    const char *new_name, struct error *err)
{
	OWN_TEXT logins = layout_path(home, LAYOUT_logins);
	enum admin_result result;

	if (strcmp(name, "postmaster") == 0)
		return admin_refuse(
		    err, "every domain has a postmaster (RFC 5321 4.5.1)");
	/* When the user logged in last goes along, or is asked for again. */
	result = users_rename(users, name, new_name, err);
	if (result == ADMIN_OK)
		logins_rename(logins, users_domain(users), name, new_name);
	return result;
}

int
main(int argc, char **argv)
{
	struct names_address old, new;
	AUTO(users_close) struct users *users = NULL;
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result;
	struct error err;

	cli_start("vrenameuser", argv, usage);
	cli_take_verbose(argc, argv, usage);
	if (argc - optind != 2)
		cli_usage(usage);
	if (names_address(argv[optind + 1], &new, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	result = cli_open_user(argv[optind], &old, &home, &users, &err);
	if (result == ADMIN_OK)
		result = check_domain(home, &new, users, &err);
	if (result == ADMIN_OK)
		result = rename_user(home, users, old.local, new.local, &err);
	users_close(&users);
	return cli_end_change(home, "vrenameuser", result, &err, argv[optind],
	    argv[optind + 1], NULL);
}
