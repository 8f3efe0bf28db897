/* SPDX-License-Identifier: ISC */
/*
 * Are the values of all settings right, is every control file read, and has
 * every setting of one queue its queue, and every queue its mail?
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/bindings.h"
#include "control/settings.h"
#include "control/showctl.h"
#include "control/smtproutes.h"
#include "svctool/check/domain.h"
#include "svctool/queue/count.h"

enum { PAUSE_MS = 200 };

static void
see_bad_setting(enum setting_id id, const char *reason, void *context)
{
	struct check *check = context;

	if (id == SETTING_queue_base || id == SETTING_queue_count ||
	    id == SETTING_queue_start)
		check->has_bad_count = true;
	check_reason(check, CHECK_ERROR, reason, NULL);
}

static void
check_unknown_files(struct check *check)
{
	const char *folder = check->node->home->control;
	AUTO(strlist_release) struct strlist names = { .count = 0 };
	struct error err;

	if (showctl_find_unknown(folder, &names, &err) == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "run this as its owner or root");
	/* A file that a command just writes gets its name in a moment. */
	if (names.count > 0)
		clock_sleep_ms(PAUSE_MS);
	for (size_t i = 0; i < names.count; i++) {
		OWN_TEXT path = xasprintf("%s/%s", folder, names.items[i]);

		if (access(path, F_OK) == -1)
			continue;
		check_find(check, CHECK_WARNING, path, 0,
		    "no program of this node reads it: is the name spelt "
		    "right?" REMEDY
		    "rename it to a name of mqmail-control(5), or rm '%s'",
		    path);
	}
}

/* What remote delivery reads beside the settings themselves. */
static void
check_remote_files(struct check *check)
{
	const char *control = check->node->home->control;
	struct error err;
	struct smtproutes *routes = smtproutes_new(
	    control, check->settings, &err);
	struct bindings *bindings;

	if (routes == NULL)
		check_reason_unless_known(check, CHECK_ERROR, err.text);
	bindings = bindings_new(control, check->settings, &err);
	if (bindings == NULL)
		check_reason_unless_known(check, CHECK_ERROR, err.text);
	bindings_free(&bindings);
	smtproutes_free(&routes);
}

static void
check_queue_settings(struct check *check, const char *queue)
{
	AUTO(settings_free)
	struct settings *settings = settings_load_all(
	    check->node->home->control, queue, see_bad_setting, check);
}

void
check_settings(struct check *check)
{
	check->settings = settings_load_all(
	    check->node->home->control, NULL, see_bad_setting, check);
	check_each(check, node_queues, check_queue_settings);
	check_remote_files(check);
	check_unknown_files(check);
}

/* A queue of another name is there for rules that are still to be written. */
static void
check_use(struct check *check, const char *name)
{
	OWN_TEXT path = layout_path(check->node->home, LAYOUT_queue, name);

	if (queue_count_number(name) != 0 && !check->has_bad_count &&
	    !strlist_has(&check->used_queues, path))
		check_find(check, CHECK_WARNING, path, 0,
		    "no queue_count, variable or rule counts this queue, so it "
		    "gets no new mail" REMEDY
		    "svctool queue add %s, or svctool queue remove %s",
		    name, name);
}

static bool
has_queue(
    const struct check *check, const struct strlist *queues, const char *name)
{
	if (strlist_has(queues, name))
		return true;
	for (size_t i = 0; i < check->used_queues.count; i++) {
		const char *path = check->used_queues.items[i];
		const char *slash = strrchr(path, '/');

		/* Of another QUEUE_BASE; those of ours were listed. */
		if (slash != NULL && strcmp(slash + 1, name) == 0 &&
		    !check_is_below(path, check->node->home->queue))
			return true;
	}
	return false;
}

static void
check_instances(struct check *check)
{
	const char *folder = check->node->home->control;
	AUTO(strlist_release) struct strlist queues = { .count = 0 };
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	check_names(check, node_queues, &queues);
	/* Not to be read: check_settings() says so. */
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		const char *queue = showctl_queue_of(entry->d_name);
		OWN_TEXT path = xasprintf("%s/%s", folder, entry->d_name);

		if (queue == NULL || has_queue(check, &queues, queue))
			continue;
		check_find(check, CHECK_WARNING, path, 0,
		    "it is for the queue '%s', which does not exist" REMEDY
		    "rm '%s'",
		    queue, path);
	}
	if (dir != NULL)
		closedir(dir);
}

void
check_collections(struct check *check)
{
	check_each(check, node_queues, check_use);
	check_instances(check);
}
