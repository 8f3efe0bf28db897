/* SPDX-License-Identifier: ISC */
/*
 * Is each queue whole?  What queue-fix would change, and messages that cannot
 * be delivered as they are.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/plural.h"
#include "queue/fix.h"
#include "queue/look.h"
#include "svctool/check/check.h"

enum { FILES_MAX = 10000 }; /* of one folder that are looked at */

/* One queue, and what may be wrong with it. */
struct queue_check {
	struct check *check;
	const char *name, *path;
	struct check_crowd crowd;
};

static void
find_queue_fault(struct queue_check *queue, const char *path, const char *text)
{
	if (!check_crowd_has_room(&queue->crowd))
		return;
	check_find(queue->check, CHECK_ERROR, path, 0,
	    "%s" REMEDY "svctool queue fix %s", text, queue->name);
}

static void
see_fix_fault(const struct fix_fault *fault, void *context)
{
	struct queue_check *queue = context;
	bool is_whole = *fault->path == '\0' || strcmp(fault->path, ".") == 0;
	OWN_TEXT path = is_whole ? xstrdup(queue->path)
				 : xasprintf("%s/%s", queue->path, fault->path);

	switch (fault->kind) {
	case FIX_CHANGE:
		find_queue_fault(queue, path, fault->text);
		break;
	case FIX_ORPHAN: /* harms nothing, and may be a new message's */
		break;
	case FIX_LEAVE:
		check_find(queue->check, CHECK_WARNING, path, 0,
		    "%s" REMEDY "move it away", fault->text);
		break;
	}
}

/* As queue-fix sees it, by the split that the queue has. */
static void
check_by_fix(struct queue_check *queue)
{
	struct fix_options options = { .is_test = true,
		.see = see_fix_fault,
		.context = queue,
		.files_max = FILES_MAX,
		.gid = (gid_t)-1 };
	struct error err;
	int root = queue_open_root(queue->path, &err), split = 0;
	OWN_TEXT remedy = xasprintf("svctool queue fix %s", queue->name);

	if (root != -1) {
		split = queue_find_split(root, queue->path, &err);
		close(root);
	}
	options.split = split > 0 ? (unsigned)split : QUEUE_SPLIT;
	if (check_owner_uid(
		queue->check, queue->path, LAYOUT_QUEUE, &options.uid) &&
	    queue_fix(queue->path, &options, &err) == -1)
		check_reason(queue->check, CHECK_ERROR, err.text,
		    "run this as root or as the queue's user");
	check_crowd_end(queue->check, &queue->crowd, queue->path, remedy);
}

/* Only people can tell what is to become of these. */
static void
check_damage(struct check *check, const struct queue_dir *queue)
{
	struct look_damage damage;
	AUTO(buf_release) struct buf ids = BUF_INIT;
	struct error err;

	if (look_damage(
		queue, LOOK_EVERYWHERE, FILES_MAX, &damage, NULL, &err) == -1)
		check_find(check, CHECK_ERROR, queue->path, 0,
		    "%s" REMEDY
		    "run this as root or as the queue's user; what is damaged "
		    "is kept aside when the queue starts again",
		    err.text);
	if (damage.count > 0) {
		look_damage_format(&damage, &ids);
		check_find(check, CHECK_ERROR, queue->path, 0,
		    "%" PRIu64 " message%s cannot be delivered: %s" REMEDY
		    "QUEUEDIR=%s qmail-qread says why, of each; mend what can "
		    "be, or move the files of that number away while the queue "
		    "is stopped",
		    damage.count, plural(damage.count), ids.data, queue->path);
	}
}

/* Only people can tell what these are to become. */
static void
check_kept(struct check *check, const char *queue)
{
	OWN_TEXT lock = queue_lock_path(queue, "");
	DIR *dir = opendir(lock);
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		OWN_TEXT path = NULL;

		if (!queue_is_kept(entry->d_name))
			continue;
		path = queue_lock_path(queue, entry->d_name);
		check_find(check, CHECK_WARNING, path, 0,
		    "qmail-send kept it, since it may hold mail that could not "
		    "be read; its log says why" REMEDY
		    "when nothing in it is missed: rm %s",
		    path);
	}
	if (dir != NULL)
		closedir(dir);
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
	    queue_check_fixed(path, &err) == -1)
		check_find(check, CHECK_ERROR, path, 0,
		    "a repair of the queue was interrupted, and nothing works "
		    "in it until that is done" REMEDY "svctool queue fix %s",
		    name);
	return true;
}

static void
check_queue(struct check *check, const char *name)
{
	OWN_TEXT path = layout_path(check->node->home, LAYOUT_queue, name);
	struct queue_check queue = {
		.check = check, .name = name, .path = path
	};
	AUTO(queue_dir_close) struct queue_dir *dir = NULL;

	if (!is_in_repair(check, path, name)) {
		check_by_fix(&queue);
		check_kept(check, path);
		dir = queue_dir_open(path, NULL);
		if (dir != NULL)
			check_damage(check, dir);
	}
}

void
check_queues(struct check *check)
{
	check_each(check, node_queues, check_queue);
}
