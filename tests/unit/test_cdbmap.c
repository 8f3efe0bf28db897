/* SPDX-License-Identifier: ISC */
/* Tests of control/cdbmap.c. */
#include "control/cdbmap.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/folder.h"

enum { RECORDS = 2000, THREADS = 4 };

static void
write_numbers(const char *path, unsigned count)
{
	struct error err = { "" };
	struct cdbmap_writer *writer = cdbmap_writer_new(path, &err);

	assert_non_null(writer);
	for (unsigned i = 0; i < count; i++) {
		char key[16], value[16];
		int n = snprintf(key, sizeof(key), "key%u", i);

		snprintf(value, sizeof(value), "value%u", i);
		assert_int_equal(cdbmap_writer_add(writer, key, (size_t)n,
				     value, strlen(value), &err),
		    0);
	}
	assert_int_equal(cdbmap_writer_commit(&writer, &err), 0);
	assert_null(writer);
}

static struct cdbmap *
open_map(const char *path)
{
	struct error err = { "" };
	struct cdbmap *map;

	if (cdbmap_open(path, &map, &err) != 1)
		fail_msg("%s", err.text);
	return map;
}

static void
finds_what_was_written(void **state)
{
	struct cdbmap *map;
	struct error err = { "" };
	struct buf value;

	(void)state;
	buf_init(&value);
	write_numbers(folder_path("a.cdb"), RECORDS);
	map = open_map(folder_path("a.cdb"));
	for (unsigned i = 0; i < RECORDS; i++) {
		char key[16], wanted[32];
		int n = snprintf(key, sizeof(key), "key%u", i);

		snprintf(wanted, sizeof(wanted), "before value%u", i);
		buf_reset(&value);
		buf_adds(&value, "before ");
		assert_int_equal(
		    cdbmap_get(map, key, (size_t)n, &value, &err), 1);
		assert_string_equal(value.data, wanted);
	}
	assert_int_equal(cdbmap_get(map, "key0", 4, NULL, &err), 1);
	assert_int_equal(cdbmap_get(map, "key", 3, &value, &err), 0);
	assert_int_equal(cdbmap_get(map, "", 0, &value, &err), 0);
	buf_release(&value);
	cdbmap_free(&map);
	assert_null(map);
	cdbmap_free(&map);
}

static void
binary_and_empty_keys(void **state)
{
	struct error err = { "" };
	struct cdbmap_writer *writer = cdbmap_writer_new(
	    folder_path("b.cdb"), &err);
	struct cdbmap *map;
	struct buf value;

	(void)state;
	buf_init(&value);
	assert_int_equal(cdbmap_writer_add(writer, "", 0, "-", 1, &err), 0);
	assert_int_equal(
	    cdbmap_writer_add(writer, "a\0b", 3, "c\0d", 3, &err), 0);
	assert_int_equal(cdbmap_writer_add(writer, "e", 1, "", 0, &err), 0);
	assert_int_equal(cdbmap_writer_commit(&writer, &err), 0);
	map = open_map(folder_path("b.cdb"));
	assert_int_equal(cdbmap_get(map, "", 0, &value, &err), 1);
	assert_int_equal(cdbmap_get(map, "a\0b", 3, &value, &err), 1);
	assert_int_equal(cdbmap_get(map, "e", 1, &value, &err), 1);
	assert_int_equal(value.length, 4);
	assert_memory_equal(value.data, "-c\0d", 4);
	assert_int_equal(cdbmap_get(map, "a", 1, &value, &err), 0);
	buf_release(&value);
	cdbmap_free(&map);
}

static void
absent_is_not_damaged(void **state)
{
	struct error err = { "" };
	struct cdbmap *map;

	(void)state;
	assert_int_equal(cdbmap_open(folder_path("none"), &map, &err), 0);
	assert_null(map);
	folder_write("short", "x", 1);
	assert_int_equal(cdbmap_open(folder_path("short"), &map, &err), -1);
	assert_null(map);
	assert_non_null(strstr(err.text, "is not a cdb file"));
	assert_int_equal(cdbmap_open(folder, &map, &err), -1);
	assert_int_equal(cdbmap_open(folder_path("short/x"), &map, &err), -1);
}

static void
damage_is_could_not_tell(void **state)
{
	struct error err = { "" };
	struct cdbmap *map;
	char bytes[2048 + 64];

	(void)state;
	/* Tables that point behind the end. */
	memset(bytes, 0x7f, sizeof(bytes));
	folder_write("bad.cdb", bytes, sizeof(bytes));
	map = open_map(folder_path("bad.cdb"));
	assert_int_equal(cdbmap_get(map, "a", 1, NULL, &err), -1);
	assert_non_null(strstr(err.text, "is damaged"));
	cdbmap_free(&map);
}

static void
stale_when_replaced_or_removed(void **state)
{
	struct cdbmap *map;

	(void)state;
	write_numbers(folder_path("s.cdb"), 1);
	map = open_map(folder_path("s.cdb"));
	assert_false(cdbmap_is_stale(map));
	write_numbers(folder_path("s.cdb"), 2);
	assert_true(cdbmap_is_stale(map));
	cdbmap_free(&map);
	map = open_map(folder_path("s.cdb"));
	assert_false(cdbmap_is_stale(map));
	assert_int_equal(unlink(folder_path("s.cdb")), 0);
	assert_true(cdbmap_is_stale(map));
	cdbmap_free(&map);
}

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

static void *
read_all(void *arg)
{
	const struct cdbmap *map = arg;
	uintptr_t wrong = 0;
	struct buf value;

	buf_init(&value);
	for (unsigned i = 0; i < RECORDS; i++) {
		char key[16], wanted[16];
		int n = snprintf(key, sizeof(key), "key%u", i);

		snprintf(wanted, sizeof(wanted), "value%u", i);
		buf_reset(&value);
		wrong += cdbmap_get(map, key, (size_t)n, &value, NULL) != 1 ||
		    strcmp(value.data, wanted) != 0;
	}
	buf_release(&value);
	return (void *)wrong;
}

static void
threads_share_a_map(void **state)
{
	pthread_t threads[THREADS];
	struct cdbmap *map;

	(void)state;
	write_numbers(folder_path("t.cdb"), RECORDS);
	map = open_map(folder_path("t.cdb"));
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, read_all, map), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	cdbmap_free(&map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_written),
		cmocka_unit_test(binary_and_empty_keys),
		cmocka_unit_test(absent_is_not_damaged),
		cmocka_unit_test(damage_is_could_not_tell),
		cmocka_unit_test(stale_when_replaced_or_removed),
		cmocka_unit_test(abort_keeps_the_old_and_leaves_nothing),
		cmocka_unit_test(mode_is_kept),
		cmocka_unit_test(cannot_write),
		cmocka_unit_test(threads_share_a_map),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
