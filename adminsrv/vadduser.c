/* SPDX-License-Identifier: ISC */
/* vadduser: adds users to virtual domains. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "adminsrv/bulk.h"
#include "adminsrv/cli.h"
#include "adminsrv/names.h"
#include "adminsrv/quota_text.h"
#include "adminsrv/users.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: vadduser [-Cen] [-c comment] [-h hash] [-q quota] [-r length]\n"
    "                user@domain [password]\n"
    "       vadduser -i [-Cen] [-c comment] [-h hash] [-q quota] < list\n"
    "       vadduser --file list [-Cen] [-c comment] [-h hash] [-q quota]\n";

static const struct option long_options[] = {
	{ "file", required_argument, NULL, 'f' },
	{ NULL, 0, NULL, 0 },
};

struct options {
	struct cli_password password;
	const char *gecos; /* NULL: the user's name */
	const char *quota;
	bool is_list;
	const char *file; /* of the list; NULL: descriptor 0 */
};

static enum admin_result
add_single(const struct home *home, const struct options *options,
    const char *argument, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	AUTO(password_data_release)
	struct password_data data = { .hash = BUF_INIT };
	AUTO(buf_release) struct buf quota = BUF_INIT;
	struct users_new new = { .gecos = options->gecos };
	struct names_address address;
	AUTO(store_domain_release)
	struct store_domain domain = { .name = NULL };
	enum admin_result result;

	if (names_address(argument, &address, err) == -1 ||
	    names_check_new_user(address.local, err) == -1)
		return ADMIN_REFUSED;
	/* Nobody is asked for a password in vain. */
	result = users_find_domain(home->root, address.domain, &domain, err);
	if (result != ADMIN_OK)
		return result;
	if (quota_text_read(options->quota, &quota, err) == -1)
		return ADMIN_REFUSED;
	result = cli_password_hash(&options->password, argument, &data, err);
	if (result == ADMIN_OK)
		result = users_open_named(
		    home->root, address.domain, &users, err);
	if (result != ADMIN_OK)
		return result;
	new.name = address.local;
	new.hash = data.hash.data;
	new.scram = password_text(&data.scram);
	new.secret = password_text(&data.secret);
	new.quota = quota.data;
	if (new.gecos == NULL)
		new.gecos = address.local;
	return users_add(users, &new, 1, err);
}

static enum admin_result
add_list(
    const struct home *home, const struct options *options, struct error *err)
{
	enum bulk_password kind = options->password.is_none ? BULK_NO_PASSWORD
	    : options->password.is_hashed                   ? BULK_HASHED
	    : options->password.keeps_secret                ? BULK_KEPT
							    : BULK_CLEAR;
	AUTO(bulk_release) struct bulk bulk = { .users = NULL };
	FILE *file = options->file == NULL ? stdin : fopen(options->file, "re");

	if (file == NULL)
		return admin_fail(err, "cannot open '%s'", options->file);
	if (bulk_read(file, kind, options->quota, &bulk, err) == -1 ||
	    bulk_hash(&bulk, kind, options->password.method, err) == -1)
		return ADMIN_REFUSED;
	return bulk_add(&bulk, home->root, options->gecos, err);
}

int
main(int argc, char **argv)
{
	const char *standard = getenv("HARD_QUOTA");
	struct options options = {
		.quota = standard == NULL || *standard == '\0' ? "NOQUOTA"
							       : standard
	};
	enum admin_result result;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	int option;

	cli_start("vadduser", argv, usage);
	while ((option = getopt_long(
		    argc, argv, "Cc:eh:inq:r:", long_options, NULL)) != -1) {
		if (option == 'c')
			options.gecos = optarg;
		else if (option == 'i')
			options.is_list = true;
		else if (option == 'f') {
			options.is_list = true;
			options.file = optarg;
		} else if (option == 'q')
			options.quota = optarg;
		else if (!cli_password_option(
			     &options.password, option, optarg))
			cli_usage(usage);
	}
	if (options.is_list ? argc != optind || options.password.random_length
			    : argc - optind < 1 || argc - optind > 2)
		cli_usage(usage);
	home = global_vars_home();
	if (options.is_list)
		result = add_list(home, &options, &err);
	else {
		options.password.argument = argv[optind + 1];
		result = add_single(home, &options, argv[optind], &err);
	}
	return cli_end(result, &err);
}
