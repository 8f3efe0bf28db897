/* SPDX-License-Identifier: ISC */
/*
 * Is each queue whole?  A message's number is the inode of its file (that is
 * what makes numbers unique), in the folder that the number says.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scan.h"
#include "control/settings.h"
#include "queue/dir.h"
#include "svctool/check.h"

enum { SAMPLE = 1000 /* messages of each queue that are looked at */ };

/* One folder of mess/; returns how many messages were looked at. */
static unsigned
check_folder(struct check *check, const struct queue_dir *queue, unsigned part,
    unsigned left)
{
	char *path = xasprintf("%s/mess/%u", queue->path, part);
	DIR *dir = opendir(path);
	const struct dirent *entry;
	unsigned count = 0;

	if (dir == NULL)
		check_find(check, CHECK_ERROR,
		    "%s: cannot be read (%s): run this as root or as the "
		    "queue's user",
		    path, strerror(errno));
	while (dir != NULL && count < left && (entry = readdir(dir)) != NULL) {
		struct stat st;
		uint64_t id;

		if (entry->d_name[0] == '.')
			continue;
		count++;
		if (!scan_u64(entry->d_name, UINT64_MAX, &id))
			check_find(check, CHECK_WARNING,
			    "%s/%s: not a message: move it away", path,
			    entry->d_name);
		else if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 &&
		    (st.st_ino != id || id % queue->split != part))
			check_find(check, CHECK_ERROR,
			    "%s/%s: its inode is %" PRIu64 " (was the queue "
			    "copied?): svctool queue fix %s",
			    path, entry->d_name, (uint64_t)st.st_ino,
			    queue->name);
	}
	if (dir != NULL)
		closedir(dir);
	free(path);
	return count;
}

static void
check_queue(struct check *check, const char *name)
{
	char *path = xasprintf("%s/%s", check->node->home->queue, name);
	struct error err;
	struct queue_dir *queue = queue_dir_open(path, &err);
	unsigned left = SAMPLE;

	if (queue == NULL)
		check_find(check, CHECK_ERROR, "%s: svctool queue fix %s",
		    err.text, name);
	for (unsigned i = 0; queue != NULL && left > 0 && i < queue->split; i++)
		left -= check_folder(check, queue, i, left);
	if (queue != NULL)
		queue_dir_close(&queue);
	free(path);
}

/* Every queue that the multiplexer counts on is there. */
static void
check_collection(struct check *check)
{
	const struct home *home = check->node->home;
	struct error err;
	struct settings *settings = settings_load(
	    home->control, "qmail-smtpd", NULL, &err);

	if (settings == NULL)
		return; /* check_settings says why */
	for (uint64_t i = 0; i < settings_number(settings, SETTING_queue_count);
	     i++) {
		const char *base = settings_text(settings, SETTING_queue_base);
		uint64_t number = i +
		    settings_number(settings, SETTING_queue_start);
		char *path = xasprintf("%s/queue%" PRIu64,
		    *base != '\0' ? base : home->queue, number);

		if (access(path, F_OK) == -1 && errno == ENOENT)
			check_find(check, CHECK_ERROR,
			    "%s/queue_count: it counts the queue '%s', which "
			    "does not exist: lower it, or svctool queue add",
			    home->control, path);
		free(path);
	}
	settings_free(&settings);
}

void
check_queues(struct check *check)
{
	struct arg_list queues = { .count = 0 };
	struct error err;

	if (node_queues(check->node, &queues, &err) == -1)
		check_find(check, CHECK_ERROR, "%s", err.text);
	for (size_t i = 0; i < queues.count; i++)
		check_queue(check, queues.items[i]);
	check_collection(check);
	arg_list_release(&queues);
}
