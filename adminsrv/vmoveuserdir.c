/* SPDX-License-Identifier: ISC */
/* vmoveuserdir: moves a user's folder, also to another filesystem. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "base/mem.h"

static const char usage[] = "usage: vmoveuserdir [-v] user@domain folder\n";

int
main(int argc, char **argv)
{
	struct names_address address;
	AUTO(users_close) struct users *users = NULL;
	AUTO(home_free) struct home *home = NULL;
	OWN_TEXT old_dir = NULL;
	const struct vpasswd_entry *entry;
	enum admin_result result;
	struct error err;

	cli_start("vmoveuserdir", argv, usage);
	cli_take_verbose(argc, argv, usage);
	if (argc - optind != 2)
		cli_usage(usage);
	result = cli_open_user(argv[optind], &address, &home, &users, &err);
	if (result == ADMIN_OK)
		result = users_find(users, address.local, &entry, &err);
	if (result == ADMIN_OK) {
		old_dir = xstrdup(entry->dir);
		result = users_move(
		    users, address.local, argv[optind + 1], &err);
	}
	users_close(&users);
	return cli_end_change(home, "vmoveuserdir", result, &err, argv[optind],
	    old_dir == NULL ? "" : old_dir, argv[optind + 1], NULL);
}
