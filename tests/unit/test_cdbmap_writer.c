/* SPDX-License-Identifier: ISC */
/* Tests of control/cdbmap.c: how a cdb is written. */
#include "control/cdbmap.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/folder.h"
#include "tests/unit/numbers_cdb.h"

static unsigned
count_files(void)
{
	DIR *dir = opendir(folder);
	unsigned count = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void
abort_keeps_the_old_and_leaves_nothing(void **state)
{
	struct error err = { "" };
	struct cdbmap_writer *writer;
	struct cdbmap *map;
	unsigned before;

	(void)state;
	write_numbers(folder_path("k.cdb"), 1);
	before = count_files();
	writer = cdbmap_writer_new(folder_path("k.cdb"), &err);
	assert_int_equal(cdbmap_writer_add(writer, "x", 1, "y", 1, &err), 0);
	cdbmap_writer_abort(&writer);
	assert_null(writer);
	assert_int_equal(count_files(), before);
	map = open_map(folder_path("k.cdb"));
	assert_int_equal(cdbmap_get(map, "key0", 4, NULL, &err), 1);
	assert_int_equal(cdbmap_get(map, "x", 1, NULL, &err), 0);
	cdbmap_free(&map);
	writer = NULL;
	cdbmap_writer_abort(&writer);
}

static void
mode_is_kept(void **state)
{
	struct stat st;

	(void)state;
	write_numbers(folder_path("m.cdb"), 1);
	assert_int_equal(stat(folder_path("m.cdb"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(chmod(folder_path("m.cdb"), 0600), 0);
	write_numbers(folder_path("m.cdb"), 2);
	assert_int_equal(stat(folder_path("m.cdb"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* Password hashes are nobody else's, not even while they are written. */
static void
mode_is_private_before_commit(void **state)
{
	struct cdbmap_writer *writer;
	char name[64];
	struct stat st;

	(void)state;
	write_numbers(folder_path("p.cdb"), 1);
	/* A killed process of the same number may have left one. */
	snprintf(name, sizeof(name), "p.cdb.tmp.%ld", (long)getpid());
	folder_write(name, "left", 4);
	assert_int_equal(chmod(folder_path(name), 0644), 0);
	writer = cdbmap_writer_new(folder_path("p.cdb"), NULL);
	assert_non_null(writer);
	assert_int_equal(stat(folder_path(name), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
	assert_int_equal(stat(folder_path("p.cdb"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
}

static void
cannot_write(void **state)
{
	struct error err = { "" };
	struct cdbmap_writer *writer;

	(void)state;
	assert_null(cdbmap_writer_new(folder_path("no/such/x.cdb"), &err));
	assert_non_null(strstr(err.text, "cannot create"));
	/* Renaming a file over a folder fails at the last step. */
	assert_int_equal(mkdir(folder_path("dir.cdb"), 0755), 0);
	writer = cdbmap_writer_new(folder_path("dir.cdb"), &err);
	assert_int_equal(cdbmap_writer_commit(&writer, &err), -1);
	assert_null(writer);
	assert_non_null(strstr(err.text, "cannot rename"));
}

/* root's tools must not take a file from its owner. */
static void
owner_is_kept(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot give files away\n");
		skip();
	}
	write_numbers(folder_path("o.cdb"), 1);
	assert_int_equal(chown(folder_path("o.cdb"), 65534, 65533), 0);
	write_numbers(folder_path("o.cdb"), 2);
	assert_int_equal(stat(folder_path("o.cdb"), &st), 0);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(st.st_gid, 65533);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(abort_keeps_the_old_and_leaves_nothing),
		cmocka_unit_test(mode_is_kept),
		cmocka_unit_test(mode_is_private_before_commit),
		cmocka_unit_test(cannot_write),
		cmocka_unit_test(owner_is_kept),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
