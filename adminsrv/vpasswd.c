/* SPDX-License-Identifier: ISC */
/* vpasswd: changes a user's password. */
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/names.h"
#include "adminsrv/users.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: vpasswd [-Cenv] [-h hash] [-r length] user@domain [password]\n";

static enum admin_result
change_password(const struct home *home, const struct names_address *address,
    const struct password_data *data, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	const struct vpasswd_entry *old;
	struct vpasswd_entry entry;
	enum admin_result result = users_open_named(
	    home->root, address->domain, &users, err);

	if (result == ADMIN_OK)
		result = users_find(users, address->local, &old, err);
	if (result != ADMIN_OK)
		return result;
	entry = *old;
	entry.hash = data->hash.data;
	entry.scram = password_text(&data->scram);
	entry.secret = password_text(&data->secret);
	return users_change(users, &entry, err);
}

int
main(int argc, char **argv)
{
	struct cli_password password = { .argument = NULL };
	struct names_address address;
	AUTO(store_domain_release)
	struct store_domain domain = { .name = NULL };
	enum admin_result result;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	AUTO(password_data_release)
	struct password_data data = { .hash = BUF_INIT };
	int option;

	cli_start("vpasswd", argv, usage);
	while ((option = getopt(argc, argv, "Ceh:nr:v")) != -1) {
		if (option == 'v')
			cli_be_verbose();
		else if (!cli_password_option(&password, option, optarg))
			cli_usage(usage);
	}
	if (argc - optind < 1 || argc - optind > 2)
		cli_usage(usage);
	password.argument = argv[optind + 1];
	if (names_address(argv[optind], &address, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	home = global_vars_home();
	result = users_find_domain(home->root, address.domain, &domain, &err);
	if (result == ADMIN_OK)
		result = cli_password_hash(
		    &password, argv[optind], &data, &err);
	if (result == ADMIN_OK)
		result = change_password(home, &address, &data, &err);
	return cli_end_change(
	    home, "vpasswd", result, &err, argv[optind], NULL);
}
