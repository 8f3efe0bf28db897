/* SPDX-License-Identifier: ISC */
/* Tests of control/cdb_cache.c; threads are in test_store_cdb.c. */
#include "control/cdb_cache.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <unistd.h>

#include "tests/unit/folder.h"

/* So large that it has a descriptor as long as it is open. */
static void
put_map(const char *name, const char *value)
{
	static const char filler[300000];
	struct cdbmap_writer *writer = cdbmap_writer_new(
	    folder_path(name), NULL);

	assert_non_null(writer);
	assert_int_equal(
	    cdbmap_writer_add(writer, "k", 1, value, strlen(value), NULL), 0);
	assert_int_equal(
	    cdbmap_writer_add(writer, "f", 1, filler, sizeof(filler), NULL), 0);
	assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
}

static struct cdb_cache_entry *
must_acquire(struct cdb_cache *cache, const char *name, unsigned max_age_ms)
{
	struct cdb_cache_entry *entry;
	struct error err = { "" };

	if (cdb_cache_acquire(
		cache, folder_path(name), max_age_ms, &entry, &err) != 1)
		fail_msg("%s: %s", name, err.text);
	return entry;
}

static void
must_have(const struct cdb_cache_entry *entry, const char *wanted)
{
	struct buf value = BUF_INIT;

	assert_int_equal(
	    cdbmap_get(cdb_cache_map(entry), "k", 1, &value, NULL), 1);
	assert_string_equal(value.data, wanted);
	buf_release(&value);
}

static unsigned
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void
absent_and_damaged(void **state)
{
	struct cdb_cache *cache = cdb_cache_new(2);
	struct cdb_cache_entry *entry;
	struct error err = { "" };

	(void)state;
	assert_int_equal(
	    cdb_cache_acquire(cache, folder_path("none"), 0, &entry, &err), 0);
	assert_null(entry);
	folder_write("junk", "no cdb", 6);
	assert_int_equal(
	    cdb_cache_acquire(cache, folder_path("junk"), 0, &entry, &err), -1);
	assert_null(entry);
	assert_non_null(strstr(err.text, "junk"));
	/* Once it is mended it is found. */
	put_map("junk", "v");
	entry = must_acquire(cache, "junk", 0);
	must_have(entry, "v");
	cdb_cache_release(cache, entry);
	cdb_cache_free(&cache);
	assert_null(cache);
	cdb_cache_free(&cache);
}

/* Looked at again when it is older than the caller bears. */
static void
replaced_files(void **state)
{
	struct cdb_cache *cache = cdb_cache_new(2);
	struct cdb_cache_entry *old, *same, *new;

	(void)state;
	put_map("a", "old");
	old = must_acquire(cache, "a", 0);
	put_map("a", "new");
	same = must_acquire(cache, "a", 60000);
	assert_ptr_equal(same, old);
	cdb_cache_release(cache, same);
	new = must_acquire(cache, "a", 0);
	assert_ptr_not_equal(new, old);
	must_have(new, "new");
	/* Who holds the old one may go on reading. */
	must_have(old, "old");
	cdb_cache_release(cache, old);
	must_have(new, "new");
	cdb_cache_release(cache, new);
	cdb_cache_free(&cache);
}

static void
removed_files(void **state)
{
	struct cdb_cache *cache = cdb_cache_new(2);
	struct cdb_cache_entry *entry;

	(void)state;
	put_map("a", "v");
	cdb_cache_release(cache, must_acquire(cache, "a", 0));
	assert_int_equal(unlink(folder_path("a")), 0);
	assert_int_equal(
	    cdb_cache_acquire(cache, folder_path("a"), 0, &entry, NULL), 0);
	cdb_cache_free(&cache);
}

/* Those used last stay open; the others do not hold a descriptor. */
static void
open_maps_have_a_limit(void **state)
{
	static const char *const files[] = { "a", "b", "c", "d" };
	struct cdb_cache *cache = cdb_cache_new(2);
	struct cdb_cache_entry *entries[4], *a;
	unsigned before;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		put_map(files[i], files[i]);
	before = count_fds();
	for (size_t i = 0; i < 4; i++)
		cdb_cache_release(cache, must_acquire(cache, files[i], 0));
	assert_int_equal(count_fds(), before + 2);
	/* c and d are there; asking for c makes d the older one. */
	cdb_cache_release(cache, must_acquire(cache, "c", 60000));
	a = must_acquire(cache, "a", 0);
	assert_int_equal(count_fds(), before + 2);
	put_map("c", "changed");
	entries[0] = must_acquire(cache, "c", 60000);
	must_have(entries[0], "c");
	cdb_cache_release(cache, entries[0]);
	cdb_cache_release(cache, a);
	/* Held ones are over the limit only while they are held. */
	for (size_t i = 0; i < 4; i++)
		entries[i] = must_acquire(cache, files[i], 0);
	assert_int_equal(count_fds(), before + 4);
	for (size_t i = 0; i < 4; i++)
		cdb_cache_release(cache, entries[i]);
	assert_int_equal(count_fds(), before + 2);
	cdb_cache_free(&cache);
	assert_int_equal(count_fds(), before);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(absent_and_damaged),
		TEST(replaced_files),
		TEST(removed_files),
		TEST(open_maps_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
