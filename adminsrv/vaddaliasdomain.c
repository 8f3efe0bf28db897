/* SPDX-License-Identifier: ISC */
/* vaddaliasdomain: gives a virtual domain another name. */
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/domain.h"
#include "adminsrv/names.h"
#include "adminsrv/users.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] = "usage: vaddaliasdomain [-v] alias-domain domain\n";

/* Is the name a virtual domain, and no alias?  1, 0, -1. */
static int
is_real_domain(const struct home *home, const char *name, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .name = NULL };
	enum admin_result result = users_find_domain(
	    home->root, name, &found, err);

	if (result != ADMIN_OK)
		return result == ADMIN_REFUSED ? 0 : -1;
	return !found.is_alias;
}

int
main(int argc, char **argv)
{
	char alias[NAMES_DOMAIN_SIZE], domain[NAMES_DOMAIN_SIZE];
	enum admin_result result = ADMIN_FAILED;
	int alias_is_real, domain_is_real;
	AUTO(home_free) struct home *home = NULL;
	struct error err;

	cli_start("vaddaliasdomain", argv, usage);
	cli_take_verbose(argc, argv, usage);
	if (argc - optind != 2)
		cli_usage(usage);
	if (names_domain(argv[optind], alias, &err) == -1 ||
	    names_domain(argv[optind + 1], domain, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	if (strcmp(alias, domain) == 0)
		return cli_end(
		    admin_refuse(&err, "'%s' cannot be its own alias", alias),
		    &err);
	home = global_vars_home();
	alias_is_real = is_real_domain(home, alias, &err);
	domain_is_real = alias_is_real == -1
	    ? -1
	    : is_real_domain(home, domain, &err);
	/* IndiMail names the alias first, vpopmail the domain: both will do. */
	if (domain_is_real != -1)
		result = alias_is_real && !domain_is_real
		    ? domain_add_alias(home, alias, domain, &err)
		    : domain_add_alias(home, domain, alias, &err);
	return cli_end_change(home, "vaddaliasdomain", result, &err,
	    argv[optind], argv[optind + 1], NULL);
}
