/* SPDX-License-Identifier: ISC */
/* adminsrv/line_file.c: control files, edited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adminsrv/line_file.h"
#include "base/buf.h"
#include "tests/unit/folder.h"

struct row {
	const char *name;
	const char *before; /* NULL: no file */
	const char *remove, *add, *last;
	const char *after;
};

static const struct row rows[] = {
	{ "new file", NULL, NULL, "a.test", NULL, "a.test\n" },
	{ "appended", "# names\na.test\n\n", NULL, "b.test", NULL,
	    "# names\na.test\n\nb.test\n" },
	{ "no newline at the end", "a.test", NULL, "b.test", NULL,
	    "a.test\nb.test\n" },
	{ "removed", "a.test\nb.test\nA.TEST  \n", "a.test", NULL, NULL,
	    "b.test\n" },
	{ "by key", "a.test:x\na.testing:x\n.a.test:y\n", "a.test", NULL, NULL,
	    "a.testing:x\n.a.test:y\n" },
	{ "another spelling", "B\303\274cher.test:x\nb\303\274cher.tests\n",
	    "xn--bcher-kva.test", NULL, NULL, "b\303\274cher.tests\n" },
	{ "comments are no keys", "#a.test\n", "#a.test", NULL, NULL,
	    "#a.test\n" },
	{ "in front of the end", "+a-:a\n.\n", NULL, "+b-:b", ".",
	    "+a-:a\n+b-:b\n.\n" },
	{ "end is added", NULL, NULL, "+b-:b", ".", "+b-:b\n.\n" },
	{ "what follows the end stays", "+a-:a\n.\n# x\n", "+a-", NULL, ".",
	    ".\n# x\n" },
};

static void
edits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct line_file *file;
		struct buf after;

		unlink(folder_path("file"));
		if (row->before != NULL)
			folder_write("file", row->before, strlen(row->before));
		assert_int_equal(
		    line_file_load(folder_path("file"), &file, NULL), 0);
		assert_int_equal(line_file_exists(file), row->before != NULL);
		if (row->remove != NULL)
			line_file_remove(file, row->remove);
		if (row->add != NULL)
			line_file_add(file, row->add);
		assert_int_equal(
		    line_file_save(file, 0644, row->last, NULL), 0);
		line_file_free(&file);
		buf_init(&after);
		assert_int_equal(
		    file_read(folder_path("file"), 4096, &after, NULL), 1);
		if (strcmp(after.data, row->after) != 0)
			fail_msg("%s: got '%s', wanted '%s'", row->name,
			    after.data, row->after);
		buf_release(&after);
	}
}

static void
finds_and_counts(void **state)
{
	struct line_file *file;
	const char *text = "# a.test\na.test:A \n\nb.test\n";

	(void)state;
	folder_write("file", text, strlen(text));
	assert_int_equal(line_file_load(folder_path("file"), &file, NULL), 0);
	assert_string_equal(line_file_find(file, "A.test"), "a.test:A ");
	assert_null(line_file_find(file, "a.tes"));
	assert_null(line_file_find(file, "a.test:A"));
	assert_int_equal(line_file_count(file), 2);
	line_file_free(&file);
}

/* A file that is as it should be is not written again. */
static void
leaves_unchanged_files_alone(void **state)
{
	struct line_file *file;
	struct stat before, after;

	(void)state;
	folder_write("file", "a.test", 6);
	assert_int_equal(stat(folder_path("file"), &before), 0);
	assert_int_equal(line_file_load(folder_path("file"), &file, NULL), 0);
	assert_false(line_file_remove(file, "b.test"));
	assert_int_equal(line_file_save(file, 0644, NULL, NULL), 0);
	line_file_free(&file);
	assert_int_equal(stat(folder_path("file"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

static void
says_what_it_cannot_read(void **state)
{
	struct line_file *file;
	struct error err = { "" };

	(void)state;
	folder_write("file", "a\0b", 3);
	assert_int_equal(line_file_load(folder_path("file"), &file, &err), -1);
	assert_null(file);
	assert_non_null(strstr(err.text, folder));
	assert_int_equal(line_file_load(folder, &file, &err), -1);
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		TEST(edits),
		TEST(finds_and_counts),
		TEST(leaves_unchanged_files_alone),
		TEST(says_what_it_cannot_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
