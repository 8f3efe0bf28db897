/* SPDX-License-Identifier: ISC */
/* Is there room for new mail, logs and the states of supervise? */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "svctool/check.h"

/* wanted: bytes that new mail wants there, or 0: any. */
static void
look(struct check *check, const char *path, uint64_t wanted)
{
	struct statvfs fs;
	uint64_t bytes;

	if (statvfs(path, &fs) == -1)
		return; /* missing: others find that */
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (bytes == 0 || bytes < wanted) {
		check_find(check, CHECK_ERROR, path, 0,
		    "%" PRIu64 " bytes are free on its filesystem, so %s",
		    bytes,
		    wanted > 0 ? "no new mail is taken"
			       : "nothing can be written there");
		if (bytes > 0)
			check_remedy(check,
			    "make room there, or lower control/min_free");
		else
			check_remedy(check, "make room there");
	}
	/* Some filesystems (btrfs) count none: then both are 0. */
	if (fs.f_files > 0 && fs.f_favail == 0) {
		check_find(check, CHECK_ERROR, path, 0,
		    "its filesystem has no free inode, so no file can be made "
		    "there");
		check_remedy(check, "remove files there ('df -i' counts)");
	}
}

/* Folders of the node may be mounted, as the domains mostly are. */
void
check_space(struct check *check)
{
	const struct home *home = check->node->home;
	const char *const folders[] = { home->root, home->domains,
		home->service, home->log, home->run };
	uint64_t min_free = settings_number(check->settings, SETTING_min_free);
	struct arg_list queues;
	struct check_crowd crowd = { .count = 0 };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		look(check, folders[i], 0);
	check_names(check, node_queues, &queues);
	for (size_t i = 0; i < queues.count; i++) {
		char *path = xasprintf("%s/%s", home->queue, queues.items[i]);

		if (check_crowd_has_room(&crowd))
			look(check, path, min_free);
		free(path);
	}
	arg_list_release(&queues);
}
