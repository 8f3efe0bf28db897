/* SPDX-License-Identifier: ISC */
/* Root looks at a node of an ordinary user as that user. */
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/owner.h"
#include "svctool/check.h"

int
check_as_owner(struct check *check, struct error *err)
{
	const struct node *node = check->node;
	struct stat home, vars;

	if (geteuid() != 0 || stat(node->home->root, &home) == -1 ||
	    stat(node->global_vars, &vars) == -1)
		return 0; /* what is missing is found later */
	/* Of a node of root's just one folder may have got another owner. */
	if (home.st_uid == 0 || home.st_uid != vars.st_uid)
		return 0;
	if (owner_enter(home.st_uid, home.st_gid, err) != ADMIN_OK)
		return -1;
	check_find(check, CHECK_WARNING, node->home->root, 0,
	    "the node belongs to user %lu, and is looked at as that user's",
	    (unsigned long)home.st_uid);
	check_remedy(check,
	    "run svctool as that user, never as root, who would run programs "
	    "that the user can change");
	return 0;
}
