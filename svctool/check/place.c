/* SPDX-License-Identifier: ISC */
/* Is the node where it was made for, and does its own user run it? */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "svctool/check/check.h"
#include "svctool/run/place.h"
#include "svctool/run/session.h"

static void
see(const char *file, const char *other, void *context)
{
	struct check *check = context;
	const char *root = check->node->home->root;

	check_find(check, CHECK_ERROR, file, 0,
	    "it names '%s', which is not of this node (was the node moved or "
	    "copied?)",
	    other);
	check_remedy(check,
	    "put the folder back where it was, or rm '%s', and 'svctool init "
	    "--home %s' makes it for this place",
	    file, root);
}

/* Started by another user, it starts services that can read and write less. */
static void
check_svscan(struct check *check)
{
	const char *service = check->node->home->service;
	pid_t svscan = session_svscan(check->node);
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%ld", (long)svscan);
	if (svscan == 0 || stat(path, &st) == -1 || st.st_uid == geteuid())
		return;
	check_find(check, CHECK_ERROR, service, 0,
	    "svscan (pid %ld) was started there by user %lu, and not by the "
	    "node's",
	    (long)svscan, (unsigned long)st.st_uid);
	check_remedy(
	    check, "svctool stop as that user or root, then svctool start");
}

void
check_place(struct check *check)
{
	place_find(check->node, see, check);
	check_svscan(check);
}
