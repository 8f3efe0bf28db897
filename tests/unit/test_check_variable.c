/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/variable.c. */
#include "svctool/check/variable.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/folder.h"
#include <string.h>

static struct home home;
static const struct node node = { .home = &home };

/* The node's queues are FOLDER/queue/queue1 and queue2, both counted. */
static int
set_up(void **state)
{
	if (folder_setup(state) != 0)
		return -1;
	home.control = strdup(folder_path("control"));
	home.queue = strdup(folder_path("queue"));
	if (file_make_dirs(folder_path("control"), 0755, NULL) == -1 ||
	    file_make_dirs(folder_path("queue/queue1/mess"), 0755, NULL) ==
		-1 ||
	    file_make_dirs(folder_path("queue/queue2/mess"), 0755, NULL) ==
		-1 ||
	    file_make_dirs(folder_path("other/queue7/mess"), 0755, NULL) == -1)
		return -1;
	folder_write("control/me", "m.example\n", 10);
	folder_write("control/queue_count", "2\n", 2);
	return 0;
}

static int
tear_down(void **state)
{
	free(home.control);
	free(home.queue);
	return folder_teardown(state);
}

static void
ignore(enum setting_id id, const char *reason, void *context)
{
	(void)id;
	(void)context;
	fail_msg("%s", reason);
}

/* The text of the only finding, or "". */
static const char *
text_of(const struct check *check)
{
	assert_true(check->count <= 1);
	return check->count == 0 ? "" : check->findings[0].text;
}

static void
values(void **state)
{
	static const struct {
		const char *name, *value;
		bool is_session;
		const char *wanted; /* "": it is right */
	} rows[] = {
		{ "MAXDAEMONS", "10", false, "" },
		{ "MAXDAEMONS", "0", false, "MAXDAEMONS: '0' is out of range" },
		{ "MAXDAEMONS", "x", false,
		    "MAXDAEMONS: 'x' is not a number of connections" },
		{ "DATABYTES", "", true, "" },
		{ "DATABYTES", "", false,
		    "DATABYTES: '' is not a number of bytes" },
		{ "DATABYTES", "1k", true,
		    "DATABYTES: '1k' is not a number of bytes" },
		{ "QUEUE_BASE", "queue", true,
		    "QUEUE_BASE: 'queue' is not an absolute path" },
		{ "EXTRAQUEUE", "archive", true,
		    "EXTRAQUEUE: 'archive' is not a mailbox" },
		{ "MAX_RCPT_ERRCOUNT", "7", true, "" },
		{ "MAX_RCPT_ERRCOUNT", "seven", true,
		    "MAX_RCPT_ERRCOUNT: 'seven' is no number" },
		{ "SOFT_FILES", "many", false,
		    "SOFT_FILES: 'many' is no number" },
		{ "RELAYCLIENT", "", true, "" },
		{ "ANYTHING", "at all", false, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check check = { .node = &node };
		const struct check_place place = { .file = "/f",
			.line = 4,
			.what = "",
			.remedy = "",
			.is_session = rows[i].is_session };

		check_variable(&check, &place, rows[i].name, rows[i].value);
		if (strcmp(text_of(&check), rows[i].wanted) != 0)
			fail_msg("%s=%s: got '%s', wanted '%s'", rows[i].name,
			    rows[i].value, text_of(&check), rows[i].wanted);
		check_release(&check);
	}
}

/* FOLDER stands for the test's folder. */
static void
queues(void **state)
{
	static const struct {
		const char *name, *value;
		const char *wanted; /* end of the text; "": right */
		size_t used;
	} rows[] = {
		{ "NOTHING", "", "", 2 },
		{ "QUEUE_COUNT", "1", "", 1 },
		{ "QUEUE_COUNT", "3", "/queue/queue3', which does not exist",
		    3 },
		{ "QUEUE_COUNT", "900", "", 0 },  /* another finding's */
		{ "QUEUE_COUNT", "junk", "", 0 }, /* another finding's */
		{ "QUEUE_START", "2", "/queue/queue3', which does not exist",
		    2 },
		{ "QUEUEDIR", "queue1",
		    "it names the queue 'queue1', which is no absolute path",
		    1 },
		{ "QUEUEDIR", "/nonexistent/q",
		    "it names the queue '/nonexistent/q', which does not exist",
		    1 },
		{ "QUEUE_BASE", "/nonexistent",
		    "it counts the queue '/nonexistent/queue1', which does not "
		    "exist",
		    1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check check = { .node = &node };
		const struct check_place place = {
			.file = "/f", .what = "", .remedy = ""
		};
		struct vars vars = VARS_INIT;
		const char *text;

		check.settings = settings_load_all(
		    home.control, NULL, ignore, NULL);
		vars_set(&vars, rows[i].name, rows[i].value);
		check_queue_choice(&check, &place, &vars);
		text = text_of(&check);
		if ((*rows[i].wanted == '\0') != (*text == '\0') ||
		    strstr(text, rows[i].wanted) == NULL ||
		    check.used_queues.count != rows[i].used)
			fail_msg("%s=%s: got '%s' and %zu queues, wanted '%s'",
			    rows[i].name, rows[i].value, text,
			    check.used_queues.count, rows[i].wanted);
		vars_release(&vars);
		check_release(&check);
	}
}

static void
several_variables(void **state)
{
	struct check check = { .node = &node };
	const struct check_place place = {
		.file = "/f", .what = "", .remedy = ""
	};
	struct vars vars = VARS_INIT;

	(void)state;
	check.settings = settings_load_all(home.control, NULL, ignore, NULL);
	vars_set(&vars, "QUEUE_BASE", folder_path("other"));
	vars_set(&vars, "QUEUE_START", "7");
	vars_set(&vars, "QUEUE_COUNT", "1");
	assert_string_equal(check_queue_chooser(&vars), "QUEUE_COUNT");
	check_queue_choice(&check, &place, &vars);
	assert_string_equal(text_of(&check), "");
	assert_string_equal(
	    check.used_queues.items[0], folder_path("other/queue7"));
	vars_release(&vars);
	vars_set(&vars, "DATABYTES", "7");
	assert_null(check_queue_chooser(&vars));
	vars_release(&vars);
	check_release(&check);
}

static void
names(void **state)
{
	static const struct {
		const char *name;
		const char *wanted; /* NULL: no misspelling */
	} rows[] = {
		{ "QUEUE_COUNT", NULL },
		{ "MQMAIL_USER", NULL },
		{ "QUEUE_CUONT", "QUEUE_COUNT" },
		{ "QUEUECOUNT", "QUEUE_COUNT" },
		{ "DATABYTE", "DATABYTES" },
		{ "MQMAILUSER", "MQMAIL_USER" },
		{ "queue_count", NULL },
		{ "MY_FILTER_DIR", NULL },
		{ "ASAN_OPTIONS", NULL },
		{ "PATH", NULL },
		{ "HOME", NULL },
		{ "LC_ALL", NULL },
		{ "LD_LIBRARY_PATH", NULL },
		{ "A_NAME_THAT_IS_LONGER_THAN_ALL_THAT_ARE_KNOWN", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = check_spelling(rows[i].name);

		if ((got == NULL) != (rows[i].wanted == NULL) ||
		    (got != NULL && strcmp(got, rows[i].wanted) != 0))
			fail_msg("'%s': got '%s'", rows[i].name,
			    got != NULL ? got : "none");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(queues),
		cmocka_unit_test(several_variables),
		cmocka_unit_test(names),
	};

	check_forget_environment();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
