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

static void
note_variable(
    const char *path, const char *name, const char *value, void *context)
{
	(void)path;
	buf_addf(context, "%s=%s|", name, value != NULL ? value : "(unset)");
}

static void
note_fault(const char *path, const char *reason, void *context)
{
	buf_addf(context, "%s: %.16s|", strrchr(path, '/') + 1, reason);
}

static void
what_envdir_makes_of_a_folder(void **unused)
{
	static const struct {
		const char *name, *text, *wanted; /* text NULL: a folder */
	} rows[] = {
		{ "vars/A", "x y \nz\n", "A=x y|" },
		{ "vars/A", "", "A=(unset)|" },
		{ "vars/.hidden", "x", "" },
		{ "vars/A", NULL, "A: it is not a file|" },
	};
	struct buf got;
	const struct global_vars_visitor visitor = { note_variable, note_fault,
		&got };

	(void)unused;
	buf_init(&got);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(
		    file_make_dirs(folder_path("vars"), 0755, NULL), 0);
		if (rows[i].text == NULL)
			assert_int_equal(
			    file_make_dirs(
				folder_path(rows[i].name), 0755, NULL),
			    0);
		else
			folder_write(
			    rows[i].name, rows[i].text, strlen(rows[i].text));
		buf_reset(&got);
		assert_int_equal(
		    global_vars_walk(folder_path("vars"), &visitor), 0);
		assert_string_equal(
		    got.length > 0 ? got.data : "", rows[i].wanted);
		assert_int_equal(
		    file_remove_tree(folder_path("vars"), NULL), 0);
	}
	assert_int_equal(global_vars_walk(folder_path("none"), &visitor), -1);
	buf_release(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_are_as_envdir_takes_them,
		    folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(what_envdir_makes_of_a_folder,
		    folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    the_home_is_the_nodes, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
