/* SPDX-License-Identifier: ISC */
/* vrenamedomain: gives a virtual domain, or an alias domain, another name. */
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/domain.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] = "usage: vrenamedomain [-v] old-domain new-domain\n";

int
main(int argc, char **argv)
{
	char old[NAMES_DOMAIN_SIZE], new[NAMES_DOMAIN_SIZE];
	AUTO(buf_release) struct buf left = BUF_INIT;
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result;
	struct error err;

	cli_start("vrenamedomain", argv, usage);
	cli_take_verbose(argc, argv, usage);
	if (argc - optind != 2)
		cli_usage(usage);
	if (names_domain(argv[optind], old, &err) == -1 ||
	    names_domain(argv[optind + 1], new, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	home = global_vars_home();
	buf_init(&left);
	result = domain_rename(home, old, new, &left, &err);
	cli_warn_lines(&left);
	return cli_end_change(
	    home, "vrenamedomain", result, &err, old, new, NULL);
}
