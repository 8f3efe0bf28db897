/* SPDX-License-Identifier: ISC */
/* adminsrv/dirhash.c: where users' folders are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adminsrv/dirhash.h"
#include "base/buf.h"
#include "base/mem.h"

static const char domain_dir[] = "/n/domains/a.test";

static int
compare(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The most users that share a parent folder; sorts the paths. */
static size_t
largest_folder(char **dirs, size_t count)
{
	size_t largest = 0, here = 0;

	for (size_t i = 0; i < count; i++)
		*strrchr(dirs[i], '/') = '\0';
	qsort(dirs, count, sizeof(*dirs), compare);
	for (size_t i = 0; i < count; i++) {
		here = i > 0 && strcmp(dirs[i], dirs[i - 1]) == 0 ? here + 1
								  : 1;
		largest = here > largest ? here : largest;
	}
	return largest;
}

static char *
place(struct dirhash *hash, const char *user)
{
	struct error err;
	struct buf dir;

	buf_init(&dir);
	if (dirhash_place(hash, user, &dir, &err) == -1)
		fail_msg("%s: %s", user, err.text);
	return dir.data;
}

static void
fills_level_after_level(void **state)
{
	static const struct {
		unsigned users_before;
		const char *wanted;
	} rows[] = {
		{ 0, "/n/domains/a.test/next" },
		{ 99, "/n/domains/a.test/next" },
		{ 100, "/n/domains/a.test/0/next" },
		{ 199, "/n/domains/a.test/0/next" },
		{ 200, "/n/domains/a.test/1/next" },
		{ 100 * (1 + 10), "/n/domains/a.test/A/next" },
		{ 100 * (1 + 36), "/n/domains/a.test/a/next" },
		{ 100 * (1 + 61), "/n/domains/a.test/z/next" },
		{ 100 * (1 + 62), "/n/domains/a.test/0/0/next" },
		{ 100 * (1 + 62 + 61), "/n/domains/a.test/0/z/next" },
		{ 100 * (1 + 62 + 62), "/n/domains/a.test/1/0/next" },
		{ 100 * (1 + 62 + 62 * 62 - 1), "/n/domains/a.test/z/z/next" },
		{ 100 * (1 + 62 + 62 * 62), "/n/domains/a.test/0/0/0/next" },
		{ 100 * (1 + 62 + 62 * 62 + 62 * 62 + 1),
		    "/n/domains/a.test/1/0/1/next" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dirhash *hash = dirhash_new(domain_dir, 100);
		char *dir;

		for (unsigned n = 0; n < rows[i].users_before; n++)
			free(place(hash, "user"));
		dir = place(hash, "next");
		if (strcmp(dir, rows[i].wanted) != 0)
			fail_msg("after %u users: '%s', wanted '%s'",
			    rows[i].users_before, dir, rows[i].wanted);
		free(dir);
		dirhash_free(&hash);
	}
}

/* Tens of thousands of names, added in several runs as a node would. */
static void
no_folder_has_over_the_limit(void **state)
{
	enum { USERS = 50000, RUN = 10000, LIMIT = 100 };
	char **dirs = xcalloc(USERS, sizeof(*dirs));

	(void)state;
	for (size_t start = 0; start < USERS; start += RUN) {
		struct dirhash *hash = dirhash_new(domain_dir, LIMIT);

		for (size_t i = 0; i < start; i++)
			dirhash_count(hash, dirs[i]);
		for (size_t i = start; i < start + RUN; i++) {
			char *name = xasprintf("user%zu", i);

			dirs[i] = place(hash, name);
			assert_non_null(strstr(dirs[i], name));
			free(name);
		}
		dirhash_free(&hash);
	}
	assert_int_equal(largest_folder(dirs, USERS), LIMIT);
	for (size_t i = 0; i < USERS; i++)
		free(dirs[i]);
	free(dirs);
}

static void
room_of_removed_users_is_used_again(void **state)
{
	enum { USERS = 20000, LIMIT = 10 };
	struct dirhash *hash = dirhash_new(domain_dir, LIMIT);
	char **dirs = xcalloc(USERS, sizeof(*dirs));
	size_t largest;

	(void)state;
	for (size_t i = 0; i < USERS; i++)
		dirs[i] = place(hash, "user");
	dirhash_free(&hash);
	/* Every third user goes; as many new ones come. */
	hash = dirhash_new(domain_dir, LIMIT);
	for (size_t i = 0; i < USERS; i++) {
		if (i % 3 != 0)
			dirhash_count(hash, dirs[i]);
	}
	for (size_t i = 0; i < USERS; i += 3) {
		free(dirs[i]);
		dirs[i] = place(hash, "new");
	}
	dirhash_free(&hash);
	/* The first holes are filled first, and nothing needs a new level. */
	assert_string_equal(dirs[0], "/n/domains/a.test/new");
	largest = 0;
	for (size_t i = 0; i < USERS; i++)
		largest = strlen(dirs[i]) > largest ? strlen(dirs[i]) : largest;
	assert_true(largest <= strlen("/n/domains/a.test/0/0/user"));
	assert_int_equal(largest_folder(dirs, USERS), LIMIT);
	for (size_t i = 0; i < USERS; i++)
		free(dirs[i]);
	free(dirs);
}

static void
foreign_folders_do_not_count(void **state)
{
	static const char *const foreign[] = {
		"/elsewhere/alice",
		"/n/domains/a.test",
		"/n/domains/a.test/",
		"/n/domains/a.testing/alice",
		"/n/domains/a.test/00/alice",
		"/n/domains/a.test/-/alice",
		"/n/domains/a.test/0/0/0/0/alice",
	};
	struct dirhash *hash = dirhash_new(domain_dir, 1);
	char *dir;

	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		dirhash_count(hash, foreign[i]);
	dir = place(hash, "first");
	assert_string_equal(dir, "/n/domains/a.test/first");
	free(dir);
	dirhash_free(&hash);
}

/* DOMAIN/a is a level, DOMAIN/vpasswd is a file. */
static void
names_never_collide_with_other_things(void **state)
{
	static const struct {
		const char *user, *wanted;
	} rows[] = {
		{ "a", "/n/domains/a.test/a@" },
		{ "0", "/n/domains/a.test/0@" },
		{ "ab", "/n/domains/a.test/ab" },
		{ "vpasswd", "/n/domains/a.test/vpasswd@" },
		{ "vpasswd.cdb", "/n/domains/a.test/vpasswd.cdb@" },
		{ "vpasswd.cdb.tmp.12",
		    "/n/domains/a.test/vpasswd.cdb.tmp.12@" },
		{ "vpasswords", "/n/domains/a.test/vpasswords" },
	};
	struct dirhash *hash = dirhash_new(domain_dir, 100);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *dir = place(hash, rows[i].user);

		assert_string_equal(dir, rows[i].wanted);
		free(dir);
	}
	dirhash_free(&hash);
}

static void
says_when_all_is_full(void **state)
{
	enum { FOLDERS = 1 + 62 + 62 * 62 + 62 * 62 * 62 };
	struct dirhash *hash = dirhash_new(domain_dir, 1);
	struct error err = { "" };
	struct buf dir;

	(void)state;
	buf_init(&dir);
	for (int i = 0; i < FOLDERS; i++)
		assert_int_equal(dirhash_place(hash, "user", &dir, &err), 0);
	assert_string_equal(dir.data, "/n/domains/a.test/z/z/z/user");
	assert_int_equal(dirhash_place(hash, "user", &dir, &err), -1);
	assert_non_null(strstr(err.text, domain_dir));
	buf_release(&dir);
	dirhash_free(&hash);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_level_after_level),
		cmocka_unit_test(no_folder_has_over_the_limit),
		cmocka_unit_test(room_of_removed_users_is_used_again),
		cmocka_unit_test(foreign_folders_do_not_count),
		cmocka_unit_test(names_never_collide_with_other_things),
		cmocka_unit_test(says_when_all_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
