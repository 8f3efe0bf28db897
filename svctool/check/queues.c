/* SPDX-License-Identifier: ISC */
/*
 * Is each queue whole?  A message lies in the folder that its number says, and
 * can be delivered as it is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/scan.h"
#include "queue/look.h"
#include "svctool/check/queue.h"

/* Messages of each queue that are looked at: by name, and inside. */
enum { SAMPLE = 1000, DAMAGE_SAMPLE = 10000 };

/* One queue's messages. */
struct messages {
	struct check *check;
	const struct queue_dir *queue;
	uid_t uid;
	unsigned left; /* of the sample */
	struct check_crowd crowd;
};

static void find_wrong(struct messages *messages, const char *path,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

static void
find_wrong(struct messages *messages, const char *path, const char *format, ...)
{
	va_list arguments;
	char *text;

	if (!check_crowd_has_room(&messages->crowd))
		return;
	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) == -1)
		abort();
	va_end(arguments);
	check_find(messages->check, CHECK_ERROR, path, 0, "%s", text);
	check_remedy(
	    messages->check, "svctool queue fix %s", messages->queue->name);
	free(text);
}

static void
check_message(
    struct messages *messages, const char *path, int fd, unsigned part)
{
	const char *name = strrchr(path, '/') + 1;
	struct stat st;
	uint64_t id;

	if (!scan_u64(name, UINT64_MAX, &id)) {
		check_find(messages->check, CHECK_WARNING, path, 0,
		    "it is no message");
		check_remedy(messages->check, "move it away");
		return;
	}
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return; /* gone meanwhile */
	if (id % messages->queue->split != part)
		find_wrong(messages, path,
		    "it belongs into mess/%" PRIu64
		    " (was the queue copied from one of another split?)",
		    id % messages->queue->split);
	if (st.st_uid != messages->uid)
		find_wrong(messages, path,
		    "it belongs to uid %lu, and should to uid %lu",
		    (unsigned long)st.st_uid, (unsigned long)messages->uid);
}

/* One folder of mess/. */
static void
check_folder(struct messages *messages, unsigned part)
{
	char *folder = xasprintf("%s/mess/%u", messages->queue->path, part);
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (dir == NULL) {
		check_find(messages->check, CHECK_ERROR, folder, 0,
		    "cannot be read: %s", strerror(errno));
		check_remedy(
		    messages->check, "run this as root or as the queue's user");
	}
	while (dir != NULL && messages->left > 0 &&
	    (entry = readdir(dir)) != NULL) {
		char *path;

		if (entry->d_name[0] == '.')
			continue;
		path = xasprintf("%s/%s", folder, entry->d_name);
		check_message(messages, path, dirfd(dir), part);
		messages->left--;
		free(path);
	}
	if (dir != NULL)
		closedir(dir);
	free(folder);
}

static void
check_messages(struct check *check, const struct queue_dir *queue)
{
	struct messages messages = {
		.check = check, .queue = queue, .left = SAMPLE
	};
	char *remedy = xasprintf("svctool queue fix %s", queue->name);

	if (check_owner_uid(check, queue->path, MAKE_QUEUE, &messages.uid))
		for (unsigned i = 0; messages.left > 0 && i < queue->split; i++)
			check_folder(&messages, i);
	check_crowd_end(check, &messages.crowd, queue->path, remedy);
	free(remedy);
}

/* Only people can tell what is to become of these. */
static void
check_damage(struct check *check, const struct queue_dir *queue)
{
	struct look_damage damage;
	struct buf ids = BUF_INIT;
	struct error err;

	if (look_damage(queue, LOOK_EVERYWHERE, DAMAGE_SAMPLE, &damage, NULL,
		&err) == -1) {
		check_find(check, CHECK_ERROR, queue->path, 0, "%s", err.text);
		check_remedy(check,
		    "run this as root or as the queue's user; what is damaged "
		    "is kept aside when the queue starts again");
	}
	if (damage.count > 0) {
		look_damage_format(&damage, &ids);
		check_find(check, CHECK_ERROR, queue->path, 0,
		    "%" PRIu64 " message%s cannot be delivered: %s",
		    damage.count, damage.count == 1 ? "" : "s", ids.data);
		check_remedy(check,
		    "QUEUEDIR=%s qmail-qread says why, of each; mend what can "
		    "be, or move the files of that number away while the queue "
		    "is stopped",
		    queue->path);
	}
	buf_release(&ids);
}

/*
 * Is queue-fix at work there, or was it interrupted?  Then nothing lies where
 * it belongs, and its end mends that.
 */
static bool
is_in_repair(struct check *check, const char *path, const char *name)
{
	struct error err;

	if (queue_check_fixed(path, &err) == 0)
		return false;
	/* Asked again, since a repair may just have ended. */
	if (queue_is_owned(path, NULL) == 0 &&
	    queue_check_fixed(path, &err) == -1) {
		check_find(check, CHECK_ERROR, path, 0,
		    "a repair of the queue was interrupted, and nothing works "
		    "in it until that is done");
		check_remedy(check, "svctool queue fix %s", name);
	}
	return true;
}

static void
check_whole_queue(struct check *check, const char *path, const char *name)
{
	struct error err;
	struct queue_dir *queue = queue_dir_open(path, &err);

	check_queue_modes(check, name);
	if (queue == NULL) {
		check_find(check, CHECK_ERROR, path, 0, "%s", err.text);
		check_remedy(check, "svctool queue fix %s", name);
	} else {
		check_messages(check, queue);
		check_queue_orphans(check, queue);
		check_damage(check, queue);
		queue_dir_close(&queue);
	}
}

static void
check_queue(struct check *check, const char *name)
{
	char *path = xasprintf("%s/%s", check->node->home->queue, name);

	if (!is_in_repair(check, path, name))
		check_whole_queue(check, path, name);
	free(path);
}

void
check_queues(struct check *check)
{
	struct arg_list queues;

	check_names(check, node_queues, &queues);
	for (size_t i = 0; i < queues.count; i++)
		check_queue(check, queues.items[i]);
	arg_list_release(&queues);
}
