/* SPDX-License-Identifier: ISC */
/* Which queues the commands look into, and how they list one. */
#include "queue/look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scan.h"
#include "control/home.h"
#include "control/settings.h"

static void
add_collection(
    struct look *look, const struct settings *settings, const struct home *home)
{
	const char *base = settings_text(settings, SETTING_queue_base);
	unsigned start = (unsigned)settings_number(
	    settings, SETTING_queue_start);
	unsigned i;

	look->count = (unsigned)settings_number(settings, SETTING_queue_count);
	look->paths = xcalloc(look->count, sizeof(*look->paths));
	for (i = 0; i < look->count; i++)
		look->paths[i] = xasprintf("%s/queue%u",
		    base[0] != '\0' ? base : home->queue, start + i);
}

int
look_open(const char *program, struct look *look_out, struct error *err)
{
	const char *queue_dir = getenv("QUEUEDIR");
	struct settings *settings;
	struct home *home;

	*look_out = (struct look){ .paths = NULL };
	if (queue_dir != NULL && queue_dir[0] != '\0') {
		look_out->paths = xcalloc(1, sizeof(*look_out->paths));
		look_out->paths[0] = xstrdup(queue_dir);
		look_out->count = 1;
		return 0;
	}
	home = home_new();
	settings = settings_load(home->control, program, NULL, err);
	if (settings != NULL)
		add_collection(look_out, settings, home);
	settings_free(&settings);
	home_free(&home);
	return look_out->count == 0 ? -1 : 0;
}

void
look_release(struct look *look)
{
	while (look->count > 0)
		free(look->paths[--look->count]);
	free(look->paths);
	look->paths = NULL;
}

struct queue_dir *
look_queue(const char *path, struct error *err)
{
	char *mess = xasprintf("%s/mess", path);
	int fd = open(mess, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct queue_dir *dir = NULL;

	if (fd != -1) {
		close(fd);
		dir = queue_dir_open(path, err);
	} else if (errno == EACCES)
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
	free(mess);
	return dir;
}

int
look_folder(const struct queue_dir *dir, enum queue_folder folder,
    unsigned part, int (*visit)(uint64_t id, void *context), void *context,
    struct error *err)
{
	int fd = openat(queue_dir_fd(dir, folder, part), ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry = NULL;
	int result = 0;
	uint64_t id;

	while (stream != NULL && result == 0) {
		errno = 0;
		entry = readdir(stream);
		if (entry == NULL)
			break;
		if (entry->d_type != DT_DIR &&
		    scan_u64(entry->d_name, UINT64_MAX, &id) && id != 0)
			result = visit(id, context);
	}
	if (stream == NULL || (entry == NULL && errno != 0)) {
		result = error_sys(err, "cannot list '%s/%s'", dir->path,
		    queue_folder_name(folder));
		if (stream == NULL && fd != -1)
			close(fd);
	}
	if (stream != NULL)
		closedir(stream);
	return result;
}
