/* SPDX-License-Identifier: ISC */
/* Tests of control/showctl_print.c. */
#include "control/showctl.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture.h"
#include "tests/unit/showctl.h"

static void
values(void **state)
{
	static const struct {
		enum setting_id id;
		const char *text;   /* of its file; NULL: none */
		const char *wanted; /* %s: the file's path */
	} rows[] = {
		{ SETTING_databytes, "77\n", "databytes: 77 bytes (%s)\n" },
		{ SETTING_databytes, NULL, "databytes: 0 bytes (default)\n" },
		{ SETTING_queue_start, NULL, "queue_start: 1 (default)\n" },
		{ SETTING_holdlocal, "1\n", "holdlocal: 1 (yes) (%s)\n" },
		{ SETTING_holdlocal, "0\n", "holdlocal: 0 (no) (%s)\n" },
		{ SETTING_bouncesubject, "a \"b\"\n",
		    "bouncesubject: \"a \"b\"\" (%s)\n" },
		{ SETTING_envnoathost, "", "envnoathost: \"\" (%s)\n" },
		{ SETTING_rcpthosts, "", "rcpthosts: 0 lines (%s)\n" },
		{ SETTING_rcpthosts, "a.test\n",
		    "rcpthosts: 1 line (%s)\n\ta.test\n" },
		{ SETTING_rcpthosts, "a.test\n.b.test\n",
		    "rcpthosts: 2 lines (%s)\n\ta.test\n\t.b.test\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = setting_rows[rows[i].id].name;
		struct showctl showctl;
		struct capture capture;
		char *got, *path, *wanted;

		if (rows[i].text != NULL)
			folder_write(name, rows[i].text, strlen(rows[i].text));
		else
			remove(folder_path(name));
		showctl_load(&showctl, NULL);
		showctl.is_chosen[rows[i].id] = true;
		capture = capture_begin(1);
		showctl_print_text(&showctl);
		got = capture_end(&capture);
		path = showctl_replace(rows[i].wanted, "%s", folder_path(name));
		wanted = xasprintf("control folder: %s\n%s", folder, path);
		if (strcmp(got, wanted) != 0)
			fail_msg(
			    "row %zu: got '%s', wanted '%s'", i, got, wanted);
		free(wanted);
		free(path);
		free(got);
		showctl_unload(&showctl);
		remove(folder_path(name));
	}
}

static void
wrong_and_unknown(void **state)
{
	static char unknown_name[] = "databites";
	char *unknown[] = { unknown_name };
	struct showctl showctl;
	struct capture capture;
	char *got, *wanted;

	(void)state;
	folder_write("databytes.queue1", "1\n", 2);
	folder_write("timeoutsmtpd", "soon\n", 5);
	showctl_load(&showctl, "queue1");
	showctl.is_chosen[SETTING_timeoutsmtpd] = true;
	showctl.is_chosen[SETTING_maxhops] = true;
	showctl.unknown = (struct strlist){ .items = unknown, .count = 1 };
	capture = capture_begin(1);
	showctl_print_text(&showctl);
	got = capture_end(&capture);
	wanted = xasprintf("control folder: %s, for the queue queue1\n"
			   "timeoutsmtpd: WRONG: %s/timeoutsmtpd:1: 'soon' is "
			   "not a number of seconds; write a whole number, for "
			   "example 1200\n"
			   "maxhops: 100 hops (default)\n"
			   "databites: no program reads this file\n",
	    folder, folder);
	assert_string_equal(got, wanted);
	free(wanted);
	free(got);
	showctl_unload(&showctl);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SHOWCTL_TEST(values),
		SHOWCTL_TEST(wrong_and_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
