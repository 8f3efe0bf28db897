/* SPDX-License-Identifier: ISC */
/* Root looks at a node of an ordinary user as that user. */
#include <unistd.h>

#include "adminsrv/owner.h"
#include "svctool/check/check.h"

int
check_as_owner(struct check *check, struct error *err)
{
	const struct node *node = check->node;
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0 || !node_is_users(node, &uid, &gid))
		return 0;
	if (owner_enter(uid, gid, err) != ADMIN_OK)
		return -1;
	check_find(check, CHECK_WARNING, node->home->root, 0,
	    "the node belongs to user %lu, and is looked at as that user's",
	    (unsigned long)uid);
	check_remedy(check,
	    "run svctool as that user, never as root, who would run programs "
	    "that the user can change");
	return 0;
}
