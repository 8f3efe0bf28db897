/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/lines.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"

static void
see(unsigned number, char *line, void *context)
{
	buf_addf(context, "%u=%s|", number, line);
}

static void
lines(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ "", "" },
		{ "\n\n", "" },
		{ "a", "1=a|" },
		{ "a\nb\n", "1=a|2=b|" },
		{ "# a\n\n b \t\r\nc#\n", "3= b|4=c#|" },
		{ " \t\n\r\nd", "3=d|" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check check = check_begin();
		struct buf got;

		buf_init(&got);
		svc_put("control/x", rows[i].text);
		check_each_line(&check, folder_path("control/x"), see, &got);
		if (check.count != 0 ||
		    strcmp(got.length > 0 ? got.data : "", rows[i].wanted) != 0)
			fail_msg("row %zu: got '%s' and %zu findings, wanted "
				 "'%s'",
			    i, got.length > 0 ? got.data : "", check.count,
			    rows[i].wanted);
		buf_release(&got);
		check_release(&check);
	}
}

static void
files_without_lines(void **state)
{
	struct check check = check_begin();
	struct buf got;

	(void)state;
	buf_init(&got);
	check_each_line(&check, folder_path("control/none"), see, &got);
	check_expect(&check, "missing", "");
	check_each_line(&check, folder_path("control"), see, &got);
	assert_int_equal(got.length, 0);
	check_expect(&check, "a folder",
	    "E ~/control: cannot read '~/control': Is a directory -- run this as its owner or root\n");
	buf_release(&got);
	check_release(&check);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(lines),
		SVC_TEST(files_without_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
