/* SPDX-License-Identifier: ISC */
/* Tests of control/cdbmap.c: how a cdb is read. */
#include "control/cdbmap.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#define FOLDER_IN_MEMORY
#include "tests/unit/folder.h"
#include "tests/unit/numbers_cdb.h"

/* LARGE: records of a file that is not copied. */
enum { RECORDS = 1500, LARGE = 10000, THREADS = 4 };

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
	assert_int_equal(mkfifo(folder_path("fifo"), 0600), 0);
	assert_int_equal(cdbmap_open(folder_path("fifo"), &map, &err), -1);
	assert_int_equal(cdbmap_open(folder_path("short/x"), &map, &err), -1);
}

/* Whoever reads the message knows what to run. */
static void
the_remedy_is_named(void **state)
{
	static const struct {
		const char *name, *wanted;
	} rows[] = {
		{ "cdb", "qmail-newu" },
		{ "morercpthosts.cdb", "qmail-newmrh" },
		{ "tcp.smtp.cdb", "'tcprules tcp.smtp.cdb" },
		{ "vpasswd.cdb", "vpasswd, vadduser" },
		{ "other.cdb", "from its source" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		struct cdbmap *map;

		folder_write(rows[i].name, "x", 1);
		assert_int_equal(
		    cdbmap_open(folder_path(rows[i].name), &map, &err), -1);
		if (strstr(err.text, rows[i].wanted) == NULL)
			fail_msg("'%s': got '%s', wanted '%s'", rows[i].name,
			    err.text, rows[i].wanted);
	}
}

/* A file that no writer has made whole is never one without records. */
static void
damage_is_could_not_tell(void **state)
{
	static char zeros[4096], high[2048 + 64];
	struct error err = { "" };
	struct cdbmap *map;
	struct buf whole;

	(void)state;
	memset(high, 0x7f, sizeof(high)); /* tables behind the end */
	folder_write("bad.cdb", high, sizeof(high));
	assert_int_equal(cdbmap_open(folder_path("bad.cdb"), &map, &err), -1);
	assert_non_null(strstr(err.text, "is damaged"));
	folder_write("bad.cdb", zeros, sizeof(zeros));
	assert_int_equal(cdbmap_open(folder_path("bad.cdb"), &map, &err), -1);
	assert_non_null(strstr(err.text, "is damaged"));
	write_numbers(folder_path("whole.cdb"), 100);
	buf_init(&whole);
	assert_int_equal(
	    file_read(folder_path("whole.cdb"), 1 << 20, &whole, &err), 1);
	for (size_t length = 0; length < whole.length; length++) {
		folder_write("part.cdb", whole.data, length);
		if (cdbmap_open(folder_path("part.cdb"), &map, &err) != -1)
			fail_msg("%zu of %zu bytes", length, whole.length);
		assert_null(map);
	}
	buf_release(&whole);
}

/* The head and the tables are good; what they lead to is not. */
static void
damaged_records(void **state)
{
	enum { LENGTHS_AT = 2048 };
	static const struct {
		unsigned char key_length, high_byte;
		int wanted[2]; /* of a copy; of a large file */
	} rows[] = {
		{ 3, 0, { 1, 1 } },
		{ 3, 0x7f, { -1, -1 } }, /* a value longer than the file */
		{ 200, 0xff, { -1, -1 } },
		{ 200, 0, { -1, 0 } },
		/* the next record would begin elsewhere */
		{ 2, 0, { -1, 0 } },
	};

	(void)state;
	for (size_t n = 0; n < 2 * sizeof(rows) / sizeof(rows[0]); n++) {
		size_t i = n / 2, is_large = n % 2;
		const char *path = folder_path("r.cdb");
		struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);
		unsigned char lengths[8] = { rows[i].key_length, 0, 0, 0, 5, 0,
			0, rows[i].high_byte };
		struct error err = { "" };
		struct cdbmap *map;
		struct buf value;
		struct stat st;
		FILE *file;
		int found;

		cdbmap_writer_add(writer, "key", 3, "value", 5, NULL);
		assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
		file = fopen(path, "r+");
		fseek(file, LENGTHS_AT, SEEK_SET);
		fwrite(lengths, sizeof(lengths), 1, file);
		fclose(file);
		assert_int_equal(stat(path, &st), 0);
		/* One that is not copied tells when it is asked. */
		if (truncate(path, is_large ? 1000000 : st.st_size) == -1)
			fail_msg("cannot change its size");
		buf_init(&value);
		buf_adds(&value, "before");
		found = cdbmap_open(path, &map, &err);
		if (is_large)
			assert_int_equal(found, 1);
		if (found == 1) {
			found = cdbmap_get(map, "key", 3, NULL, &err);
			assert_int_equal(
			    cdbmap_get(map, "key", 3, &value, &err), found);
			cdbmap_free(&map);
		}
		if (found != rows[i].wanted[is_large])
			fail_msg("row %zu: %d", i, found);
		assert_string_equal(
		    value.data, found == 1 ? "beforevalue" : "before");
		assert_true(found != -1 || strstr(err.text, "is damaged"));
		buf_release(&value);
	}
}

static void
ask(const struct cdbmap *map)
{
	struct error err = { "" };

	assert_int_equal(cdbmap_get(map, "key1", 4, NULL, &err), 1);
}

static void
cut_in_place_is_could_not_tell(void **state)
{
	const char *path;
	struct error err = { "" };
	struct cdbmap *map, *known;

	(void)state;
	path = folder_path("cut.cdb");
	write_numbers(path, LARGE);
	map = open_map(path);
	write_numbers(folder_path("small.cdb"), RECORDS);
	known = open_map(folder_path("small.cdb"));
	assert_int_equal(truncate(path, 3000), 0);
	assert_int_equal(truncate(folder_path("small.cdb"), 3000), 0);
	assert_true(cdbmap_is_stale(map));
	assert_int_equal(cdbmap_get(map, "key1", 4, NULL, &err), -1);
	assert_non_null(strstr(err.text, "overwritten"));
	assert_int_equal(cdbmap_get(map, "none", 4, NULL, &err), -1);
	/* What is in memory is whole, and known to be old. */
	assert_true(cdbmap_is_stale(known));
	ask(known);
	assert_int_equal(cdbmap_get(known, "none", 4, NULL, &err), 0);
	cdbmap_free(&known);
	cdbmap_free(&map);
	assert_int_equal(cdbmap_open(path, &map, &err), -1);
}

static void
overwritten_in_place_is_seen(void **state)
{
	struct error err = { "" };
	struct cdbmap *map;
	struct buf other, value;
	const char *path;

	(void)state;
	path = folder_path("o.cdb");
	write_numbers(folder_path("other.cdb"), RECORDS / 2);
	buf_init(&other);
	buf_init(&value);
	assert_int_equal(
	    file_read(folder_path("other.cdb"), 1 << 24, &other, &err), 1);
	path = folder_path("o.cdb");
	write_numbers(path, LARGE);
	map = open_map(path);
	ask(map);
	folder_write("o.cdb", other.data, other.length); /* as cp does */
	assert_true(cdbmap_is_stale(map));
	assert_int_equal(cdbmap_get(map, "key1", 4, &value, &err), -1);
	assert_int_equal(value.length, 0);
	cdbmap_free(&map);
	map = open_map(path);
	ask(map);
	assert_int_equal(cdbmap_get(map, "key1999", 7, NULL, &err), 0);
	cdbmap_free(&map);
	buf_release(&other);
	buf_release(&value);
}

/* Longer than one read, in files that stay on disk and in one that does not */
static void
long_keys_and_values(void **state)
{
	static char key[5000], text[9000000];
	const size_t sizes[] = { 0, 1015, 1016, 1017, 1024, 4096, 70000,
		sizeof(text) };

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (char)(i * 7);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 13 / 5);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const char *path = folder_path("long.cdb");
		struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);
		size_t key_length = sizes[i] < 5000 ? sizes[i] : 5000;
		struct error err = { "" };
		struct cdbmap *map;
		struct buf value;

		cdbmap_writer_add(
		    writer, key, key_length, text, sizes[i], NULL);
		assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
		map = open_map(path);
		buf_init(&value);
		for (unsigned n = 0; n < 2; n++) {
			buf_reset(&value);
			assert_int_equal(
			    cdbmap_get(map, key, key_length, &value, &err), 1);
			assert_int_equal(value.length, sizes[i]);
			assert_memory_equal(value.data, text, sizes[i]);
		}
		if (key_length > 0)
			assert_int_equal(
			    cdbmap_get(map, key, key_length - 1, &value, &err),
			    0);
		buf_release(&value);
		cdbmap_free(&map);
	}
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
	static const unsigned records[] = { RECORDS, LARGE };

	(void)state;
	for (size_t n = 0; n < sizeof(records) / sizeof(records[0]); n++) {
		pthread_t threads[THREADS];
		struct cdbmap *map;

		write_numbers(folder_path("t.cdb"), records[n]);
		map = open_map(folder_path("t.cdb"));
		for (unsigned i = 0; i < THREADS; i++)
			assert_int_equal(
			    pthread_create(&threads[i], NULL, read_all, map),
			    0);
		for (unsigned i = 0; i < THREADS; i++) {
			void *wrong;

			pthread_join(threads[i], &wrong);
			assert_null(wrong);
		}
		cdbmap_free(&map);
	}
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* In a process that may have no more memory: 0 when all was answered. */
static int
open_without_memory(const char *path)
{
	enum { PIECE = 16 * 1024 };
	struct cdbmap *map;
	struct rlimit limit = { .rlim_cur = 0 };
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file == NULL || fscanf(file, "%lu", &pages) != 1)
		return 1;
	fclose(file);
	limit.rlim_max = pages * (unsigned long)sysconf(_SC_PAGESIZE) + 65536;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_AS, &limit) == -1)
		return 2;
	while (malloc(PIECE) != NULL) /* what was freed before */
		;
	if (cdbmap_open(path, &map, NULL) != 1)
		return 3;
	return cdbmap_get(map, "key1", 4, NULL, NULL) == 1 ? 0 : 4;
}

static void
copy_is_done_without(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	write_numbers(folder_path("copied.cdb"), RECORDS);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		_exit(open_without_memory(folder_path("copied.cdb")));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_written),
		cmocka_unit_test(binary_and_empty_keys),
		cmocka_unit_test(absent_is_not_damaged),
		cmocka_unit_test(the_remedy_is_named),
		cmocka_unit_test(damage_is_could_not_tell),
		cmocka_unit_test(damaged_records),
		cmocka_unit_test(cut_in_place_is_could_not_tell),
		cmocka_unit_test(overwritten_in_place_is_seen),
		cmocka_unit_test(long_keys_and_values),
		cmocka_unit_test(stale_when_replaced_or_removed),
		cmocka_unit_test(threads_share_a_map),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(copy_is_done_without),
#endif
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
