/* SPDX-License-Identifier: ISC */
/* vmkpasswd: makes a domain's vpasswd.cdb from its vpasswd. */
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/names.h"
#include "adminsrv/users.h"
#include "base/mem.h"
#include "control/home.h"

static const char usage[] = "usage: vmkpasswd domain\n";

int
main(int argc, char **argv)
{
	char name[NAMES_DOMAIN_SIZE];
	AUTO(store_domain_release)
	struct store_domain domain = { .name = NULL };
	enum admin_result result;
	AUTO(home_free) struct home *home = NULL;
	struct error err;

	cli_start("vmkpasswd", argv, usage);
	if (getopt(argc, argv, "") != -1 || argc - optind != 1)
		cli_usage(usage);
	if (names_domain(argv[optind], name, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	home = home_new();
	result = users_find_domain(home->root, name, &domain, &err);
	if (result == ADMIN_OK) {
		const struct users_at at = users_at(home, &domain);

		result = users_compile(&at, &err);
	}
	return cli_end(result, &err);
}
