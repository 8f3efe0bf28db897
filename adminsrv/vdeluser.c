/* SPDX-License-Identifier: ISC */
/* vdeluser: removes users and their mail. */
#include <string.h>

#include "adminsrv/cli.h"
#include "adminsrv/names.h"
#include "adminsrv/users.h"
#include "base/mem.h"

static const char usage[] = "usage: vdeluser [-fv] user@domain\n";

static enum admin_result
remove_asked(
    struct users *users, const char *name, bool is_sure, struct error *err)
{
	const struct vpasswd_entry *entry;
	enum admin_result result = users_find(users, name, &entry, err);

	if (result != ADMIN_OK)
		return result;
	if (!cli_confirm(is_sure,
		"The user '%s' of '%s' goes, with all mail in '%s'.", name,
		users_domain(users), entry->dir))
		return admin_refuse(err,
		    "nothing was removed: say yes, or --yes");
	return users_remove(users, name, err);
}

int
main(int argc, char **argv)
{
	struct names_address address;
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	bool is_sure = false;
	int option;

	cli_start("vdeluser", argv, usage);
	while ((option = getopt_long(argc, argv, "fv", cli_yes, NULL)) != -1)
		if (option == 'f')
			is_sure = true;
		else if (option == 'v')
			cli_be_verbose();
		else
			cli_usage(usage);
	if (argc - optind != 1)
		cli_usage(usage);
	if (names_address(argv[optind], &address, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	if (strcmp(address.local, "postmaster") == 0)
		return cli_end(
		    admin_refuse(&err,
			"every domain has a postmaster (RFC 5321 4.5.1): "
			"vdeldomain removes the domain"),
		    &err);
	result = cli_open_user(argv[optind], &address, &home, &users, &err);
	if (result == ADMIN_OK)
		result = remove_asked(users, address.local, is_sure, &err);
	users_close(&users);
	return cli_end_change(
	    home, "vdeluser", result, &err, argv[optind], NULL);
}
