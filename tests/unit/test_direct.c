/* SPDX-License-Identifier: ISC */
/* Tests of queue/direct.c. */
#include "queue/direct.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "queue/exitcode.h"
#include "queue/look.h"
#include "tests/unit/queue_folder.h"

#define RECORD "u1\0p2\0Fs@x\0Ta@b"

static int
note_id(uint64_t id, void *context)
{
	uint64_t *found = context;

	assert_int_equal(*found, 0);
	*found = id;
	return 0;
}

/* The only file of a folder; 0 when it has none. */
static uint64_t
only_file(const struct queue_dir *dir, enum queue_folder kind)
{
	unsigned parts = kind < QUEUE_FOLDER_SPLIT_END ? dir->split : 1;
	uint64_t found = 0;

	for (unsigned part = 0; part < parts; part++)
		assert_int_equal(
		    look_folder(dir, kind, part, note_id, &found, NULL), 0);
	return found;
}

static void
expect_empty(const struct queue_dir *dir)
{
	static const enum queue_folder kinds[] = { QUEUE_MESS, QUEUE_INTD,
		QUEUE_TODO, QUEUE_PID };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		assert_int_equal(only_file(dir, kinds[i]), 0);
}

static struct direct *
open_direct(const struct queue_dir *dir)
{
	struct direct *direct;
	struct error err = { "" };

	if (direct_open(dir->path, &direct, &err) != QQ_OK)
		fail_msg("%s", err.text);
	assert_int_equal(direct_write(direct, "Subject: x\n", 11, &err), QQ_OK);
	return direct;
}

static void
queued(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct direct *direct = open_direct(dir);
	struct error err = { "" };
	uint64_t id = only_file(dir, QUEUE_MESS);
	int trigger = open(
	    folder_path("q/lock/trigger"), O_RDONLY | O_NONBLOCK);
	char byte;

	(void)state;
	assert_int_not_equal(id, 0);
	assert_int_equal(only_file(dir, QUEUE_TODO), 0); /* S2 */
	assert_int_equal(direct_write(direct, "\nbody\n", 6, &err), QQ_OK);
	assert_int_equal(
	    direct_commit(&direct, RECORD, sizeof(RECORD), &err), QQ_OK);
	assert_null(direct);
	assert_int_equal(only_file(dir, QUEUE_TODO), id); /* S4 */
	assert_int_equal(only_file(dir, QUEUE_INTD), 0);
	assert_int_equal(only_file(dir, QUEUE_PID), 0);
	EXPECT_FILE(dir, QUEUE_MESS, id, "Subject: x\n\nbody\n");
	expect_file(dir, QUEUE_TODO, id, RECORD, sizeof(RECORD));
	assert_int_equal(read(trigger, &byte, 1), 1);
	close(trigger);
	queue_dir_close(&dir);
}

static void
aborted(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct direct *direct = open_direct(dir);

	(void)state;
	direct_abort(&direct);
	assert_null(direct);
	direct_abort(&direct);
	expect_empty(dir);
	queue_dir_close(&dir);
}

/* A folder that is not there: the step's exit code, and nothing stays. */
static void
failures(void **state)
{
	static const struct {
		const char *folder;
		int wanted;
	} rows[] = {
		{ "intd", QQ_INTD },
		{ "todo", QQ_LINK_TODO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queue_dir *dir = make_queue("q", 3);
		struct direct *direct = open_direct(dir);
		struct error err = { "" };
		char path[64];

		snprintf(path, sizeof(path), "q/%s", rows[i].folder);
		assert_int_equal(rmdir(folder_path(path)), 0);
		assert_int_equal(
		    direct_commit(&direct, RECORD, sizeof(RECORD), &err),
		    rows[i].wanted);
		assert_null(direct);
		assert_int_equal(only_file(dir, QUEUE_MESS), 0);
		assert_string_not_equal(err.text, "");
		queue_dir_close(&dir);
	}
}

static void
no_queue(void **state)
{
	struct direct *direct;
	struct error err = { "" };

	(void)state;
	assert_int_equal(
	    direct_open(folder_path("none"), &direct, &err), QQ_CHDIR);
	assert_non_null(strstr(err.text, "queue-fix"));
}

/* A stale pid/ID.e would have made a spare of the message. */
static void
stale_envelope_goes(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct direct *direct = open_direct(dir);
	uint64_t id = only_file(dir, QUEUE_MESS);
	char name[40];

	(void)state;
	direct_abort(&direct);
	/* ext4 gives the inode again, if nobody is faster. */
	snprintf(name, sizeof(name), "q/pid/%llu.e", (unsigned long long)id);
	folder_write(name, "x", 1);
	direct = open_direct(dir);
	if (only_file(dir, QUEUE_MESS) == id)
		assert_false(has_file(dir, QUEUE_PID, id, ".e"));
	direct_abort(&direct);
	queue_dir_close(&dir);
}

/* An envelope of one that was ended in S3 made the number fail for ever. */
static void
orphan_envelope_goes(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct direct *direct = open_direct(dir);
	uint64_t id = only_file(dir, QUEUE_MESS);
	struct error err = { "" };
	char name[40];

	(void)state;
	direct_abort(&direct);
	/* ext4 gives the inode again, if nobody is faster. */
	snprintf(name, sizeof(name), "q/pid/%llu.e", (unsigned long long)id);
	folder_write(name, "x", 1);
	snprintf(name, sizeof(name), "q/intd/%llu", (unsigned long long)id);
	folder_write(name, "x", 1);
	direct = open_direct(dir);
	if (only_file(dir, QUEUE_MESS) == id)
		assert_int_equal(only_file(dir, QUEUE_INTD), 0);
	if (direct_commit(&direct, RECORD, sizeof(RECORD), &err) != QQ_OK)
		fail_msg("%s", err.text);
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(queued),
		TEST(aborted),
		TEST(failures),
		TEST(no_queue),
		TEST(stale_envelope_goes),
		TEST(orphan_envelope_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
