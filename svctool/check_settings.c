/* SPDX-License-Identifier: ISC */
/* Are the values of all settings right, and is every control file read? */
#include <string.h>

#include "control/settings.h"
#include "control/showctl.h"
#include "svctool/check.h"

/* Of one load: the general settings, or those of a queue. */
struct load {
	struct check *check;
	const struct arg_list *said; /* reasons that are not said again */
	struct arg_list reasons;
};

static bool
is_in(const struct arg_list *list, const char *text)
{
	for (size_t i = 0; list != NULL && i < list->count; i++)
		if (strcmp(list->items[i], text) == 0)
			return true;
	return false;
}

static void
report(enum setting_id id, const char *reason, void *context)
{
	struct load *load = context;

	(void)id;
	if (is_in(load->said, reason))
		return;
	arg_list_add(&load->reasons, reason, strlen(reason));
	check_find(load->check, CHECK_ERROR, "%s", reason);
}

static void
check_files(struct check *check)
{
	const char *folder = check->node->home->control;
	struct arg_list names = { .count = 0 };
	struct error err;

	if (showctl_find_unknown(folder, &names.items, &names.count, &err) ==
	    -1)
		check_find(check, CHECK_ERROR,
		    "%s: run this as its owner or root", err.text);
	for (size_t i = 0; i < names.count; i++)
		check_find(check, CHECK_WARNING,
		    "%s/%s: no program of this node reads it: is the name "
		    "spelt right?  mqmail-control(5) has them all",
		    folder, names.items[i]);
	arg_list_release(&names);
}

void
check_settings(struct check *check)
{
	const char *control = check->node->home->control;
	struct load general = { .check = check };
	struct arg_list queues = { .count = 0 };
	struct settings *settings;
	struct error err;

	settings = settings_load_all(control, NULL, report, &general);
	settings_free(&settings);
	if (node_queues(check->node, &queues, &err) == -1)
		check_find(check, CHECK_ERROR, "%s", err.text);
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
