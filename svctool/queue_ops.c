/* SPDX-License-Identifier: ISC */
/* What the subcommands of svctool queue share. */
#include "svctool/queue_ops.h"

#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "queue/dir.h"
#include "queue/journal_view.h"
#include "svctool/make.h"
#include "svctool/proc.h"
#include "svctool/ready.h"
#include "svctool/supervise.h"
#include "svctool/systemd_guard.h"

enum { LOOK_AGAIN_MS = 20 };

int
queue_must_exist(const struct node *node, const char *name, struct error *err)
{
	char *path = node_path(node, "%s/%s", node->home->queue, name);
	int result = access(path, F_OK);

	if (result == -1)
		error_set(err,
		    "no queue '%s': 'svctool status' lists those that there "
		    "are",
		    path);
	free(path);
	return result;
}

int
queue_stop(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	char *folder = node_path(node, "%s/%s", node->home->service, name);
	char *queue = node_path(node, "%s/%s", node->home->queue, name);
	int64_t deadline = clock_ms() + timeout_s * 1000L;
	int result = systemd_guard(node, name, err);

	if (result == 0)
		result = supervise_send(folder, "d", err);
	if (result == 1)
		make_say("stop", "%s", name);
	while (result != -1 && (result = queue_is_owned(queue, err)) == 1) {
		if (clock_ms() >= deadline) {
			result = error_set(err,
			    "'%s' still has a process after %u s: 'svctool "
			    "status' shows it",
			    queue, timeout_s);
			break;
		}
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
	free(queue);
	free(folder);
	return result == -1 ? -1 : 0;
}

int
queue_wait_up(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	int64_t deadline = clock_ms() + timeout_s * 1000L;

	if (proc_find_svscan(node->home->service) == 0) {
		make_say("note", "the node is not running, so %s is not", name);
		return 0;
	}
	for (;;) {
		struct supervise_state state;

		if (ready_read_state(node, name, &state, err) == -1)
			return -1;
		if (ready_does_work(ready_service(node, name, &state, err)))
			break;
		if (clock_ms() >= deadline)
			return error_context(
			    err, "%s is not ready after %u s", name, timeout_s);
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
	make_say("up", "%s", name);
	return 0;
}

/*
 * Adds the files of a folder to *count, without those that are also in except
 * (or NULL); -1 in it when it cannot be read.
 */
static void
count_files(
    const char *folder, const char *except, long *count, struct error *err)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (dir == NULL) {
		*count = error_sys(err, "cannot read '%s'", folder);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		char *other;

		if (entry->d_name[0] == '.')
			continue;
		other = xasprintf(
		    "%s/%s", except != NULL ? except : "", entry->d_name);
		*count += except == NULL || access(other, F_OK) == -1;
		free(other);
	}
	closedir(dir);
}

/* Envelopes that qmail-send kept in lock/ for people. */
static int
add_kept(const struct queue_dir *queue, long *count, struct error *err)
{
	char *lock = xasprintf("%s/lock", queue->path);
	DIR *dir = opendir(lock);
	const struct dirent *entry;
	int result = dir != NULL ? 0 : error_sys(err, "cannot read '%s'", lock);

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		*count += queue_is_kept(entry->d_name);
	if (dir != NULL)
		closedir(dir);
	free(lock);
	return result;
}

/* A queue that was killed has its newest messages there. */
static int
add_journal(const struct queue_dir *queue, const char *todo, long *count,
    struct error *err)
{
	struct journal_view view;
	size_t i;

	if (journal_view_open(queue, &view, err) == -1)
		return -1;
	for (i = 0; i < view.count; i++) {
		char *other = xasprintf(
		    "%s/%" PRIu64, todo, view.records[i].id);

		*count += access(other, F_OK) == -1;
		free(other);
	}
	journal_view_release(&view);
	return add_kept(queue, count, err);
}

long
queue_messages(const struct node *node, const char *name, struct error *err)
{
	char *path = node_path(node, "%s/%s", node->home->queue, name);
	char *todo = xasprintf("%s/todo", path);
	struct queue_dir *queue = queue_dir_open(path, err);
	long count = queue == NULL ? -1 : 0;

	if (queue != NULL)
		count_files(todo, NULL, &count, err);
	for (unsigned i = 0; count >= 0 && i < queue->split; i++) {
		char *info = xasprintf("%s/info/%u", path, i);

		count_files(info, todo, &count, err);
		free(info);
	}
	if (count >= 0 && add_journal(queue, todo, &count, err) == -1)
		count = -1;
	free(todo);
	if (queue != NULL)
		queue_dir_close(&queue);
	free(path);
	return count;
}
