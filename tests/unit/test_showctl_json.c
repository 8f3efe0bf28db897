/* SPDX-License-Identifier: ISC */
/* Tests of control/showctl_print.c. */
#include "control/showctl.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "tests/unit/capture.h"
#include "tests/unit/showctl.h"

/* What is printed, as an object; the caller gives it back. */
static json_t *
print(const struct showctl *showctl)
{
	struct capture capture = capture_begin(1);
	json_error_t reason;
	json_t *json;
	char *text;

	showctl_print_json(showctl);
	text = capture_end(&capture);
	json = json_loads(text, JSON_REJECT_DUPLICATES, &reason);
	if (json == NULL)
		fail_msg("%s: '%s'", reason.text, text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	free(text);
	return json;
}

static void
expect(const json_t *settings, enum setting_id id, const char *wanted)
{
	const char *name = setting_rows[id].name;
	char *got = json_dumps(
	    json_object_get(settings, name), JSON_COMPACT | JSON_SORT_KEYS);

	if (got == NULL || strcmp(got, wanted) != 0)
		fail_msg("%s: got '%s', wanted '%s'", name, got, wanted);
	free(got);
}

static void
every_type(void **state)
{
	struct showctl showctl;
	json_t *json, *settings;
	char *wanted;

	(void)state;
	folder_write("databytes", "9223372036854775807\n", 20);
	folder_write("holdlocal", "1\n", 2);
	folder_write("rcpthosts", "a.test\n.b.test\n", 15);
	folder_write("bouncesubject", "q\" \xff \xc3\xa4\n", 8);
	showctl_load(&showctl, NULL);
	for (unsigned id = 0; id < SETTING_COUNT; id++)
		showctl.is_chosen[id] = true;
	json = print(&showctl);
	settings = json_object_get(json, "settings");
	assert_int_equal(json_object_size(settings), SETTING_COUNT);
	wanted = xasprintf("{\"default\":\"0\",\"is_set\":true,\"source\":"
			   "\"%s/databytes\",\"unit\":\"bytes\",\"value\":"
			   "9223372036854775807}",
	    folder);
	expect(settings, SETTING_databytes, wanted);
	free(wanted);
	wanted = xasprintf("{\"default\":\"0\",\"is_set\":true,\"source\":"
			   "\"%s/holdlocal\",\"unit\":\"0 or 1\",\"value\":"
			   "true}",
	    folder);
	expect(settings, SETTING_holdlocal, wanted);
	free(wanted);
	expect(settings, SETTING_holdremote,
	    "{\"default\":\"0\",\"is_set\":false,\"source\":\"default\","
	    "\"unit\":\"0 or 1\",\"value\":false}");
	wanted = xasprintf("{\"default\":\"\",\"is_set\":true,\"source\":"
			   "\"%s/rcpthosts\",\"unit\":\"domain\",\"value\":["
			   "\"a.test\",\".b.test\"]}",
	    folder);
	expect(settings, SETTING_rcpthosts, wanted);
	free(wanted);
	wanted = xasprintf("{\"default\":\"from.envrules\",\"is_set\":false,"
			   "\"source\":\"default\",\"unit\":\"path\","
			   "\"value\":\"%s/from.envrules\"}",
	    folder);
	expect(settings, SETTING_fromenvrules, wanted);
	free(wanted);
	/* A byte that is no UTF-8 must not cost the rest of the report. */
	assert_non_null(json_string_value(json_object_get(
	    json_object_get(settings, "bouncesubject"), "value")));
	assert_string_equal(
	    json_string_value(json_object_get(json, "control_dir")), folder);
	assert_true(json_is_null(json_object_get(json, "queue")));
	assert_int_equal(
	    json_array_size(json_object_get(json, "unknown_files")), 0);
	json_decref(json);
	showctl_unload(&showctl);
}

static void
wrong_and_unknown(void **state)
{
	static char unknown_name[] = "databites";
	char *unknown[] = { unknown_name };
	struct showctl showctl;
	json_t *json, *settings, *wrong;
	const char *reason;

	(void)state;
	folder_write("timeoutsmtpd", "soon\n", 5);
	showctl_load(&showctl, "queue7");
	showctl.is_chosen[SETTING_timeoutsmtpd] = true;
	showctl.unknown = (struct strlist){ .items = unknown, .count = 1 };
	json = print(&showctl);
	settings = json_object_get(json, "settings");
	assert_int_equal(json_object_size(settings), 1);
	wrong = json_object_get(settings, "timeoutsmtpd");
	reason = json_string_value(json_object_get(wrong, "error"));
	assert_non_null(strstr(reason, "/timeoutsmtpd:1: 'soon' is not"));
	assert_null(json_object_get(wrong, "value"));
	assert_null(json_object_get(wrong, "is_set"));
	assert_string_equal(
	    json_string_value(json_object_get(wrong, "unit")), "seconds");
	assert_string_equal(
	    json_string_value(json_object_get(json, "queue")), "queue7");
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(json, "unknown_files"), 0)),
	    "databites");
	json_decref(json);
	showctl_unload(&showctl);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SHOWCTL_TEST(every_type),
		SHOWCTL_TEST(wrong_and_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
