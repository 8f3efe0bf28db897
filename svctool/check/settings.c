/* SPDX-License-Identifier: ISC */
/* Are the values of all settings right, and is every control file read? */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/settings.h"
#include "control/showctl.h"
#include "svctool/check/check.h"

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
