/* SPDX-License-Identifier: ISC */
/* vpasswd: changes a user's password. */
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/names.h"
#include "adminsrv/users.h"
#include "control/global_vars.h"
#include "control/home.h"

static const char usage[] =
    "usage: vpasswd [-en] [-h hash] [-r length] user@domain [password]\n";

static enum admin_result
change(const char *dir, uid_t uid, gid_t gid, const char *name,
    const char *hash, struct error *err)
{
	const struct vpasswd_entry *old;
	struct users *users;
	enum admin_result result = users_open(
	    dir, uid, gid, false, &users, err);

	if (result != ADMIN_OK)
		return result;
	old = vpasswd_file_find(users_file(users), name);
	if (old == NULL) {
		error_set(err, "no user '%s' in '%s'", name, dir);
		result = ADMIN_REFUSED;
	} else {
		struct vpasswd_entry entry = *old;

		entry.hash = hash;
		result = users_change(users, &entry, err);
	}
	users_close(&users);
	return result;
}

int
main(int argc, char **argv)
{
	struct cli_password password = { .argument = NULL };
	struct names_address address;
	struct store_domain domain;
	enum admin_result result;
	struct home *home;
	struct error err;
	struct buf hash;
	int option;

	cli_start("vpasswd", argv, usage);
	while ((option = getopt(argc, argv, "eh:nr:")) != -1) {
		if (!cli_password_option(&password, option, optarg))
			cli_usage(usage);
	}
	if (argc - optind < 1 || argc - optind > 2)
		cli_usage(usage);
	password.argument = argv[optind + 1];
	if (names_address(argv[optind], &address, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	buf_init(&hash);
	home = global_vars_home();
	result = users_find_domain(home->root, address.domain, &domain, &err);
	if (result == ADMIN_OK) {
		result = cli_password_hash(
		    &password, argv[optind], &hash, &err);
		if (result == ADMIN_OK)
			result = change(domain.dir, domain.uid, domain.gid,
			    address.local, hash.data, &err);
		store_domain_release(&domain);
	}
	home_free(&home);
	buf_release(&hash);
	return cli_end(result, &err);
}
