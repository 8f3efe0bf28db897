/* SPDX-License-Identifier: ISC */
/* vaddaliasdomain: gives a virtual domain another name. */
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/domain.h"
#include "adminsrv/names.h"
#include "adminsrv/users.h"
#include "control/global_vars.h"

static const char usage[] = "usage: vaddaliasdomain alias-domain domain\n";

/* Is the name a virtual domain, and no alias? */
static enum admin_result
is_real_domain(const struct home *home, const char *name, bool *is_real_out,
    struct error *err)
{
	struct store_domain found;
	enum admin_result result = users_find_domain(
	    home->root, name, &found, err);

	*is_real_out = false;
	if (result == ADMIN_OK) {
		*is_real_out = !found.is_alias;
		store_domain_release(&found);
	}
	return result == ADMIN_FAILED ? ADMIN_FAILED : ADMIN_OK;
}

int
main(int argc, char **argv)
{
	char alias[NAMES_DOMAIN_SIZE], domain[NAMES_DOMAIN_SIZE];
	bool alias_is_real, domain_is_real;
	enum admin_result result;
	struct home *home;
	struct error err;

	cli_start("vaddaliasdomain", argv, usage);
	if (getopt(argc, argv, "") != -1 || argc - optind != 2)
		cli_usage(usage);
	if (names_domain(argv[optind], alias, &err) == -1 ||
	    names_domain(argv[optind + 1], domain, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	if (strcmp(alias, domain) == 0)
		return cli_end(
		    admin_refuse(&err, "'%s' cannot be its own alias", alias),
		    &err);
	home = global_vars_home();
	result = is_real_domain(home, alias, &alias_is_real, &err);
	if (result == ADMIN_OK)
		result = is_real_domain(home, domain, &domain_is_real, &err);
	/* IndiMail names the alias first, vpopmail the domain: both will do. */
	if (result == ADMIN_OK && alias_is_real && !domain_is_real)
		result = domain_add_alias(home, alias, domain, &err);
	else if (result == ADMIN_OK)
		result = domain_add_alias(home, domain, alias, &err);
	home_free(&home);
	return cli_end(result, &err);
}
