/* SPDX-License-Identifier: ISC */
#include "mailbox/maildir_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"

static char *root;
static struct maildir_cache *cache;

static char *
user_path(const char *user)
{
	return xasprintf("%s/%s", root, user);
}

static void
make_user(const char *user)
{
	char *path = user_path(user);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static struct maildir *
get(const char *user, struct error *err)
{
	char *path = user_path(user);
	struct maildir *maildir = maildir_cache_get(cache, path, err);

	free(path);
	return maildir;
}

/* The inode of the open new, and back with it. */
static ino_t
visit(const char *user)
{
	struct error err;
	struct maildir *maildir = get(user, &err);
	struct stat st;

	if (maildir == NULL)
		fail_msg("%s", err.text);
	assert_int_equal(fstat(maildir->new_fd, &st), 0);
	maildir_cache_put(cache, maildir);
	return st.st_ino;
}

static int
count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static int
setup(void **state)
{
	(void)state;
	root = tempdir_make();
	cache = maildir_cache_new(root, 2, NULL);
	make_user("a");
	make_user("b");
	make_user("c");
	return cache == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	maildir_cache_free(&cache);
	assert_null(cache);
	tempdir_remove(root);
	return 0;
}

static void
open_folders_are_kept(void **state)
{
	struct error err;
	struct maildir *first = get("a", &err), *again = get("a", &err);

	(void)state;
	assert_non_null(first);
	assert_ptr_equal(first, again);
	maildir_cache_put(cache, again);
	maildir_cache_put(cache, first);
	assert_ptr_equal(get("a", &err), first);
	maildir_cache_put(cache, first);
}

static void
only_so_many_stay_open(void **state)
{
	static const char *const users[] = { "a", "b", "c" };
	struct maildir *held[3];
	struct error err;
	int before = count_open(), i;

	(void)state;
	for (i = 0; i < 30; i++)
		visit(users[i % 3]);
	assert_int_equal(count_open() - before, 2 * MAILDIR_CACHE_FDS);
	/* In use they may be more, and are fewer again after that. */
	for (i = 0; i < 3; i++)
		assert_non_null(held[i] = get(users[i], &err));
	for (i = 0; i < 3; i++)
		maildir_cache_put(cache, held[i]);
	assert_int_equal(count_open() - before, 2 * MAILDIR_CACHE_FDS);
}

static void
a_replaced_maildir_is_opened_anew(void **state)
{
	char *now = user_path("a/Maildir"), *away = user_path("a/moved");
	char *user = user_path("a"), *user_away = user_path("elsewhere");
	ino_t first = visit("a"), second, third;
	struct error err;

	(void)state;
	assert_int_equal(rename(now, away), 0);
	second = visit("a");
	assert_int_not_equal(first, second);
	assert_int_equal(rename(user, user_away), 0);
	assert_null(get("a", &err)); /* the user's folder is not made */
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "/a'"));
	assert_int_equal(mkdir(user, 0700), 0);
	third = visit("a");
	assert_int_not_equal(second, third);
	free(now);
	free(away);
	free(user);
	free(user_away);
}

/* A file put into the open tmp is where the path says. */
static void
a_removed_part_is_opened_anew(void **state)
{
	static const struct {
		const char *part;
		bool is_made_again;
	} rows[] = { { "tmp", true }, { "tmp", false }, { "new", true },
		{ "new", false } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *part = xasprintf("%s/a/Maildir/%s", root, rows[i].part);
		char *file = xasprintf("%s/file", part);
		struct error err;
		struct maildir *maildir;
		int fd;

		visit("a");
		assert_int_equal(rmdir(part), 0);
		if (rows[i].is_made_again)
			assert_int_equal(mkdir(part, 0700), 0);
		maildir = get("a", &err);
		assert_non_null(maildir);
		fd = openat(
		    rows[i].part[0] == 't' ? maildir->tmp_fd : maildir->new_fd,
		    "file", O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd == -1 || unlink(file) == -1)
			fail_msg("%s %s: %s", rows[i].part,
			    rows[i].is_made_again ? "made again" : "removed",
			    strerror(errno));
		close(fd);
		maildir_cache_put(cache, maildir);
		free(file);
		free(part);
	}
}

static void
nothing_outside_is_opened(void **state)
{
	static const struct {
		const char *path; /* after the root */
		int error;
	} rows[] = {
		{ "", EXDEV },
		{ "/", EXDEV },
		{ "x/a", EXDEV },
		{ "/../a", EINVAL },
		{ "/a/..", EINVAL },
		{ "/link", ENOTDIR },
		{ "/absent", ENOENT },
	};
	char *link = user_path("link");
	struct error err;
	size_t i;

	(void)state;
	assert_int_equal(symlink("a", link), 0);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *path = xasprintf("%s%s", root, rows[i].path);

		errno = 0;
		assert_null(maildir_cache_get(cache, path, &err));
		if (errno != rows[i].error)
			fail_msg("'%s': errno %d, wanted %d", rows[i].path,
			    errno, rows[i].error);
		free(path);
	}
	assert_null(maildir_cache_get(cache, "/etc", &err));
	assert_int_equal(errno, EXDEV);
	free(link);
}

static void
descriptors_that_run_out_are_taken_from_the_cache(void **state)
{
	struct rlimit old, small;
	int next;

	(void)state;
	visit("a");
	next = dup(0); /* the Maildir's descriptors are the three above it */
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	small = old;
	/* Enough for one Maildir and, while it is opened, two folders more. */
	small.rlim_cur = (rlim_t)next + MAILDIR_CACHE_FDS + 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	visit("b");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* The clock of what is tested, which may be ahead. */
static time_t ahead_s;

time_t
time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += ahead_s;
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}

static void
put_tmp(const char *name)
{
	char *path = xasprintf("%s/a/Maildir/tmp/%s", root, name);

	assert_int_equal(close(creat(path, 0600)), 0);
	free(path);
}

static bool
has_tmp(const char *name)
{
	char *path = xasprintf("%s/a/Maildir/tmp/%s", root, name);
	bool has = access(path, F_OK) == 0;

	free(path);
	return has;
}

static void
tmp_is_cleaned_once_a_day(void **state)
{
	static const struct {
		int hours; /* since the last row */
		bool is_there;
	} rows[] = {
		{ 0, true },
		{ 25, true }, /* looked at, but it is 25 hours old */
		{ 23, true }, /* old, but not looked at */
		{ 2, false },
	};
	size_t i;

	(void)state;
	visit("a");
	put_tmp("left");
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ahead_s += rows[i].hours * 3600;
		visit("a");
		if (has_tmp("left") != rows[i].is_there)
			fail_msg("row %zu", i);
	}
	/* One that is opened is looked at in any case. */
	put_tmp("left");
	ahead_s += 37 * 3600;
	visit("b");
	visit("c");
	visit("a");
	assert_false(has_tmp("left"));
	ahead_s = 0;
}

static void
more_roots_are_looked_at(void **state)
{
	char *other = tempdir_make();
	OWN_TEXT user = xasprintf("%s/x", other);
	OWN_TEXT maildir = xasprintf("%s/Maildir", user);
	struct error err;
	struct maildir *found;

	(void)state;
	assert_null(maildir_cache_get(cache, user, &err));
	assert_int_equal(errno, EXDEV);
	assert_int_equal(mkdir(user, 0700), 0);
	assert_int_equal(maildir_cache_add_root(cache, other, &err), 0);
	found = maildir_cache_get(cache, user, &err);
	assert_non_null(found);
	maildir_cache_put(cache, found);
	assert_int_equal(access(maildir, F_OK), 0);
	visit("a");
	assert_int_equal(
	    maildir_cache_add_root(cache, "/nonexistent", &err), -1);
	tempdir_remove(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    open_folders_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    only_so_many_stay_open, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_replaced_maildir_is_opened_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_removed_part_is_opened_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    nothing_outside_is_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    descriptors_that_run_out_are_taken_from_the_cache, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    more_roots_are_looked_at, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    tmp_is_cleaned_once_a_day, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
