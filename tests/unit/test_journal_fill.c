/* SPDX-License-Identifier: ISC */
/* Tests of queue/journal_fill.c. */
#include "queue/journal_fill.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <time.h>

#include "queue/spare.h"
#include "tests/unit/queue_folder.h"

static void
put_spare(const struct queue_dir *dir, uint64_t id, const char *text)
{
	char name[QUEUE_NAME_SIZE];
	int fd;

	spare_envelope_name(name, id);
	fd = openat(queue_dir_fd(dir, QUEUE_PID, 0), name,
	    O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Whatever is there, todo/ID has the envelope, and pid/ID.e is gone. */
static void
filled(void **state)
{
	static const struct {
		const char *name;
		bool is_running;
		const char *spare, *todo; /* before */
	} rows[] = {
		{ "nothing there", false, NULL, NULL },
		{ "a spare", false, "", NULL },
		{ "a longer one", false, "a longer envelope", NULL },
		{ "half made", false, NULL, "u" },
		{ "both", false, "a longer envelope", "another long one" },
		{ "running", true, "", NULL },
		{ "running, used before", true, "a longer envelope", NULL },
		{ "running, tried before", true, NULL, "envelope" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal_record record = {
			.id = 7, .envelope = "envelope", .length = 8
		};
		struct queue_dir *dir = make_queue("q", 3);
		struct error err;

		if (rows[i].spare != NULL)
			put_spare(dir, 7, rows[i].spare);
		if (rows[i].todo != NULL)
			put_file(dir, QUEUE_TODO, 7, rows[i].todo,
			    strlen(rows[i].todo));
		if (journal_fill(dir, rows[i].is_running, &record, 1, &err) ==
		    -1)
			fail_msg("%s: %s", rows[i].name, err.text);
		EXPECT_FILE(dir, QUEUE_TODO, 7, "envelope");
		if (has_file(dir, QUEUE_PID, 7, ".e"))
			fail_msg("%s", rows[i].name);
		queue_dir_close(&dir);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

/*
 * A running process has the spare open, and it is that file which goes to
 * todo/; a process that starts trusts no file that may have other names.
 */
static void
which_file(void **state)
{
	(void)state;
	for (int is_running = 0; is_running < 2; is_running++) {
		struct journal_record record = {
			.id = 7, .envelope = "envelope", .length = 8
		};
		struct queue_dir *dir = make_queue("q", 3);
		struct stat before, after;
		char todo[QUEUE_NAME_SIZE];

		put_spare(dir, 7, "");
		assert_int_equal(
		    fstatat(queue_dir_fd(dir, QUEUE_PID, 0), "7.e", &before, 0),
		    0);
		/* so that its inode is not free for the next file */
		assert_int_equal(
		    linkat(queue_dir_fd(dir, QUEUE_PID, 0), "7.e",
			queue_dir_fd(dir, QUEUE_PID, 0), "other", 0),
		    0);
		assert_int_equal(
		    journal_fill(dir, is_running, &record, 1, NULL), 0);
		queue_name(todo, 7, "");
		assert_int_equal(
		    fstatat(queue_dir_fd(dir, QUEUE_TODO, 0), todo, &after, 0),
		    0);
		assert_int_equal(before.st_ino == after.st_ino, is_running);
		queue_dir_close(&dir);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

static void
many_and_none(void **state)
{
	static const size_t rows[] = { 0, 1, 5, 128, 129, 300 };
	struct queue_dir *dir = make_queue("q", 3);
	struct journal_record records[300];
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t at;

		for (at = 0; at < rows[i]; at++)
			records[at] = (struct journal_record){
				.id = 1000 * (i + 1) + at,
				.envelope = "envelope" + at % 8,
				.length = 8 - at % 8
			};
		if (journal_fill(dir, false, records, rows[i], &err) == -1)
			fail_msg("%zu: %s", rows[i], err.text);
		for (at = 0; at < rows[i]; at++)
			expect_file(dir, QUEUE_TODO, records[at].id,
			    records[at].envelope, records[at].length);
	}
	queue_dir_close(&dir);
}

/* One of several cannot be made; and which that is. */
static void
fails(void **state)
{
	static const struct {
		const char *name;
		enum queue_folder folder;
		const char *taken; /* by a folder */
		const char *wanted;
	} rows[] = {
		{ "cannot write", QUEUE_PID, "8.e", "/pid/8.e'" },
		{ "cannot move", QUEUE_TODO, "8", "/pid/8.e'" },
	};
	struct journal_record records[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		records[i] = (struct journal_record){ .id = 7 + (uint64_t)i,
			.envelope = "envelope",
			.length = 8 };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queue_dir *dir = make_queue("q", 3);
		int folder_fd = queue_dir_fd(dir, rows[i].folder, 0);
		struct error err = { "" };

		assert_int_equal(mkdirat(folder_fd, rows[i].taken, 0700), 0);
		assert_int_equal(journal_fill(dir, true, records, 3, &err), -1);
		if (strstr(err.text, rows[i].wanted) == NULL)
			fail_msg("%s: %s", rows[i].name, err.text);
		/* When it can, all of them are. */
		assert_int_equal(
		    unlinkat(folder_fd, rows[i].taken, AT_REMOVEDIR), 0);
		assert_int_equal(journal_fill(dir, true, records, 3, &err), 0);
		for (uint64_t id = 7; id <= 9; id++)
			EXPECT_FILE(dir, QUEUE_TODO, id, "envelope");
		queue_dir_close(&dir);
		folder_teardown(NULL);
		folder_setup(NULL);
	}
}

static void
fits(void **state)
{
	static const struct {
		const char *name;
		int size, age_s; /* more than in the record */
		enum journal_match wanted;
	} rows[] = {
		{ "as it was", 0, 0, JOURNAL_MATCH },
		{ "its time was lost", 0, -5, JOURNAL_MATCH },
		{ "written later", 0, 1, JOURNAL_OTHER },
		{ "shorter", -1, 0, JOURNAL_OTHER },
		{ "longer", 1, 0, JOURNAL_OTHER },
		{ "shorter, before", -1, -5, JOURNAL_OTHER },
	};
	struct queue_dir *dir = make_queue("q", 3);
	uint64_t id = put_message(dir, "content");
	char name[QUEUE_NAME_SIZE];

	(void)state;
	queue_name(name, id, "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal_record record = {
			.id = id, .size_bytes = 100, .mtime_s = 1790000000
		};
		struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
			{ .tv_sec = record.mtime_s + rows[i].age_s } };
		int fd = queue_open_file(dir, QUEUE_MESS, id, O_WRONLY);

		assert_int_equal(ftruncate(fd, 100 + rows[i].size), 0);
		assert_int_equal(futimens(fd, times), 0);
		close(fd);
		if (journal_match(dir, &record) != rows[i].wanted)
			fail_msg("%s", rows[i].name);
		record.id++;
		assert_int_equal(journal_match(dir, &record), JOURNAL_ABSENT);
	}
	queue_dir_close(&dir);
}

/* A copy has times of its own, but nobody has got its numbers again. */
static void
fits_in_a_copy(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	uint64_t id = put_message(dir, "content"), other = id + 3;
	struct journal_record record = { .id = other, .size_bytes = 7 };
	int mess = queue_dir_fd(dir, QUEUE_MESS, id);
	char from[QUEUE_NAME_SIZE], to[QUEUE_NAME_SIZE];

	(void)state;
	queue_name(from, id, "");
	queue_name(to, other, "");
	assert_int_equal(renameat(mess, from, mess, to), 0);
	assert_int_equal(journal_match(dir, &record), JOURNAL_MATCH);
	record.size_bytes++;
	assert_int_equal(journal_match(dir, &record), JOURNAL_OTHER);
	queue_dir_close(&dir);
}

static void
set_aside(void **state)
{
	static const char *const rows[] = { "a longer envelope", "envelope" };
	struct queue_dir *dir = make_queue("q", 3);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct journal_record record = { .id = 18446744073709551615U,
			.envelope = rows[i],
			.length = strlen(rows[i]) };
		struct buf content = BUF_INIT;
		struct error err;
		int fd;

		if (journal_set_aside(dir, &record, &err) == -1)
			fail_msg("%s", err.text);
		fd = openat(queue_dir_fd(dir, QUEUE_LOCK, 0),
		    "envelope.18446744073709551615", O_RDONLY);
		assert_int_not_equal(fd, -1);
		assert_int_equal(queue_read(fd, &content), 0);
		close(fd);
		assert_string_equal(content.data, rows[i]);
		buf_release(&content);
	}
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(filled),
		TEST(which_file),
		TEST(many_and_none),
		TEST(fails),
		TEST(fits),
		TEST(fits_in_a_copy),
		TEST(set_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
