/* SPDX-License-Identifier: ISC */
/* Settings as JSON. */
#include "control/showctl.h"

#include <jansson.h>
#include <stdio.h>

#include "base/log.h"
#include "control/json_text.h"

static json_t *
list_json(const struct strlist *list)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < list->count; i++)
		json_array_append_new(array, json_text(list->items[i]));
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
		return json_text(settings_text(settings, id));
	case SETTING_LIST:
		return list_json(settings_list(settings, id));
	}
	return json_null();
}

static json_t *
setting_json(const struct showctl *showctl, enum setting_id id)
{
	const struct setting_row *row = &setting_rows[id];
	json_t *json = json_object();

	if (showctl->reasons[id] != NULL)
		json_object_set_new(
		    json, "error", json_text(showctl->reasons[id]));
	else {
		json_object_set_new(
		    json, "value", value_json(showctl->settings, id));
		json_object_set_new(json, "source",
		    json_text(settings_source(showctl->settings, id)));
		json_object_set_new(json, "is_set",
		    json_boolean(settings_is_set(showctl->settings, id)));
	}
	json_object_set_new(json, "unit", json_string(row->unit));
	json_object_set_new(json, "default", json_string(row->standard));
	return json;
}

void
showctl_print_json(const struct showctl *showctl)
{
	json_t *json = json_object(), *settings = json_object();
	json_t *unknown = json_array();
	unsigned id;
	size_t i;

	for (id = 0; id < SETTING_COUNT; id++)
		if (showctl->is_chosen[id])
			json_object_set_new(settings, setting_rows[id].name,
			    setting_json(showctl, id));
	for (i = 0; i < showctl->unknown_count; i++)
		json_array_append_new(unknown, json_text(showctl->unknown[i]));
	json_object_set_new(
	    json, "control_dir", json_text(showctl->control_dir));
	json_object_set_new(json, "queue",
	    showctl->queue != NULL ? json_text(showctl->queue) : json_null());
	json_object_set_new(json, "settings", settings);
	json_object_set_new(json, "unknown_files", unknown);
	if (json_dumpf(json, stdout, JSON_INDENT(2)) == -1)
		fatal(111, "cannot write the settings");
	putchar('\n');
	json_decref(json);
}
