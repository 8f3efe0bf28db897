/* SPDX-License-Identifier: ISC */
/* Tests of queue/spare.c. */
#include "queue/spare.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/inotify.h>
#include <time.h>

#include "tests/unit/queue_folder.h"

static struct spare
take(struct spare_pool *pool)
{
	struct spare spare;
	struct error err;

	if (spare_take(pool, &spare, &err) == -1)
		fail_msg("%s", err.text);
	return spare;
}

static bool
is_pair(const struct queue_dir *dir, uint64_t id)
{
	return has_file(dir, QUEUE_MESS, id, "") &&
	    has_file(dir, QUEUE_PID, id, ".e");
}

static bool
is_gone(const struct queue_dir *dir, uint64_t id)
{
	return !has_file(dir, QUEUE_MESS, id, "") &&
	    !has_file(dir, QUEUE_PID, id, ".e");
}

static void
made_given_taken(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct spare_pool *pool = spare_pool_new(dir, 2);
	struct spare a = take(pool), b = take(pool), c = take(pool), d;
	uint64_t ids[] = { a.id, b.id, c.id };
	struct stat st;

	(void)state;
	assert_int_equal(fstat(a.mess_fd, &st), 0);
	assert_int_equal(st.st_ino, a.id);
	assert_true(is_pair(dir, a.id));
	spare_give(pool, &a);
	assert_int_equal(a.mess_fd, -1);
	assert_true(is_pair(dir, ids[0]));
	spare_give(pool, &b);
	spare_give(pool, &c); /* one too many */
	assert_true(is_gone(dir, ids[2]));
	d = take(pool);
	assert_true(d.id == ids[0] || d.id == ids[1]);
	spare_close(&d);
	spare_pool_free(&pool);
	assert_null(pool);
	queue_dir_close(&dir);
}

/* What somebody else may still write to is not used again. */
static void
shared_is_unlinked(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct spare_pool *pool = spare_pool_new(dir, 8);
	struct spare spare = take(pool);
	uint64_t id = spare.id;
	int fd = queue_open_file(dir, QUEUE_MESS, id, O_WRONLY);

	(void)state;
	assert_int_equal(spare_is_unshared(spare.mess_fd), 0);
	spare_give(pool, &spare);
	assert_true(is_gone(dir, id));
	close(fd);
	spare = take(pool);
	fd = queue_open_file(dir, QUEUE_MESS, spare.id, O_RDONLY);
	assert_int_equal(spare_is_unshared(spare.mess_fd), 0);
	close(fd);
	assert_int_equal(spare_is_unshared(spare.mess_fd), 1);
	/* The test itself leaves no lease behind. */
	assert_int_equal(fcntl(spare.mess_fd, F_GETLEASE), F_UNLCK);
	spare_give(pool, &spare);
	spare_pool_free(&pool);
	queue_dir_close(&dir);
}

static void
large_is_unlinked(void **state)
{
	static const struct {
		off_t mess, envelope;
		bool is_kept;
	} rows[] = {
		{ SPARE_MAX_BYTES, SPARE_MAX_BYTES, true },
		{ SPARE_MAX_BYTES + 1, 0, false },
		{ 0, SPARE_MAX_BYTES + 1, false },
	};
	struct queue_dir *dir = make_queue("q", 3);
	struct spare_pool *pool = spare_pool_new(dir, 8);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct spare spare = take(pool);
		uint64_t id = spare.id;

		assert_int_equal(ftruncate(spare.mess_fd, rows[i].mess), 0);
		assert_int_equal(
		    ftruncate(spare.envelope_fd, rows[i].envelope), 0);
		spare_give(pool, &spare);
		assert_int_equal(is_pair(dir, id), rows[i].is_kept);
		assert_int_equal(is_gone(dir, id), !rows[i].is_kept);
	}
	spare_pool_free(&pool);
	queue_dir_close(&dir);
}

/*
 * The envelope file has been replaced (the journal's second try to fill it), or
 * has a name somewhere else, too: the next envelope would go into the wrong
 * one.
 */
static void
replaced_is_unlinked(void **state)
{
	static const char *const rows[] = { "replaced", "linked" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queue_dir *dir = make_queue(rows[i], 3);
		int pid = queue_dir_fd(dir, QUEUE_PID, 0);
		struct spare_pool *pool = spare_pool_new(dir, 8);
		struct spare spare = take(pool);
		char name[QUEUE_NAME_SIZE], other[QUEUE_NAME_SIZE];
		uint64_t id = spare.id;

		spare_envelope_name(name, id);
		queue_name(other, id, "");
		if (i == 0) {
			put_file(dir, QUEUE_PID, id, "other", 5);
			assert_int_equal(renameat(pid, other, pid, name), 0);
		} else
			assert_int_equal(linkat(pid, name, pid, other, 0), 0);
		spare_give(pool, &spare);
		if (!is_gone(dir, id))
			fail_msg("%s", rows[i]);
		spare_pool_free(&pool);
		queue_dir_close(&dir);
	}
}

static void
put_envelope(const struct queue_dir *dir, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];
	int fd;

	spare_envelope_name(name, id);
	fd = openat(queue_dir_fd(dir, QUEUE_PID, 0), name,
	    O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_not_equal(fd, -1);
	close(fd);
}

static void
age(const char *path)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = time(NULL) - 129601 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
adoption(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct spare_pool *pool = spare_pool_new(dir, 8);
	uint64_t pair = put_message(dir, "old"), s2 = put_message(dir, "s2");
	uint64_t s4 = put_message(dir, "s4"), s5 = put_message(dir, "s5");
	uint64_t wrong = put_message(dir, "wrong") + 1000000;
	char from[QUEUE_NAME_SIZE], to[QUEUE_NAME_SIZE];
	struct spare got, other;
	struct error err = { "" };

	(void)state;
	put_envelope(dir, pair);
	put_envelope(dir, s4);
	put_file(dir, QUEUE_TODO, s4, "x", 1);
	put_envelope(dir, s5);
	put_file(dir, QUEUE_INFO, s5, "x", 1);
	/* A name that is not its inode's: a queue that was copied. */
	put_envelope(dir, wrong);
	queue_name(from, wrong - 1000000, "");
	queue_name(to, wrong, "");
	assert_int_equal(
	    renameat(queue_dir_fd(dir, QUEUE_MESS, wrong - 1000000), from,
		queue_dir_fd(dir, QUEUE_MESS, wrong), to),
	    0);
	folder_write("q/pid/new.1.2", "x", 1);
	folder_write("q/pid/old.1.2", "x", 1);
	age(folder_path("q/pid/old.1.2"));
	put_envelope(dir, 77); /* without a message file */
	assert_int_equal(spare_pool_adopt(pool, &err), 0);
	assert_int_equal(access(folder_path("q/pid/new.1.2"), F_OK), 0);
	assert_int_equal(access(folder_path("q/pid/old.1.2"), F_OK), -1);
	got = take(pool);
	other = take(pool);
	assert_int_equal(got.id, pair);
	assert_true(other.id != s2 && other.id != s4 && other.id != s5 &&
	    other.id != wrong && other.id != 77);
	EXPECT_FILE(dir, QUEUE_MESS, s2, "s2");
	EXPECT_FILE(dir, QUEUE_MESS, s4, "s4");
	EXPECT_FILE(dir, QUEUE_MESS, s5, "s5");
	EXPECT_FILE(dir, QUEUE_MESS, wrong, "wrong");
	spare_close(&got);
	spare_close(&other);
	spare_pool_free(&pool);
	queue_dir_close(&dir);
}

/* Else a new pair of the same number could lose its envelope. */
static void
envelope_goes_before_its_number(void **state)
{
	struct queue_dir *dir = make_queue("q", 1);
	struct spare_pool *pool = spare_pool_new(dir, 8);
	struct spare spare = take(pool);
	union {
		struct inotify_event event;
		char bytes[1024];
	} first;
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	uint64_t id = spare.id;
	int pid;

	(void)state;
	assert_int_not_equal(watch, -1);
	pid = inotify_add_watch(watch, folder_path("q/pid"), IN_DELETE);
	assert_int_not_equal(pid, -1);
	assert_int_not_equal(
	    inotify_add_watch(watch, folder_path("q/mess/0"), IN_DELETE), -1);
	spare_discard(pool, &spare);
	assert_true(is_gone(dir, id));
	assert_true(read(watch, &first, sizeof(first)) > 0);
	assert_int_equal(first.event.wd, pid);
	close(watch);
	spare_pool_free(&pool);
	queue_dir_close(&dir);
}

static bool
name_is_refused(struct queue_dir *dir)
{
	struct spare_pool *pool = spare_pool_new(dir, 8);
	struct spare spare = take(pool);
	uint64_t near = spare.id;
	struct error err = { "" };
	bool was_near;

	spare_discard(pool, &spare);
	put_near(dir, QUEUE_MESS, near);
	put_near(dir, QUEUE_TODO, near);
	was_near = spare_take(pool, &spare, &err) == -1;
	if (!was_near)
		spare_discard(pool, &spare);
	else {
		assert_non_null(strstr(err.text, "run queue-fix"));
		for (uint64_t id = near; id < near + NUMBERS_NEAR; id++) {
			EXPECT_FILE(dir, QUEUE_MESS, id, "old");
			EXPECT_FILE(dir, QUEUE_TODO, id, "old");
		}
	}
	spare_pool_free(&pool);
	return was_near;
}

/* In a queue that was copied names are not inodes: one was overwritten. */
static void
another_message_has_the_name(void **state)
{
	(void)state;
	until_near(name_is_refused);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(made_given_taken),
		TEST(shared_is_unlinked),
		TEST(large_is_unlinked),
		TEST(replaced_is_unlinked),
		TEST(adoption),
		TEST(envelope_goes_before_its_number),
		TEST(another_message_has_the_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
