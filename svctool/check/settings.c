/* SPDX-License-Identifier: ISC */
/*
 * Are the values of all settings right, is every control file read, and has
 * every setting of one queue its queue, and every queue its mail?
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/settings.h"
#include "control/showctl.h"
#include "svctool/check/domain.h"
#include "svctool/queue/count.h"

enum { PAUSE_MS = 200 };

/* Of one load: the general settings, or those of a queue. */
struct load {
	struct check *check;
	const struct arg_list *said; /* reasons that are not said again */
	struct arg_list reasons;
};

static void
report(enum setting_id id, const char *reason, void *context)
{
	struct load *load = context;

	if (id == SETTING_queue_base || id == SETTING_queue_count ||
	    id == SETTING_queue_start)
		load->check->has_bad_count = true;
	if (load->said != NULL && arg_list_has(load->said, reason))
		return;
	arg_list_add(&load->reasons, reason, strlen(reason));
	check_reason(load->check, CHECK_ERROR, reason, NULL);
}

static void
check_files(struct check *check)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	const char *folder = check->node->home->control;
	struct arg_list names = { .count = 0 };
	struct error err;

	if (showctl_find_unknown(folder, &names.items, &names.count, &err) ==
	    -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "run this as its owner or root");
	/* A file that a command just writes gets its name in a moment. */
	if (names.count > 0)
		nanosleep(&pause, NULL);
	for (size_t i = 0; i < names.count; i++) {
		char *path = xasprintf("%s/%s", folder, names.items[i]);

		if (access(path, F_OK) == -1) {
			free(path);
			continue;
		}
		check_find(check, CHECK_WARNING, path, 0,
		    "no program of this node reads it: is the name spelt "
		    "right?");
		check_remedy(check,
		    "rename it to a name of mqmail-control(5), or rm '%s'",
		    path);
		free(path);
	}
	arg_list_release(&names);
}

void
check_settings(struct check *check)
{
	const char *control = check->node->home->control;
	struct load general = { .check = check };
	struct arg_list queues;
	struct settings *settings;

	check->settings = settings_load_all(control, NULL, report, &general);
	check_names(check, node_queues, &queues);
	for (size_t i = 0; i < queues.count; i++) {
		struct load load = { .check = check, .said = &general.reasons };

		settings = settings_load_all(
		    control, queues.items[i], report, &load);
		settings_free(&settings);
		arg_list_release(&load.reasons);
	}
	check_files(check);
	arg_list_release(&general.reasons);
	arg_list_release(&queues);
}

/* A queue of another name is there for rules that are still to be written. */
static void
check_use(struct check *check, const char *name)
{
	char *path = layout_path(check->node->home, LAYOUT_queue, name);

	if (queue_count_number(name) != 0 && !check->has_bad_count &&
	    !arg_list_has(&check->used_queues, path)) {
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
		    strstr(setting_rows[id].readers, "qmail-send") != NULL)
			return dot + 1;
	return NULL;
}

static bool
has_queue(
    const struct check *check, const struct arg_list *queues, const char *name)
{
	if (arg_list_has(queues, name))
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
