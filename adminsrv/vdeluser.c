/* SPDX-License-Identifier: ISC */
/* vdeluser: removes a user and the user's mail. */
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/names.h"
#include "adminsrv/users.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] = "usage: vdeluser user@domain\n";

int
main(int argc, char **argv)
{
	struct names_address address;
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result;
	AUTO(home_free) struct home *home = NULL;
	struct error err;

	cli_start("vdeluser", argv, usage);
	if (getopt(argc, argv, "") != -1 || argc - optind != 1)
		cli_usage(usage);
	if (names_address(argv[optind], &address, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	if (strcmp(address.local, "postmaster") == 0)
		return cli_end(
		    admin_refuse(&err,
			"every domain has a postmaster (RFC 5321 4.5.1): "
			"vdeldomain removes the domain"),
		    &err);
	home = global_vars_home();
	result = users_open_named(home->root, address.domain, &users, &err);
	if (result == ADMIN_OK)
		result = users_remove(users, address.local, &err);
	return cli_end(result, &err);
}
