/* SPDX-License-Identifier: ISC */
/* vadddomain: makes a virtual domain with its postmaster. */
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/dirhash.h"
#include "adminsrv/domain.h"
#include "adminsrv/domain_cluster.h"
#include "adminsrv/names.h"
#include "adminsrv/quota_text.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: vadddomain [-bCenv] [-B base] [-E address] [-h hash]\n"
    "                  [-l users-per-level] [-q quota] [-r length] domain [postmaster-password]\n"
    "       vadddomain --cluster [-Cenv] [-H node | --store store] [--no-wait]\n"
    "                  [-h hash] [-q quota] [-r length] domain [postmaster-password]\n";

static const struct option long_options[] = {
	{ "cluster", no_argument, NULL, 'c' },
	{ "store", required_argument, NULL, 'S' },
	{ "no-wait", no_argument, NULL, 'w' },
	{ NULL, 0, NULL, 0 },
};

int
main(int argc, char **argv)
{
	struct domain_options options = { .users_per_level = 0 };
	struct cli_password password = { .argument = NULL };
	const char *quota_text = "NOQUOTA", *catch_all = NULL;
	OWN_TEXT catch_all_address = NULL;
	AUTO(password_data_release)
	struct password_data data = { .hash = BUF_INIT };
	AUTO(buf_release) struct buf quota = BUF_INIT;
	char domain[NAMES_DOMAIN_SIZE];
	enum admin_result result;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	bool is_clustered = false;
	int option;

	cli_start("vadddomain", argv, usage);
	while ((option = getopt_long(argc, argv, "B:bCE:eH:nh:l:q:r:v",
		    long_options, NULL)) != -1) {
		if (option == 'B')
			options.base_path = optarg;
		else if (option == 'b')
			catch_all = NULL;
		else if (option == 'E')
			catch_all = optarg;
		else if (option == 'l')
			options.users_per_level = cli_number(
			    'l', optarg, 1, DIRHASH_LIMIT_MAX);
		else if (option == 'q')
			quota_text = optarg;
		else if (option == 'c')
			is_clustered = true;
		else if (option == 'H')
			options.wish.host = optarg;
		else if (option == 'S')
			options.wish.store = optarg;
		else if (option == 'w')
			options.no_wait = true;
		else if (option == 'v')
			cli_be_verbose();
		else if (!cli_password_option(&password, option, optarg))
			cli_usage(usage);
	}
	if (argc - optind < 1 || argc - optind > 2 ||
	    (is_clustered
		    ? options.base_path != NULL || catch_all != NULL ||
			options.users_per_level > 0
		    : options.wish.host != NULL ||
			options.wish.store != NULL || options.no_wait))
		cli_usage(usage);
	if (names_domain(argv[optind], domain, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	if (catch_all != NULL) {
		struct names_address address;

		/* It stands in a line that may go to a shell. */
		if (names_address(catch_all, &address, &err) == -1 ||
		    names_check_new_user(address.local, &err) == -1)
			return cli_end(ADMIN_REFUSED, &err);
		catch_all_address = xasprintf(
		    "%s@%s", address.local, address.domain);
		options.catch_all = catch_all_address;
	}
	password.argument = argv[optind + 1]; /* argv ends with NULL */
	if (quota_text_read(quota_text, &quota, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	home = global_vars_home(); /* which may say how to hash */
	result = cli_password_hash(&password, "postmaster", &data, &err);
	options.password_hash = data.hash.data;
	options.password_scram = password_text(&data.scram);
	options.password_secret = password_text(&data.secret);
	options.quota = quota.data;
	if (result == ADMIN_OK)
		result = is_clustered
		    ? domain_cluster_add(home, domain, &options, &err)
		    : domain_add(home, domain, &options, &err);
	return cli_end_change(home, "vadddomain", result, &err, domain, NULL);
}
