/* SPDX-License-Identifier: ISC */
/* Is there room for new mail, logs and the states of supervise? */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "svctool/check/check.h"

/* As long as a file gets that multilog then puts aside (run_script_log()). */
enum { LOG_WANTED_BYTES = 1000000 };

/* A folder, and the bytes that are wanted there, or 0: any. */
struct space {
	const char *path;
	uint64_t wanted_bytes;
	enum check_level level;          /* of less than that */
	const char *of_none, *of_little; /* what follows from that */
	const char *remedy;
};

static void
look_at_space(struct check *check, const struct space *space)
{
	struct statvfs fs;
	uint64_t bytes;

	if (statvfs(space->path, &fs) == -1)
		return; /* missing: others find that */
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (bytes == 0) {
		check_find(check, CHECK_ERROR, space->path, 0,
		    "0 bytes are free on its filesystem, so %s" REMEDY
		    "make room there",
		    space->of_none);
	} else if (bytes < space->wanted_bytes) {
		check_find(check, space->level, space->path, 0,
		    "%" PRIu64 " bytes are free on its filesystem, so %s" REMEDY
		    "make room there%s",
		    bytes, space->of_little, space->remedy);
	}
	/* Some filesystems (btrfs) count none: then both are 0. */
	if (fs.f_files > 0 && fs.f_favail == 0)
		check_find(check, CHECK_ERROR, space->path, 0,
		    "its filesystem has no free inode, so no file can be made "
		    "there" REMEDY "remove files there ('df -i' counts)");
}

static void
look_at_queues(struct check *check)
{
	AUTO(strlist_release) struct strlist queues = { .count = 0 };
	struct check_crowd crowd = { .count = 0 };

	check_names(check, node_queues, &queues);
	for (size_t i = 0; i < queues.count; i++) {
		OWN_TEXT path = xasprintf(
		    "%s/%s", check->node->home->queue, queues.items[i]);
		const struct space space = { path,
			settings_number(check->settings, SETTING_min_free),
			CHECK_ERROR, "no new mail is taken",
			"no new mail is taken", ", or lower control/min_free" };

		if (check_crowd_has_room(&crowd))
			look_at_space(check, &space);
	}
}

/* The log folder, and those of services that lie elsewhere. */
static void
look_at_logs(struct check *check)
{
	const char *log = check->node->home->log;
	struct space space = { log, LOG_WANTED_BYTES, CHECK_WARNING,
		"no log line is written", "log lines will soon be lost",
		", or let multilog keep fewer files (n20 in log/run)" };
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	struct stat st, other;

	look_at_space(check, &space);
	if (stat(log, &st) == -1)
		return;
	check_names(check, node_services, &services);
	for (size_t i = 0; i < services.count; i++) {
		OWN_TEXT path = xasprintf("%s/%s", log, services.items[i]);

		space.path = path;
		if (stat(path, &other) == 0 && other.st_dev != st.st_dev)
			look_at_space(check, &space);
	}
}

/* Folders of the node may be mounted, as the domains mostly are. */
void
check_space(struct check *check)
{
	const struct home *home = check->node->home;
	const char *const folders[] = { home->root, home->domains,
		home->service, home->run };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		const struct space space = { folders[i], 0, CHECK_ERROR,
			"nothing can be written there", "", "" };

		look_at_space(check, &space);
	}
	look_at_logs(check);
	look_at_queues(check);
}
