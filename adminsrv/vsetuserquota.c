/* SPDX-License-Identifier: ISC */
/* vsetuserquota: changes a user's quota. */
#include <stdio.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/quota_text.h"
#include "base/mem.h"

static const char usage[] = "usage: vsetuserquota [-v] user@domain quota\n";

int
main(int argc, char **argv)
{
	struct names_address address;
	AUTO(users_close) struct users *users = NULL;
	AUTO(home_free) struct home *home = NULL;
	AUTO(buf_release) struct buf quota = BUF_INIT;
	const struct vpasswd_entry *old;
	enum admin_result result;
	struct error err;
	bool is_verbose = false;
	int option;

	cli_start("vsetuserquota", argv, usage);
	while ((option = getopt(argc, argv, "+v")) != -1)
		if (option == 'v')
			is_verbose = true;
		else
			cli_usage(usage);
	if (argc - optind != 2)
		cli_usage(usage);
	result = cli_open_user(argv[optind], &address, &home, &users, &err);
	if (result == ADMIN_OK)
		result = users_find(users, address.local, &old, &err);
	if (result == ADMIN_OK &&
	    quota_text_change(argv[optind + 1], old->quota, &quota, &err) == -1)
		result = ADMIN_REFUSED;
	if (result == ADMIN_OK)
		result = users_set_quota(
		    users, address.local, quota.data, &err);
	if (result == ADMIN_OK && is_verbose)
		printf("%s@%s: %s\n", address.local, users_domain(users),
		    quota.data);
	users_close(&users);
	return cli_end_change(home, "vsetuserquota", result, &err, argv[optind],
	    quota.data == NULL ? "" : quota.data, NULL);
}
