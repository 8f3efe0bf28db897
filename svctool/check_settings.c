/* SPDX-License-Identifier: ISC */
/* Are the values of all settings right, and is every control file read? */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/settings.h"
#include "svctool/check.h"

#include <stdlib.h>

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

/* Files in control/ that are no settings of the table. */
static bool
is_known_other(const char *name)
{
	static const char *const names[] = { "global_vars", "morercpthosts",
		"morercpthosts.cdb", "tcp.smtp", "tcp.smtp.cdb" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	for (int i = 0; i < SETTING_COUNT; i++)
		if (setting_rows[i].type == SETTING_RULES &&
		    strcmp(name, setting_rows[i].standard) == 0)
			return true;
	return false;
}

/* NAME, NAME.QUEUE, or concurrencyl.QUEUE and concurrencyr.QUEUE. */
static bool
is_setting(const char *name, const struct arg_list *queues)
{
	const char *dot = strchr(name, '.');
	enum setting_id id;
	char *stem;
	bool is_it;

	if (settings_find(name, &id))
		return true;
	if (dot == NULL || !is_in(queues, dot + 1))
		return false;
	stem = xstrndup(name, (size_t)(dot - name));
	is_it = settings_find(stem, &id) ||
	    strcmp(stem, "concurrencyl") == 0 ||
	    strcmp(stem, "concurrencyr") == 0;
	free(stem);
	return is_it;
}

static void
check_files(struct check *check, const struct arg_list *queues)
{
	const char *folder = check->node->home->control;
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (dir == NULL) {
		check_find(check, CHECK_ERROR, "%s: cannot be read (%s): run "
					       "this as its owner or root",
		    folder, strerror(errno));
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' &&
		    !is_setting(entry->d_name, queues) &&
		    !is_known_other(entry->d_name))
			check_find(check, CHECK_WARNING,
			    "%s/%s: no program of this node reads it: is the "
			    "name spelt right?  mqmail-control(5) has them "
			    "all",
			    folder, entry->d_name);
	closedir(dir);
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
		struct load load = { .check = check,
			.said = &general.reasons };

		settings = settings_load_all(control, queues.items[i], report,
		    &load);
		settings_free(&settings);
		arg_list_release(&load.reasons);
	}
	check_files(check, &queues);
	arg_list_release(&general.reasons);
	arg_list_release(&queues);
}
