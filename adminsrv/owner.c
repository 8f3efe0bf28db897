/* SPDX-License-Identifier: ISC */
/* The owner of a domain's files. */
#include "adminsrv/owner.h"

#include <assert.h>
#include <grp.h>
#include <stdbool.h>
#include <unistd.h>

enum admin_result
owner_enter(uid_t uid, gid_t gid, struct error *err)
{
	if (geteuid() != 0) {
		if (geteuid() == uid)
			return ADMIN_OK;
		return admin_refuse(err,
		    "the domain's files belong to uid %ld: run this as that "
		    "user or as root",
		    (long)uid);
	}
	if (uid == 0)
		return ADMIN_OK;
	if (setgroups(1, &gid) == -1 || setegid(gid) == -1 ||
	    seteuid(uid) == -1) {
		error_sys(err, "cannot act as uid %ld, gid %ld", (long)uid,
		    (long)gid);
		owner_leave();
		return ADMIN_FAILED;
	}
	return ADMIN_OK;
}

void
owner_leave(void)
{
	const gid_t root_group = 0;
	bool is_root;

	if (getuid() != 0)
		return;
	is_root = seteuid(0) == 0 && setegid(0) == 0 &&
	    setgroups(1, &root_group) == 0;
	assert(is_root);
}
