/* SPDX-License-Identifier: ISC */
/* adminsrv/vpasswd_file.c: vpasswd and vpasswd.cdb of a domain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adminsrv/vpasswd_file.h"
#include "base/buf.h"
#include "control/cdbmap.h"
#include "tests/unit/folder.h"

static void
put_text(const char *text)
{
	folder_write("vpasswd", text, strlen(text));
}

static void
assert_text(const char *wanted)
{
	struct buf text;

	buf_init(&text);
	assert_int_equal(
	    file_read(folder_path("vpasswd"), 1 << 20, &text, NULL), 1);
	assert_string_equal(text.data, wanted);
	buf_release(&text);
}

static struct vpasswd_file *
load(int wanted)
{
	struct vpasswd_file *file;
	struct error err = { "" };
	int result = vpasswd_file_load(folder, &file, &err);

	if (result != wanted)
		fail_msg(
		    "load gave %d (%s), wanted %d", result, err.text, wanted);
	return file;
}

static const struct vpasswd_entry carol = { .name = "carol",
	.hash = "h",
	.gecos = "Carol",
	.dir = "/d/carol",
	.quota = "NOQUOTA" };

static void
keeps_other_lines_as_they_are(void **state)
{
	struct vpasswd_file *file;
	struct vpasswd_entry bob;

	(void)state;
	/* With vpopmail's clear password, an empty line, no last newline. */
	put_text("alice:h:01:0:A:/d/alice:5S:clear\n\n"
		 "bob:h:0:0:B:/d/bob:NOQUOTA\ndave:h:0:0:D:/d/dave:");
	file = load(1);
	assert_int_equal(vpasswd_file_put(file, &carol, NULL), 0);
	bob = *vpasswd_file_find(file, "bob");
	bob.hash = "new";
	assert_int_equal(vpasswd_file_put(file, &bob, NULL), 0);
	assert_int_equal(vpasswd_file_save(file, NULL), 0);
	assert_text("alice:h:01:0:A:/d/alice:5S:clear\n"
		    "bob:new:0:0:B:/d/bob:NOQUOTA\n"
		    "dave:h:0:0:D:/d/dave:\n"
		    "carol:h:0:0:Carol:/d/carol:NOQUOTA\n");
	vpasswd_file_free(&file);
}

static void
removes_and_adds_again(void **state)
{
	struct vpasswd_file *file;

	(void)state;
	put_text("alice:h:0:0:A:/d/alice:5S\nbob:h:0:0:B:/d/bob:NOQUOTA\n");
	file = load(1);
	assert_true(vpasswd_file_remove(file, "alice"));
	assert_false(vpasswd_file_remove(file, "alice"));
	assert_null(vpasswd_file_find(file, "alice"));
	assert_int_equal(vpasswd_file_put(file, &carol, NULL), 0);
	assert_true(vpasswd_file_remove(file, "carol"));
	assert_int_equal(vpasswd_file_put(file, &carol, NULL), 0);
	assert_string_equal(vpasswd_file_find(file, "carol")->dir, "/d/carol");
	assert_int_equal(vpasswd_file_save(file, NULL), 0);
	assert_text("bob:h:0:0:B:/d/bob:NOQUOTA\n"
		    "carol:h:0:0:Carol:/d/carol:NOQUOTA\n");
	vpasswd_file_free(&file);
}

static void
refuses_bad_files(void **state)
{
	static const struct {
		const char *text, *wanted; /* in the reason */
	} rows[] = {
		{ "alice:h:0:0:A:/d/alice:5S\nnonsense\n", "vpasswd:2: " },
		{ "\n\nalice\n", "vpasswd:3: " },
		{ "Alice:h:0:0:A:/d/alice:5S\n", "vpasswd:1: " },
		{ "a:h:0:0:A:/d/a:5S\na:h:0:0:A:/d/a:5S\n",
		    "'a' is there twice" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vpasswd_file *file;
		struct error err = { "" };

		put_text(rows[i].text);
		assert_int_equal(vpasswd_file_load(folder, &file, &err), -1);
		assert_null(file);
		if (strstr(err.text, rows[i].wanted) == NULL)
			fail_msg("'%s': '%s' has no '%s'", rows[i].text,
			    err.text, rows[i].wanted);
	}
}

static void
knows_what_the_cdb_was_made_from(void **state)
{
	struct vpasswd_file *file = load(0);

	(void)state;
	assert_false(vpasswd_file_is_compiled(file));
	assert_int_equal(vpasswd_file_put(file, &carol, NULL), 0);
	assert_int_equal(vpasswd_file_save(file, NULL), 0);
	assert_true(vpasswd_file_is_compiled(file));
	vpasswd_file_free(&file);

	/* Edited by hand, or a run killed between text and cdb. */
	put_text("carol:other:0:0:Carol:/d/carol:NOQUOTA\n");
	file = load(1);
	assert_false(vpasswd_file_is_compiled(file));
	assert_int_equal(vpasswd_file_compile(file, NULL), 0);
	assert_true(vpasswd_file_is_compiled(file));
	vpasswd_file_free(&file);

	/* What make_private() left when it was killed there. */
	folder_write("vpasswd.cdb", "", 0);
	file = load(1);
	assert_false(vpasswd_file_is_compiled(file));
	vpasswd_file_free(&file);
}

static void
hashes_are_not_everybodys(void **state)
{
	struct vpasswd_file *file = load(0);
	struct stat st;

	(void)state;
	assert_int_equal(vpasswd_file_put(file, &carol, NULL), 0);
	umask(0);
	assert_int_equal(vpasswd_file_save(file, NULL), 0);
	umask(022);
	vpasswd_file_free(&file);
	assert_int_equal(stat(folder_path("vpasswd"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(folder_path("vpasswd.cdb"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void
holds_many_users(void **state)
{
	enum { USERS = 20000 };
	struct vpasswd_file *file = load(0);
	struct vpasswd_entry entry = carol;
	const struct vpasswd_entry *found;
	struct cdbmap *map;
	char name[32];
	size_t at = 0;
	unsigned count = 0;

	(void)state;
	entry.name = name;
	for (unsigned i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "u%u", i);
		assert_int_equal(vpasswd_file_put(file, &entry, NULL), 0);
	}
	for (unsigned i = 0; i < USERS; i += 2) {
		snprintf(name, sizeof(name), "u%u", i);
		assert_true(vpasswd_file_remove(file, name));
	}
	assert_int_equal(vpasswd_file_save(file, NULL), 0);
	vpasswd_file_free(&file);
	file = load(1);
	while ((found = vpasswd_file_next(file, &at)) != NULL) {
		snprintf(name, sizeof(name), "u%u", count * 2 + 1);
		assert_string_equal(found->name, name);
		count++;
	}
	assert_int_equal(count, USERS / 2);
	vpasswd_file_free(&file);
	assert_int_equal(
	    cdbmap_open(folder_path("vpasswd.cdb"), &map, NULL), 1);
	for (unsigned i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "u%u", i);
		assert_int_equal(
		    cdbmap_get(map, name, strlen(name), NULL, NULL), i % 2);
	}
	cdbmap_free(&map);
}

int
main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		TEST(keeps_other_lines_as_they_are),
		TEST(removes_and_adds_again),
		TEST(refuses_bad_files),
		TEST(knows_what_the_cdb_was_made_from),
		TEST(hashes_are_not_everybodys),
		TEST(holds_many_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
