/* SPDX-License-Identifier: ISC */
/* Tests of queue/fix_journal.c: what a killed qmail-send left gets files. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "queue/journal_scan.h"
#include "queue/look.h"
#include "tests/unit/capture.h"
#include "tests/unit/queue_folder.h"

#include "tests/unit/fresh.h"

#define RECORD "u7\0p8 " FRESH_UUID "\0Fs@x\0Ta@y\0Tb@y\0"
/* In todo/ it has its length, too. */
#define TODO(size) "u7\0p8 " FRESH_UUID " " size "\0Fs@x\0Ta@y\0Tb@y\0"

enum { ID = 1764000000000007 };

/* What queue-fix prints; the caller frees. */
static char *
fix(const struct queue_dir *dir, unsigned split, bool is_test, int *result_out)
{
	const struct fix_options options = { .split = split,
		.is_test = is_test,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };
	struct error err = { "" };
	struct capture capture = capture_begin(1);
	char *text;

	*result_out = queue_fix(dir->path, &options, &err);
	text = capture_end(&capture);
	if (*result_out == -1) {
		free(text);
		text = xstrdup(err.text);
	}
	return text;
}

/* It must say all of these; "" are none. */
static void
expect_fix(const struct queue_dir *dir, bool is_test, int wanted,
    const char *first, const char *second)
{
	int result;
	char *said = fix(dir, dir->split, is_test, &result);

	if (result != wanted || strstr(said, first) == NULL ||
	    strstr(said, second) == NULL)
		fail_msg("%d, '%s'", result, said);
	free(said);
}

/* 0 when the journal is empty. */
static size_t
count_fresh(const struct queue_dir *dir)
{
	struct journal_view view;
	struct error err = { "" };
	size_t count;

	if (journal_view_open(dir, &view, &err) == -1)
		fail_msg("%s", err.text);
	assert_false(view.is_damaged);
	count = view.count;
	journal_view_release(&view);
	return count;
}

static void
fresh_ones_get_files(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	char large[2000];
	struct stat st;

	(void)state;
	memset(large, 'x', sizeof(large));
	PUT_FRESH(ID, RECORD, "first\n");
	put_file(dir, QUEUE_MESS, ID + 1, large, sizeof(large));
	put_fresh(ID + 1, RECORD, sizeof(RECORD) - 1, NULL, sizeof(large));
	PUT_FRESH(ID + 2, RECORD, "over\n");
	end_fresh(ID + 2);
	PUT_FRESH(ID + 3, RECORD, "");
	kill_fresh(dir);
	expect_fix(dir, true, 1,
	    "would take out of lock/journal, into files, mail of 3 messages",
	    "");
	assert_int_equal(count_fresh(dir), 3);
	expect_fix(dir, false, 1,
	    ": take out of lock/journal, into files, mail of 3 messages", "");
	EXPECT_FILE(dir, QUEUE_MESS, ID, "first\n");
	EXPECT_FILE(dir, QUEUE_TODO, ID, TODO("6"));
	expect_file(dir, QUEUE_MESS, ID + 1, large, sizeof(large));
	EXPECT_FILE(dir, QUEUE_TODO, ID + 1, TODO("2000"));
	assert_false(has_file(dir, QUEUE_TODO, ID + 2, ""));
	assert_false(has_file(dir, QUEUE_MESS, ID + 2, ""));
	EXPECT_FILE(dir, QUEUE_MESS, ID + 3, "");
	assert_int_equal(count_fresh(dir), 0);
	/* When it came. */
	assert_int_equal(fstatat(queue_dir_fd(dir, QUEUE_MESS, ID),
			     "1764000000000007", &st, 0),
	    0);
	assert_int_equal(st.st_mtime, 1764000000);
	expect_fix(dir, false, 0, "", "");
	queue_dir_close(&dir);
}

/* The journal is of the old split, its mail comes to the new one. */
static void
into_another_split(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	char *said;
	int result;

	(void)state;
	PUT_FRESH(ID, RECORD, "small\n");
	put_file(dir, QUEUE_MESS, ID + 1, "large\n", 6);
	put_fresh(ID + 1, RECORD, sizeof(RECORD) - 1, NULL, 6);
	kill_fresh(dir);
	said = fix(dir, 11, false, &result);
	if (result <= 0)
		fail_msg("%s", said);
	free(said);
	queue_dir_close(&dir);
	dir = queue_dir_open(folder_path("q"), NULL);
	assert_int_equal(dir->split, 11);
	EXPECT_FILE(dir, QUEUE_MESS, ID, "small\n");
	EXPECT_FILE(dir, QUEUE_MESS, ID + 1, "large\n");
	EXPECT_FILE(dir, QUEUE_TODO, ID, TODO("6"));
	EXPECT_FILE(dir, QUEUE_TODO, ID + 1, TODO("6"));
	assert_int_equal(count_fresh(dir), 0);
	queue_dir_close(&dir);
}

/* A message that has a file of its state is kept, whatever the journal says. */
static void
kept_ones_stay_as_they_are(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);

	(void)state;
	for (int i = 0; i < 3; i++)
		PUT_FRESH(ID + (uint64_t)i, RECORD, "fresh\n");
	put_file(dir, QUEUE_MESS, ID, "kept\n", 5);
	put_file(dir, QUEUE_TODO, ID, "record", 6);
	put_file(dir, QUEUE_MESS, ID + 1, "kept\n", 5);
	put_file(dir, QUEUE_INFO, ID + 1, "record", 6);
	/* Half kept, when it was killed. */
	put_file(dir, QUEUE_MESS, ID + 2, "ha", 2);
	/* Not acknowledged, or over. */
	put_fresh(ID + 3, RECORD, sizeof(RECORD) - 1, NULL, 6);
	kill_fresh(dir);
	expect_fix(dir, false, 1, "mail of 4 messages", "");
	EXPECT_FILE(dir, QUEUE_MESS, ID, "kept\n");
	EXPECT_FILE(dir, QUEUE_TODO, ID, "record");
	EXPECT_FILE(dir, QUEUE_MESS, ID + 1, "kept\n");
	EXPECT_FILE(dir, QUEUE_INFO, ID + 1, "record");
	assert_false(has_file(dir, QUEUE_TODO, ID + 1, ""));
	EXPECT_FILE(dir, QUEUE_MESS, ID + 2, "fresh\n");
	EXPECT_FILE(dir, QUEUE_TODO, ID + 2, TODO("6"));
	assert_false(has_file(dir, QUEUE_TODO, ID + 3, ""));
	assert_int_equal(count_fresh(dir), 0);
	queue_dir_close(&dir);
}

/* One that was in another queue before keeps its history: S5. */
static void
history_is_kept(void **state)
{
	static const char record[] =
	    "u7\0p8 " FRESH_UUID "\0b1763000000\0a3\0n<c@y>:\nno\n\n\0"
	    "e RET=HDRS\0Hx-a: b\n\0Fs@x\0Ta@virtual\0Db@virtual\0"
	    "r NOTIFY=NEVER\0Tc@y\0r ORCPT=x;y\0Te@virtual\0";
	static const char info[] = "Fs@x\0A000003\0W00\0I" FRESH_UUID
				   "\0S6\0B1764000000\0E RET=HDRS\0Hx-a: b\n\0"
				   "Nr0 NOTIFY=NEVER\0Nl30 ORCPT=x;y\0";
	struct queue_dir *dir = make_queue("q", 5);

	(void)state;
	assert_int_equal(file_make_dirs(folder_path("control"), 0755, NULL), 0);
	folder_write("control/me", "m.test\n", 7);
	folder_write("control/virtualdomains", "virtual:pre\n", 12);
	assert_int_equal(setenv("MQMAIL_HOME", folder, 1), 0);
	unsetenv("CONTROLDIR");
	PUT_FRESH(ID, record, "first\n");
	kill_fresh(dir);
	expect_fix(dir, false, 1, "mail of 1 message", "");
	EXPECT_FILE(dir, QUEUE_MESS, ID, "first\n");
	EXPECT_FILE(dir, QUEUE_INFO, ID, info);
	EXPECT_FILE(dir, QUEUE_LOCAL, ID,
	    "Tpre-a@virtual\0Dpre-b@virtual\0"
	    "Tpre-e@virtual\0");
	EXPECT_FILE(dir, QUEUE_REMOTE, ID, "Tc@y\0");
	EXPECT_FILE(dir, QUEUE_BOUNCE, ID, "<c@y>:\nno\n\n");
	assert_false(has_file(dir, QUEUE_TODO, ID, ""));
	assert_int_equal(count_fresh(dir), 0);
	/* What is local is not guessed. */
	PUT_FRESH(ID + 1, record, "second\n");
	folder_write("control/virtualdomains", "nothing\n", 8);
	kill_fresh(dir);
	expect_fix(dir, false, -1, "virtualdomains", "");
	assert_int_equal(count_fresh(dir), 1);
	queue_dir_close(&dir);
}

static void
what_cannot_be_written_stays(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);

	(void)state;
	PUT_FRESH(ID, RECORD, "first\n");
	assert_int_equal(mkdir(folder_path("q/pid/1764000000000007"), 0700), 0);
	kill_fresh(dir);
	expect_fix(dir, false, -1, "message 1764000000000007", "");
	assert_int_equal(count_fresh(dir), 1);
	assert_int_equal(rmdir(folder_path("q/pid/1764000000000007")), 0);
	expect_fix(dir, false, 1, "mail of 1 message", "");
	EXPECT_FILE(dir, QUEUE_TODO, ID, TODO("6"));
	assert_int_equal(count_fresh(dir), 0);
	queue_dir_close(&dir);
}

/* Damage is told, with -N too, and it is mail all the same. */
static void
damage_is_told(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);

	(void)state;
	PUT_FRESH(ID, "no record", "first\n");
	put_file(dir, QUEUE_MESS, ID + 1, "short", 5);
	put_file(dir, QUEUE_INFO, ID + 1, "Fs@x\0A000003\0S7\0", 16);
	kill_fresh(dir);
	expect_fix(dir, true, 1,
	    "damaged, so that it cannot be delivered: "
	    "message 1764000000000007: ",
	    "message 1764000000000008: ");
	expect_fix(dir, false, 1, "message 1764000000000007: ",
	    "has 5 bytes, and had 7 when it was accepted");
	EXPECT_FILE(dir, QUEUE_TODO, ID, "no record");
	EXPECT_FILE(dir, QUEUE_MESS, ID, "first\n");
	queue_dir_close(&dir);
}

/* Writes over the record of a message. */
static void
damage_record(uint64_t id)
{
	static char segment[JOURNAL_SEGMENT_MIN];
	unsigned damaged = 0;

	for (int i = 0; i < JOURNAL_SEGMENTS; i++) {
		const char *at;
		char name[60];
		int fd;

		snprintf(name, sizeof(name), "q/lock/journal.%d", i);
		fd = open(folder_path(name), O_RDWR);
		if (fd == -1)
			continue;
		assert_true(pread(fd, segment, sizeof(segment), 0) > 0);
		at = memmem(segment, sizeof(segment), &id, sizeof(id));
		if (at != NULL) {
			assert_int_equal(
			    pwrite(fd, "damage", 6, at - segment + 12), 6);
			damaged++;
		}
		close(fd);
	}
	assert_int_equal(damaged, 1);
}

/* What cannot be read is kept for people, and the rest is mail. */
static void
a_damaged_journal(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct look_count count;
	struct error err = { "" };

	(void)state;
	for (int i = 0; i < 4; i++)
		PUT_FRESH(ID + (uint64_t)i, RECORD, "fresh\n");
	end_fresh(ID + 3); /* a later batch: that one was durable */
	kill_fresh(dir);
	damage_record(ID + 2);
	assert_int_equal(look_count(dir, &count, &err), -1);
	assert_non_null(strstr(err.text, "journal of"));
	assert_int_equal(count.fresh, 2);
	expect_fix(dir, true, 2,
	    "would keep aside, for people, what cannot be read of "
	    "lock/journal",
	    "mail of 2 messages");
	expect_fix(dir, false, 2, ": keep aside, for people", "2 messages");
	EXPECT_FILE(dir, QUEUE_TODO, ID, TODO("6"));
	EXPECT_FILE(dir, QUEUE_TODO, ID + 1, TODO("6"));
	assert_false(has_file(dir, QUEUE_TODO, ID + 2, ""));
	assert_int_equal(
	    access(folder_path("q/lock/journal.damaged.1"), F_OK), 0);
	assert_int_equal(look_count(dir, &count, NULL), 0);
	assert_int_equal(count.aside, 1);
	assert_int_equal(count.fresh, 0);
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fresh_ones_get_files),
		TEST(into_another_split),
		TEST(kept_ones_stay_as_they_are),
		TEST(history_is_kept),
		TEST(what_cannot_be_written_stays),
		TEST(damage_is_told),
		TEST(a_damaged_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
