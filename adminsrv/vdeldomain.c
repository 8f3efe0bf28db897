/* SPDX-License-Identifier: ISC */
/* vdeldomain: removes a virtual domain, or an alias domain. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/domain.h"
#include "adminsrv/names.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] = "usage: vdeldomain [-fkv] [--no-wait] domain\n";

/*
 * What goes, told before; what is no domain any more is just removed.  Scripts
 * are asked to be sure where mail goes, and only there.
 */
static bool
is_wanted(
    const struct home *home, const char *domain, bool keep_mail, bool is_sure)
{
	AUTO(users_close) struct users *users = NULL;
	bool is_script = !isatty(STDIN_FILENO);
	uint64_t count = 0;
	enum admin_result found;
	struct error err;

	if (is_sure)
		return true;
	found = users_open_named(home->root, domain, &users, &err);
	if (found == ADMIN_REFUSED)
		return true;
	if (found != ADMIN_OK || users_count(users, &count, &err) == -1)
		return cli_confirm(false,
		    "The domain '%s' goes%s, and its users cannot be looked "
		    "at: %s.",
		    domain, keep_mail ? "" : " with all mail", err.text);
	if (strcmp(users_domain(users), domain) != 0)
		return cli_confirm(is_script,
		    "The name '%s' of the domain '%s' goes; users and mail "
		    "stay.",
		    domain, users_domain(users));
	return cli_confirm(keep_mail && is_script,
	    "The domain '%s' goes, with its alias domains, its postmaster and "
	    "%" PRIu64 " other users, and %s in '%s'%s.",
	    domain, count, keep_mail ? "leaves their mail" : "all their mail",
	    users_dir(users),
	    keep_mail ? "" : " and wherever else users have folders");
}

static const struct option long_options[] = {
	{ "yes", no_argument, NULL, 'f' },
	{ "no-wait", no_argument, NULL, 'w' },
	{ NULL, 0, NULL, 0 },
};

int
main(int argc, char **argv)
{
	char domain[NAMES_DOMAIN_SIZE];
	enum admin_result result;
	bool keep_mail = false, no_wait = false, is_sure = false;
	AUTO(buf_release) struct buf left = BUF_INIT;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	int option;

	cli_start("vdeldomain", argv, usage);
	while ((option = getopt_long(
		    argc, argv, "fkv", long_options, NULL)) != -1)
		if (option == 'k')
			keep_mail = true;
		else if (option == 'f')
			is_sure = true;
		else if (option == 'w')
			no_wait = true;
		else if (option == 'v')
			cli_be_verbose();
		else
			cli_usage(usage);
	if (argc - optind != 1)
		cli_usage(usage);
	if (names_domain(argv[optind], domain, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	home = global_vars_home();
	if (!is_wanted(home, domain, keep_mail, is_sure))
		return cli_end(admin_refuse(&err,
				   "nothing was removed: say yes, or --yes"),
		    &err);
	buf_init(&left);
	result = domain_remove(home, domain, keep_mail, no_wait, &left, &err);
	cli_warn_lines(&left);
	return cli_end_change(home, "vdeldomain", result, &err, domain, NULL);
}
