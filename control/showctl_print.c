/* SPDX-License-Identifier: ISC */
/* Settings for people, as JSON, and as a part of mqmail-control(5). */
#include "control/showctl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/plural.h"
#include "control/json_text.h"
#include "control/layout.h"

/* A text, or that there is one. */
static const char *
shown_text(const struct settings *settings, enum setting_id id)
{
	const char *text = settings_text(settings, id);

	return setting_is_secret(&setting_rows[id]) && *text != '\0'
	    ? "(not shown)"
	    : text;
}

static void
print_value(const struct settings *settings, enum setting_id id)
{
	const struct setting_row *row = &setting_rows[id];
	size_t count;

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
		printf("\"%s\"", shown_text(settings, id));
		break;
	case SETTING_RULES:
		printf("file %s", settings_text(settings, id));
		break;
	case SETTING_LIST:
		count = settings_list(settings, id)->count;
		printf("%zu line%s", count, plural(count));
		break;
	}
}

/*
 * A line as it is shown: what stands behind a route's host may be a password.
 * The caller frees.
 */
static char *
shown_line(enum setting_id id, const char *line)
{
	size_t length = id == SETTING_smtproutes ? strcspn(line, " \t")
						 : strlen(line);

	return xasprintf(
	    "%.*s%s", (int)length, line, line[length] != '\0' ? " ..." : "");
}

void
showctl_print_text(const struct showctl *showctl)
{
	printf("control folder: %s%s%s\n", showctl->control_dir,
	    showctl->queue != NULL ? ", for the queue " : "",
	    showctl->queue != NULL ? showctl->queue : "");
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct strlist *list = setting_rows[id].type ==
			SETTING_LIST
		    ? settings_list(showctl->settings, id)
		    : NULL;

		if (!showctl->is_chosen[id])
			continue;
		printf("%s: ", setting_rows[id].name);
		if (showctl->reasons[id] != NULL) {
			printf("WRONG: %s\n", showctl->reasons[id]);
			continue;
		}
		print_value(showctl->settings, id);
		printf(" (%s)\n", settings_source(showctl->settings, id));
		for (size_t i = 0; list != NULL && i < list->count; i++) {
			AUTO(mem_free)
			char *line = shown_line(id, list->items[i]);

			printf("\t%s\n", line);
		}
	}
	for (size_t i = 0; i < showctl->unknown.count; i++)
		printf("%s: no program reads this file\n",
		    showctl->unknown.items[i]);
}

static json_t *
texts_json(const struct strlist *texts)
{
	json_t *array = json_array();

	for (size_t i = 0; i < texts->count; i++)
		json_array_append_new(array, json_text(texts->items[i]));
	return array;
}

static json_t *
list_json(enum setting_id id, const struct strlist *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++) {
		AUTO(mem_free) char *line = shown_line(id, list->items[i]);

		json_array_append_new(array, json_text(line));
	}
	return array;
}

static json_t *
value_json(const struct settings *settings, enum setting_id id)
{
	switch (setting_rows[id].type) {
	case SETTING_NUMBER:
		return json_integer((json_int_t)settings_number(settings, id));
	case SETTING_FLAG:
		return json_boolean(settings_flag(settings, id));
	case SETTING_TEXT:
	case SETTING_RULES:
		return json_text(shown_text(settings, id));
	case SETTING_LIST:
		return list_json(id, settings_list(settings, id));
	}
	return json_null();
}

static json_t *
setting_json(const struct showctl *showctl, enum setting_id id)
{
	const struct setting_row *row = &setting_rows[id];

	if (showctl->reasons[id] != NULL)
		return json_pack("{s:o, s:s, s:s}", "error",
		    json_text(showctl->reasons[id]), "unit", row->unit,
		    "default", row->standard);
	return json_pack("{s:o, s:o, s:b, s:s, s:s}", "value",
	    value_json(showctl->settings, id), "source",
	    json_text(settings_source(showctl->settings, id)), "is_set",
	    settings_is_set(showctl->settings, id), "unit", row->unit,
	    "default", row->standard);
}

void
showctl_print_json(const struct showctl *showctl)
{
	json_t *settings = json_object(), *json;

	for (unsigned id = 0; id < SETTING_COUNT; id++)
		if (showctl->is_chosen[id])
			json_object_set_new(settings, setting_rows[id].name,
			    setting_json(showctl, id));
	json = json_pack("{s:o, s:o, s:o, s:o}", "control_dir",
	    json_text(showctl->control_dir), "queue",
	    showctl->queue != NULL ? json_text(showctl->queue) : json_null(),
	    "settings", settings, "unknown_files",
	    texts_json(&showctl->unknown));
	if (json_dumpf(json, stdout, JSON_INDENT(2)) == -1)
		fatal(111, "cannot write the settings");
	putchar('\n');
	json_decref(json);
}

/* Each sentence on a line of its own, as mdoc wants it; '\' and '-' escaped. */
static void
print_mdoc_text(const char *text)
{
	for (; *text != '\0'; text++) {
		if (strncmp(text, ".  ", 3) == 0) {
			fputs(".\n", stdout);
			text += 2;
		} else if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-' && (text[1] == '-' || text[1] == ' '))
			fputs("\\-", stdout);
		else
			putchar(*text);
	}
	putchar('\n');
}

static void
print_mdoc_readers(const char *readers)
{
	const char *at = readers;

	puts(".Pp\nRead by");
	while (*at != '\0') {
		size_t length = strcspn(at, " ");
		bool is_last = at[length] == '\0';

		printf(".Xr %.*s 8 %s\n", (int)length, at, is_last ? "." : ",");
		at += length + !is_last;
	}
}

/* One line of facts: type and unit, default, range, variable. */
static void
print_mdoc_facts(const struct setting_row *row)
{
	const char *standard = row->standard;

	puts(".Pp");
	switch (row->type) {
	case SETTING_NUMBER:
		printf("A number of %s from %llu to %llu;\n",
		    strcmp(row->unit, "number") == 0 ? "a queue" : row->unit,
		    (unsigned long long)row->min, (unsigned long long)row->max);
		break;
	case SETTING_FLAG:
		puts("0 or 1;");
		break;
	case SETTING_TEXT:
		printf("One line, a %s of at most %llu bytes;\n", row->unit,
		    (unsigned long long)row->max);
		break;
	case SETTING_LIST:
		printf("A list, a %s of at most %llu bytes in each line;\n",
		    row->unit, (unsigned long long)row->max);
		break;
	case SETTING_RULES:
		puts("A file of rules;");
		break;
	}
	if (strcmp(standard, "me") == 0)
		puts("default: the content of\n.Ic me .");
	else if (*standard == '\0')
		puts("default: empty.");
	else
		printf("default: %s.\n", standard);
	if (*row->env != '\0')
		printf("Variable:\n.Ev %s ,\n"
		       "which hides the file and takes effect on restart.\n",
		    row->env);
}

/* Every path of a node, as its row has it. */
static void
print_mdoc_layout(void)
{
	puts(".Sh LAYOUT OF A NODE\n"
	     "Below\n.Ev MQMAIL_HOME ,\nwith a name in place of each word in "
	     "capitals.\nOwners are those of a node that root made.\n"
	     ".Bl -tag -width Ds");
	for (unsigned id = 0; id < LAYOUT_COUNT; id++) {
		const struct layout_row *row = &layout_rows[id];

		printf(".It Pa %s\nA %s of mode %03o, of %s%s%s, made by %s.\n",
		    *row->path != '\0' ? row->path : "\\&.",
		    layout_kind_name(row->kind), (unsigned)row->mode,
		    row->owner == LAYOUT_OURS ? "root"
			: row->owner == LAYOUT_DOMAIN
			? "the domain's owner"
			: identity_name((enum identity_role)row->owner),
		    *row->group != '\0' ? " and the group " : "", row->group,
		    row->maker);
		print_mdoc_text(row->text);
	}
	puts(".El");
}

void
showctl_print_man(void)
{
	unsigned id;

	puts(".Bl -tag -width Ds");
	for (id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = &setting_rows[id];

		printf(".It Ic %s\n", row->name);
		print_mdoc_text(row->text);
		print_mdoc_facts(row);
		print_mdoc_readers(row->readers);
	}
	puts(".El");
	print_mdoc_layout();
}
