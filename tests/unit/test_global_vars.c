/* SPDX-License-Identifier: ISC */
/* Tests of control/global_vars.c. */
#include "control/global_vars.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/folder.h"

#define BYTES(text) text, sizeof(text) - 1

static void
values_are_as_envdir_takes_them(void **unused)
{
	static const struct {
		const char *name, *text;
		size_t length;
		const char *wanted;
	} rows[] = {
		{ "plain", BYTES("value\n"), "value" },
		{ "no_newline", BYTES("value"), "value" },
		{ "blanks", BYTES("a value \t\n"), "a value" },
		{ "only_blanks", BYTES(" \t\nx"), "" },
		{ "lines", BYTES("first\nsecond\n"), "first" },
		{ "nul", BYTES("one\0two \nthree"), "one\ntwo" },
		{ "only_nul", BYTES("\0"), "\n" },
		{ "empty", BYTES(""), "" },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *value;

		folder_write(rows[i].name, rows[i].text, rows[i].length);
		value = global_vars_read(folder_path(rows[i].name));
		assert_non_null(value);
		assert_string_equal(value, rows[i].wanted);
		free(value);
	}
	assert_null(global_vars_read(folder_path("none")));
}

/* They may name other folders; but what the operator says comes first. */
static void
the_home_is_the_nodes(void **unused)
{
	struct home *home;
	char *wanted;

	(void)unused;
	file_make_dirs(folder_path("control/global_vars"), 0755, NULL);
	folder_write("control/global_vars/ASSIGNDIR", "who\n", 4);
	folder_write("control/global_vars/DOMAINDIR", "/ignored\n", 9);
	folder_write("control/global_vars/.hidden", "x\n", 2);
	setenv("MQMAIL_HOME", folder, 1);
	setenv("DOMAINDIR", "mine", 1);
	unsetenv("ASSIGNDIR");
	home = global_vars_home();
	wanted = xasprintf("%s/who", folder);
	assert_string_equal(home->users, wanted);
	free(wanted);
	wanted = xasprintf("%s/mine", folder);
	assert_string_equal(home->domains, wanted);
	free(wanted);
	assert_string_equal(home->root, folder);
	assert_null(getenv(".hidden"));
	home_free(&home);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_are_as_envdir_takes_them,
		    folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    the_home_is_the_nodes, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
