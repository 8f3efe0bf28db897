/* SPDX-License-Identifier: ISC */
/* Which queues the commands look into, and how they list one. */
#include "queue/look.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/home.h"
#include "control/settings.h"

static void
list_collection(const struct settings *settings, const struct home *home,
    struct strlist *paths)
{
	const char *base = settings_text(settings, SETTING_queue_base);
	uint64_t start = settings_number(settings, SETTING_queue_start);
	uint64_t count = settings_number(settings, SETTING_queue_count);

	for (uint64_t i = 0; i < count; i++) {
		AUTO(mem_free)
		char *path = xasprintf("%s/queue%" PRIu64,
		    base[0] != '\0' ? base : home->queue, start + i);

		strlist_add(paths, path);
	}
}

int
look_open(const char *program, struct strlist *paths, struct error *err)
{
	const char *queue_dir = getenv("QUEUEDIR");
	struct settings *settings;
	struct home *home;

	if (queue_dir != NULL && queue_dir[0] != '\0') {
		strlist_add(paths, queue_dir);
		return 0;
	}
	home = home_new();
	settings = settings_load(home->control, program, NULL, err);
	if (settings != NULL)
		list_collection(settings, home, paths);
	settings_free(&settings);
	home_free(&home);
	return paths->count == 0 ? -1 : 0;
}

struct queue_dir *
look_queue(const char *path, struct error *err)
{
	AUTO(mem_free) char *mess = xasprintf("%s/mess", path);
	AUTO(file_close)
	int fd = open(mess, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd != -1)
		return queue_dir_open(path, err);
	if (errno == EACCES)
		error_sys(err,
		    "cannot look into '%s' (only root and the "
		    "queue's user, qmailq, may)",
		    mess);
	else
		error_sys(err,
		    "cannot look into '%s' (are queue_start and queue_count "
		    "right, or MQMAIL_HOME, QUEUEDIR and QUEUE_BASE?  "
		    "queue-fix makes a queue)",
		    mess);
	return NULL;
}

struct numbers {
	int (*visit)(uint64_t id, void *context);
	void *context;
};

static int
visit_number(int folder, const struct dirent *entry, void *context)
{
	const struct numbers *numbers = context;
	uint64_t id;

	(void)folder;
	return entry->d_type != DT_DIR &&
		scan_u64(entry->d_name, UINT64_MAX, &id) && id != 0
	    ? numbers->visit(id, numbers->context)
	    : 0;
}

int
look_folder(const struct queue_dir *dir, enum queue_folder folder,
    unsigned part, int (*visit)(uint64_t id, void *context), void *context,
    struct error *err)
{
	struct numbers numbers = { .visit = visit, .context = context };

	return queue_list_folder(
	    dir, folder, part, visit_number, &numbers, err);
}

/* A name that is looked for among those of messages, or of the folders of a
 * split one. */
struct stranger {
	uint64_t max; /* the largest number */
	bool is_split;
	char *name;
};

static int
find_stranger(int folder, const struct dirent *entry, void *context)
{
	struct stranger *stranger = context;
	bool is_folder = entry->d_type == DT_DIR;
	uint64_t number;

	(void)folder;
	if (scan_u64(entry->d_name, stranger->max, &number) &&
	    (is_folder == stranger->is_split || entry->d_type == DT_UNKNOWN) &&
	    (number != 0 || stranger->is_split))
		return 0;
	stranger->name = xstrdup(entry->d_name);
	return 1;
}

/* In a folder, or in one that is split; the same results. */
static int
look_for_stranger(const struct queue_dir *dir, enum queue_folder folder,
    char **path_out, struct error *err)
{
	const char *name = queue_folder_name(folder);
	struct stranger among = { .max = dir->split - 1, .is_split = true };
	unsigned parts = queue_parts(dir, folder), part;
	int result = 0;

	if (folder < QUEUE_FOLDER_SPLIT_END)
		result = queue_list(openat(queue_dir_fd(dir, folder, 0), "..",
					O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		    dir->path, name, find_stranger, &among, err);
	if (result == 1)
		*path_out = xasprintf("%s/%s", name, among.name);
	among.max = UINT64_MAX;
	among.is_split = false;
	for (part = 0; result == 0 && part < parts; part++) {
		result = queue_list_folder(
		    dir, folder, part, find_stranger, &among, err);
		if (result == 1)
			*path_out = parts > 1
			    ? xasprintf("%s/%u/%s", name, part, among.name)
			    : xasprintf("%s/%s", name, among.name);
	}
	free(among.name);
	return result;
}

int
look_stranger(const struct queue_dir *dir, char **path_out, struct error *err)
{
	/* What is in the others was never queued. */
	static const enum queue_folder folders[] = { QUEUE_MESS, QUEUE_INFO,
		QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_TODO, QUEUE_BOUNCE };
	int result = 0;

	*path_out = NULL;
	for (size_t i = 0;
	     i < sizeof(folders) / sizeof(folders[0]) && result == 0; i++)
		result = look_for_stranger(dir, folders[i], path_out, err);
	return result;
}
