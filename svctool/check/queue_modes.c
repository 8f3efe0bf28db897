/* SPDX-License-Identifier: ISC */
/* Owners and modes inside a queue: those that queue-fix(8) gives. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "queue/journal.h"
#include "svctool/check/queue.h"

/* One queue, and whose it should be. */
struct owned_queue {
	struct check *check;
	const char *name, *path;
	int fd;
	uid_t uid;
};

static void
find(const struct owned_queue *queue, const char *file, const char *text)
{
	char *path = *file == '\0' ? xstrdup(queue->path)
				   : xasprintf("%s/%s", queue->path, file);

	check_find(queue->check, CHECK_ERROR, path, 0, "%s", text);
	check_remedy(queue->check, "svctool queue fix %s", queue->name);
	free(path);
}

static const char *
type_name(mode_t type)
{
	return type == S_IFDIR ? "folder"
	    : type == S_IFIFO  ? "named pipe"
			       : "file";
}

/* True when it is there and of its type; "" is the queue's own folder. */
static bool
look(
    const struct owned_queue *queue, const char *file, mode_t type, mode_t mode)
{
	struct stat st;
	char text[128];

	if (fstatat(queue->fd, *file == '\0' ? "." : file, &st,
		AT_SYMLINK_NOFOLLOW) == -1) {
		find(queue, file, strerror(errno));
		return false;
	}
	if ((st.st_mode & S_IFMT) != type) {
		snprintf(text, sizeof(text), "it is not a %s", type_name(type));
		find(queue, file, text);
		return false;
	}
	if ((st.st_mode & 07777) != mode) {
		snprintf(text, sizeof(text),
		    "its mode is %03o, and should be %03o",
		    (unsigned)st.st_mode & 07777, (unsigned)mode);
		find(queue, file, text);
	}
	if (st.st_uid != queue->uid) {
		snprintf(text, sizeof(text),
		    "it belongs to uid %lu, and should to uid %lu",
		    (unsigned long)st.st_uid, (unsigned long)queue->uid);
		find(queue, file, text);
	}
	return true;
}

/* The numbered folders, as many as mess/ has. */
static void
look_split(const struct owned_queue *queue, const char *folder)
{
	for (unsigned i = 0; i < QUEUE_SPLIT_MAX; i++) {
		char name[64], first[64];

		snprintf(first, sizeof(first), "mess/%u", i);
		if (faccessat(queue->fd, first, F_OK, AT_EACCESS) == -1)
			break;
		snprintf(name, sizeof(name), "%s/%u", folder, i);
		look(queue, name, S_IFDIR, 0700);
	}
}

/* As some systems built on qmail have it; we look only into the folder. */
static void
find_split(const struct owned_queue *queue, const char *folder)
{
	char first[64];

	snprintf(first, sizeof(first), "%s/0", folder);
	if (faccessat(queue->fd, first, F_OK, AT_EACCESS) == 0)
		find(queue, first,
		    "the folder is split, as another system's, and the mail in "
		    "it waits");
}

/* Its segments; qmail-send makes them. */
static void
look_journal(const struct owned_queue *queue)
{
	for (unsigned i = 0; i < JOURNAL_SEGMENTS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "lock/" QUEUE_JOURNAL ".%u", i);
		if (faccessat(queue->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			look(queue, name, S_IFREG, 0600);
	}
}

/* Only people can tell what these are to become. */
static void
find_kept(const struct owned_queue *queue)
{
	int fd = openat(
	    queue->fd, "lock", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char *path;

		if (!queue_is_kept(entry->d_name))
			continue;
		path = xasprintf("%s/lock/%s", queue->path, entry->d_name);
		check_find(queue->check, CHECK_WARNING, path, 0,
		    "qmail-send kept it, since it may hold mail that could not "
		    "be read; its log says why");
		check_remedy(
		    queue->check, "when nothing in it is missed: rm %s", path);
		free(path);
	}
	if (dir != NULL)
		closedir(dir);
	else if (fd != -1)
		close(fd);
}

void
check_queue_modes(struct check *check, const char *name)
{
	char *path = xasprintf("%s/%s", check->node->home->queue, name);
	struct owned_queue queue = { .check = check,
		.name = name,
		.path = path,
		.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };

	if (queue.fd == -1)
		find(&queue, "", strerror(errno));
	else if (check_owner_uid(check, path, MAKE_QUEUE, &queue.uid)) {
		look(&queue, "", S_IFDIR, 0755);
		for (enum queue_folder i = 0; i < QUEUE_FOLDER_COUNT; i++) {
			/* Clients reach the sockets in lock/. */
			mode_t mode = i == QUEUE_LOCK ? 0755 : 0700;
			const char *folder = queue_folder_name(i);

			if (look(&queue, folder, S_IFDIR, mode) &&
			    i < QUEUE_FOLDER_SPLIT_END)
				look_split(&queue, folder);
		}
		find_split(&queue, "todo");
		find_split(&queue, "intd");
		look(&queue, "lock/sendmutex", S_IFREG, 0600);
		look(&queue, "lock/tcpto", S_IFREG, 0644);
		look(&queue, "lock/trigger", S_IFIFO, 0622);
		look_journal(&queue);
		find_kept(&queue);
	}
	if (queue.fd != -1)
		close(queue.fd);
	free(path);
}
