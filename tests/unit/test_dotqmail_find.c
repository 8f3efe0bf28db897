/* SPDX-License-Identifier: ISC */
#include "delivery/dotqmail_find.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/tempdir.h"

static char *folder;

static void
put(const char *name, mode_t mode)
{
	OWN_TEXT path = xasprintf("%s/%s", folder, name);
	struct error err;

	assert_int_equal(file_replace(path, "x", 1, 0600, &err), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void
which_file(void **state)
{
	static const struct {
		const char *extension, *file, *default_part;
		bool is_domain_default;
	} rows[] = {
		{ "sales", ".qmail-sales", NULL, false },
		{ "SALES", ".qmail-sales", NULL, false },
		{ "a.b", ".qmail-a:b", NULL, false },
		{ "list-x-y", ".qmail-list-default", "x-y", false },
		{ "list-x-Z", ".qmail-list-default", "x-Z", false },
		{ "list-x-q-r", ".qmail-list-x-q-default", "r", false },
		{ "list", ".qmail-default", "list", true },
		{ "a/b", ".qmail-default", "a/b", true },
		{ "", ".qmail-default", "", true },
	};

	(void)state;
	folder = tempdir_make();
	put(".qmail-sales", 0600);
	put(".qmail-a:b", 0600);
	put(".qmail-list-default", 0600);
	put(".qmail-list-x-q-default", 0600);
	put(".qmail-default", 0600);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dotqmail_file file;
		struct error err;

		assert_int_equal(
		    dotqmail_find(folder, "-", rows[i].extension, &file, &err),
		    1);
		assert_string_equal(strrchr(file.path, '/') + 1, rows[i].file);
		if (rows[i].default_part == NULL)
			assert_null(file.default_part);
		else
			assert_string_equal(
			    file.default_part, rows[i].default_part);
		assert_int_equal(
		    file.is_domain_default, rows[i].is_domain_default);
		dotqmail_file_release(&file);
	}
	tempdir_remove(folder);
}

static void
whose_file(void **state)
{
	struct dotqmail_file file;
	struct error err;

	(void)state;
	folder = tempdir_make();
	assert_int_equal(dotqmail_find(folder, "-", "x", &file, &err), 0);
	put(".qmail-x", 0700);
	put(".qmail-x-owner", 0600);
	assert_int_equal(dotqmail_find(folder, "-", "x", &file, &err), 1);
	assert_true(file.is_executable);
	assert_true(file.has_owner);
	assert_false(file.has_owner_default);
	dotqmail_file_release(&file);
	put(".qmail-x-owner-default", 0600);
	put(".qmail-x", 0602);
	assert_int_equal(dotqmail_find(folder, "-", "x", &file, &err), -1);
	dotqmail_file_release(&file);
	put(".qmail-x", 0600);
	assert_int_equal(dotqmail_find(folder, "-", "x", &file, &err), 1);
	assert_true(file.has_owner_default);
	dotqmail_file_release(&file);
	assert_int_equal(chmod(folder, 01700), 0);
	assert_int_equal(dotqmail_find(folder, "-", "x", &file, &err), -1);
	assert_int_equal(chmod(folder, 0702), 0);
	assert_int_equal(dotqmail_find(folder, "-", "x", &file, &err), -1);
	assert_int_equal(chmod(folder, 0700), 0);
	tempdir_remove(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_file),
		cmocka_unit_test(whose_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
