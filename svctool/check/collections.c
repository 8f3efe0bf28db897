/* SPDX-License-Identifier: ISC */
/* Does every queue get mail, and every queue's own setting have its queue? */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "svctool/check/domain.h"
#include "svctool/queue/count.h"

static bool
is_used(const struct check *check, const char *path)
{
	for (size_t i = 0; i < check->used_queues.count; i++)
		if (strcmp(check->used_queues.items[i], path) == 0)
			return true;
	return false;
}

/* A queue of another name is there for rules that are still to be written. */
static void
check_use(struct check *check, const char *name)
{
	char *path = xasprintf("%s/%s", check->node->home->queue, name);

	if (queue_count_number(name) != 0 && !check->has_bad_count &&
	    !is_used(check, path)) {
		check_find(check, CHECK_WARNING, path, 0,
		    "no queue_count, variable or rule counts this queue, so it "
		    "gets no new mail");
		check_remedy(check,
		    "svctool queue add %s, or svctool queue remove %s", name,
		    name);
	}
	free(path);
}

/* The queue in a name like holdlocal.QUEUE, or NULL. */
static const char *
find_instance(const char *name)
{
	const char *dot = strchr(name, '.');
	size_t length = dot != NULL ? (size_t)(dot - name) : 0;

	if (length == 0 || dot[1] == '\0' || name[strlen(name) - 1] == '~')
		return NULL;
	if (length == strlen("concurrencyl") &&
	    (strncmp(name, "concurrencyl", length) == 0 ||
		strncmp(name, "concurrencyr", length) == 0))
		return dot + 1;
	for (unsigned id = 0; id < SETTING_COUNT; id++)
		if (strlen(setting_rows[id].name) == length &&
		    strncmp(setting_rows[id].name, name, length) == 0 &&
		    settings_is_of_queues(id))
			return dot + 1;
	return NULL;
}

static bool
has_queue(
    const struct check *check, const struct arg_list *queues, const char *name)
{
	for (size_t i = 0; i < queues->count; i++)
		if (strcmp(queues->items[i], name) == 0)
			return true;
	for (size_t i = 0; i < check->used_queues.count; i++) {
		const char *slash = strrchr(check->used_queues.items[i], '/');

		/* Of another QUEUE_BASE; those of ours were listed. */
		if (slash != NULL && strcmp(slash + 1, name) == 0 &&
		    !check_is_below(
			check->used_queues.items[i], check->node->home->queue))
			return true;
	}
	return false;
}

static void
check_instances(struct check *check, const struct arg_list *queues)
{
	const char *folder = check->node->home->control;
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	/* Not to be read: check_settings() says so. */
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		const char *queue = find_instance(entry->d_name);
		char *path;

		if (queue == NULL || has_queue(check, queues, queue))
			continue;
		path = xasprintf("%s/%s", folder, entry->d_name);
		check_find(check, CHECK_WARNING, path, 0,
		    "it is for the queue '%s', which does not exist", queue);
		check_remedy(check, "rm '%s'", path);
		free(path);
	}
	if (dir != NULL)
		closedir(dir);
}

void
check_collections(struct check *check)
{
	struct arg_list queues;

	check_names(check, node_queues, &queues);
	for (size_t i = 0; i < queues.count; i++)
		check_use(check, queues.items[i]);
	check_instances(check, &queues);
	arg_list_release(&queues);
}
