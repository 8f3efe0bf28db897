/* SPDX-License-Identifier: ISC */
/* adminsrv/leftover.c: settings that still name a domain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adminsrv/leftover.h"
#include "tests/unit/folder.h"

static struct home *home;

static int
set_up(void **state)
{
	if (folder_setup(state) != 0)
		return -1;
	home = home_at(folder);
	return file_make_dirs(home->control, 0755, NULL);
}

static int
tear_down(void **state)
{
	home_free(&home);
	return folder_teardown(state);
}

static void
names_the_file(void **unused)
{
	static const struct {
		const char *file, *text;
		bool wanted;
	} rows[] = {
		{ "control/envnoathost", "example.test\n", true },
		{ "control/envnoathost", "Example.TEST \n", true },
		{ "control/envnoathost", "example.test.org\n", false },
		{ "control/envnoathost", "an.example.test\n", false },
		{ "control/doublebouncehost", "example.test", true },
		{ "control/extraqueue", "archive@example.test\n", true },
		{ "control/extraqueue", "example.test@example.org\n", false },
		{ "control/chkrcptdomains", "example.org\nexample.test\n",
		    true },
		{ "control/chkrcptdomains", "#example.test\n", false },
		{ "control/virtualdomains", "joe@example.test:example.org\n",
		    true },
		{ "control/virtualdomains", "example.org:example.test\n",
		    false },
		{ "control/me", "example.test\n", true },
		{ "control/me", "mail.example.test\n", false },
		{ "control/bouncesubject", "example.test\n", false },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf lines;
		struct error err;

		buf_init(&lines);
		folder_write(rows[i].file, rows[i].text, strlen(rows[i].text));
		if (leftover_find(home, "example.test", &lines, &err) == -1)
			fail_msg("%s", err.text);
		if (rows[i].wanted ? strstr(lines.data, rows[i].file) == NULL
				   : lines.length > 0)
			fail_msg("%s with '%s': got '%s'", rows[i].file,
			    rows[i].text, lines.data);
		unlink(folder_path(rows[i].file));
		buf_release(&lines);
	}
}

static void
an_unreadable_file_is_said(void **unused)
{
	struct buf lines;
	struct error err;

	(void)unused;
	buf_init(&lines);
	folder_write("control/envnoathost", "a\0b", 3);
	assert_int_equal(leftover_find(home, "example.test", &lines, &err), -1);
	assert_non_null(strstr(err.text, "envnoathost"));
	buf_release(&lines);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    names_the_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    an_unreadable_file_is_said, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
