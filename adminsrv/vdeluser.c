/* SPDX-License-Identifier: ISC */
/* vdeluser: removes a user and the user's mail. */
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/names.h"
#include "adminsrv/users.h"
#include "control/global_vars.h"
#include "control/home.h"

static const char usage[] = "usage: vdeluser user@domain\n";

int
main(int argc, char **argv)
{
	struct names_address address;
	struct users *users = NULL;
	struct store_domain domain;
	enum admin_result result;
	struct home *home;
	struct error err;

	cli_start("vdeluser", argv, usage);
	if (getopt(argc, argv, "") != -1 || argc - optind != 1)
		cli_usage(usage);
	if (names_address(argv[optind], &address, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	if (strcmp(address.local, "postmaster") == 0) {
		error_set(&err,
		    "every domain has a postmaster (RFC 5321 "
		    "4.5.1): vdeldomain removes the domain");
		return cli_end(ADMIN_REFUSED, &err);
	}
	home = global_vars_home();
	result = users_find_domain(home->root, address.domain, &domain, &err);
	if (result == ADMIN_OK) {
		result = users_open(
		    domain.dir, domain.uid, domain.gid, false, &users, &err);
		store_domain_release(&domain);
	}
	if (result == ADMIN_OK)
		result = users_remove(users, address.local, &err);
	users_close(&users);
	home_free(&home);
	return cli_end(result, &err);
}
