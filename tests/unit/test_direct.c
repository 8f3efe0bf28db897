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

static void
lost_folder(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct direct *direct;
	struct error err = { "" };

	(void)state;
	assert_int_equal(rmdir(folder_path("q/mess/1")), 0);
	assert_int_equal(direct_open(dir->path, &direct, &err), QQ_CHDIR);
	assert_non_null(strstr(err.text, "mess/1' is missing"));
	queue_dir_close(&dir);
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

/*
 * With an envelope of a message that is gone, a message would have been
 * delivered before it was whole, and to that one's recipients.
 */
static bool
strays_are_removed(struct queue_dir *dir)
{
	static const enum queue_folder kinds[] = { QUEUE_TODO, QUEUE_INFO,
		QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_BOUNCE, QUEUE_INTD };
	enum { COUNT = sizeof(kinds) / sizeof(kinds[0]) };
	struct direct *direct = open_direct(dir);
	uint64_t near = only_file(dir, QUEUE_MESS), id;
	struct error err = { "" };

	direct_abort(&direct);
	for (size_t i = 0; i < COUNT; i++)
		put_near(dir, kinds[i], near);
	direct = open_direct(dir);
	id = only_file(dir, QUEUE_MESS);
	if (id + NUMBERS_NEAR < near || id >= near + NUMBERS_NEAR) {
		direct_abort(&direct);
		return false;
	}
	for (size_t i = 0; i < COUNT; i++) {
		if (has_file(dir, kinds[i], id, ""))
			fail_msg(
			    "%s/ still has it", queue_folder_name(kinds[i]));
		assert_true(has_file(dir, kinds[i], id - 1, "") ||
		    has_file(dir, kinds[i], id + 1, ""));
	}
	if (direct_commit(&direct, RECORD, sizeof(RECORD), &err) != QQ_OK)
		fail_msg("%s", err.text);
	expect_file(dir, QUEUE_TODO, id, RECORD, sizeof(RECORD));
	return true;
}

static void
stray_files_go(void **state)
{
	(void)state;
	until_near(strays_are_removed);
}

static bool
name_is_refused(struct queue_dir *dir)
{
	struct direct *direct = open_direct(dir);
	uint64_t near = only_file(dir, QUEUE_MESS);
	struct error err = { "" };

	direct_abort(&direct);
	put_near(dir, QUEUE_MESS, near);
	put_near(dir, QUEUE_TODO, near);
	if (direct_open(dir->path, &direct, &err) == QQ_OK) {
		direct_abort(&direct);
		return false;
	}
	assert_non_null(strstr(err.text, "run queue-fix"));
	assert_int_equal(only_file(dir, QUEUE_PID), 0);
	for (uint64_t id = near; id < near + NUMBERS_NEAR; id++) {
		EXPECT_FILE(dir, QUEUE_MESS, id, "old");
		EXPECT_FILE(dir, QUEUE_TODO, id, "old");
	}
	return true;
}

/* In a queue that was copied names are not inodes: one was overwritten. */
static void
another_message_has_the_name(void **state)
{
	(void)state;
	until_near(name_is_refused);
}

/* A set-user-id program's caller may have made the queue, to mislead us. */
static void
others_queue_is_not_used(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
		uid_t uid; /* with root only */
		bool is_used;
	} rows[] = {
		{ "ours", 0755, 0, true },
		{ "all may write", 0777, 0, false },
		{ "the group may write", 0775, 0, false },
		{ "a sticky bit is no help", 01777, 0, false },
		{ "another's", 0755, 64005, false },
	};
	struct queue_dir *dir = make_queue("q", 3);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct direct *direct = NULL;
		struct error err = { "" };
		int result;

		if (rows[i].uid != 0 && geteuid() != 0)
			continue;
		assert_int_equal(chmod(dir->path, rows[i].mode), 0);
		if (geteuid() == 0)
			assert_int_equal(chown(dir->path, rows[i].uid, 0), 0);
		result = direct_open(dir->path, &direct, &err);
		if (result != (rows[i].is_used ? QQ_OK : QQ_CHDIR))
			fail_msg("%s: %d %s", rows[i].name, result, err.text);
		if (!rows[i].is_used)
			assert_non_null(strstr(err.text, "will not write"));
		direct_abort(&direct);
		expect_empty(dir);
	}
	queue_dir_close(&dir);
}

/* The envelope of a message in another queue was removed through intd/. */
static void
links_are_not_followed(void **state)
{
	static const char *const names[] = { "mess", "mess/1", "intd", "todo",
		"pid", "lock" };
	struct queue_dir *dir = make_queue("q", 3);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct direct *direct = NULL;
		struct error err = { "" };
		char path[40];

		snprintf(path, sizeof(path), "q/%s", names[i]);
		assert_int_equal(
		    rename(folder_path(path), folder_path("away")), 0);
		assert_int_equal(
		    symlink(folder_path("away"), folder_path(path)), 0);
		if (direct_open(dir->path, &direct, &err) != QQ_CHDIR)
			fail_msg("%s is a link", names[i]);
		assert_string_not_equal(err.text, "");
		assert_int_equal(unlink(folder_path(path)), 0);
		assert_int_equal(
		    rename(folder_path("away"), folder_path(path)), 0);
		expect_empty(dir);
	}
	queue_dir_close(&dir);
}

/* Its first byte was overwritten. */
static void
trigger_is_a_pipe_or_left_alone(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);

	(void)state;
	folder_write("victim", "precious", 8);
	for (int is_link = 0; is_link <= 1; is_link++) {
		struct direct *direct = open_direct(dir);
		struct error err = { "" };
		char content[16] = "";
		FILE *file;

		assert_int_equal(unlink(folder_path("q/lock/trigger")), 0);
		assert_int_equal(
		    (is_link ? symlink : link)(
			folder_path("victim"), folder_path("q/lock/trigger")),
		    0);
		assert_int_equal(
		    direct_commit(&direct, RECORD, sizeof(RECORD), &err),
		    QQ_OK);
		file = fopen(folder_path("victim"), "r");
		assert_non_null(file);
		assert_int_equal(fread(content, 1, sizeof(content), file), 8);
		fclose(file);
		assert_string_equal(content, "precious");
	}
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
		TEST(lost_folder),
		TEST(stale_envelope_goes),
		TEST(orphan_envelope_goes),
		TEST(stray_files_go),
		TEST(another_message_has_the_name),
		TEST(others_queue_is_not_used),
		TEST(links_are_not_followed),
		TEST(trigger_is_a_pipe_or_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
