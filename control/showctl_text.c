/* SPDX-License-Identifier: ISC */
/* Settings for people. */
#include "control/showctl.h"

#include <stdio.h>
#include <string.h>

static void
print_count(size_t count)
{
	printf("%zu line%s", count, count == 1 ? "" : "s");
}

static void
print_value(const struct settings *settings, enum setting_id id)
{
	const struct setting_row *row = &setting_rows[id];

	switch (row->type) {
	case SETTING_NUMBER:
		printf(
		    "%llu", (unsigned long long)settings_number(settings, id));
		if (strcmp(row->unit, "number") != 0)
			printf(" %s", row->unit);
		break;
	case SETTING_FLAG:
		fputs(
		    settings_flag(settings, id) ? "1 (yes)" : "0 (no)", stdout);
		break;
	case SETTING_TEXT:
		printf("\"%s\"", settings_text(settings, id));
		break;
	case SETTING_RULES:
		printf("file %s", settings_text(settings, id));
		break;
	case SETTING_LIST:
		print_count(settings_list(settings, id)->count);
		break;
	}
}

static void
print_list(const struct strlist *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		printf("\t%s\n", list->items[i]);
}

void
showctl_print_text(const struct showctl *showctl)
{
	unsigned id;
	size_t i;

	printf("control folder: %s%s%s\n", showctl->control_dir,
	    showctl->queue != NULL ? ", for the queue " : "",
	    showctl->queue != NULL ? showctl->queue : "");
	for (id = 0; id < SETTING_COUNT; id++) {
		if (!showctl->is_chosen[id])
			continue;
		printf("%s: ", setting_rows[id].name);
		if (showctl->reasons[id] != NULL) {
			printf("WRONG: %s\n", showctl->reasons[id]);
			continue;
		}
		print_value(showctl->settings, id);
		printf(" (%s)\n", settings_source(showctl->settings, id));
		if (setting_rows[id].type == SETTING_LIST)
			print_list(settings_list(showctl->settings, id));
	}
	for (i = 0; i < showctl->unknown_count; i++)
		printf("%s: no program reads this file\n", showctl->unknown[i]);
}
