/* SPDX-License-Identifier: ISC */
/* vdeldomain: removes a virtual domain, or an alias domain. */
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/domain.h"
#include "adminsrv/names.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] = "usage: vdeldomain [-k] domain\n";

int
main(int argc, char **argv)
{
	char domain[NAMES_DOMAIN_SIZE];
	enum admin_result result;
	bool keep_mail = false;
	AUTO(buf_release) struct buf left = BUF_INIT;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	int option;

	cli_start("vdeldomain", argv, usage);
	while ((option = getopt(argc, argv, "k")) != -1) {
		if (option != 'k')
			cli_usage(usage);
		keep_mail = true;
	}
	if (argc - optind != 1)
		cli_usage(usage);
	if (names_domain(argv[optind], domain, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	home = global_vars_home();
	buf_init(&left);
	result = domain_remove(home, domain, keep_mail, &left, &err);
	for (const char *at = left.data; *at != '\0';) {
		int length = (int)strcspn(at, "\n");

		log_line("warning: %.*s", length, at);
		at += length + (at[length] == '\n');
	}
	return cli_end(result, &err);
}
