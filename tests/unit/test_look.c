/* SPDX-License-Identifier: ISC */
/* Tests of queue/look.c and queue/look_message.c. */
#include "queue/look.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>

#include "base/mem.h"
#include "tests/unit/queue_folder.h"

#include "tests/unit/fresh.h"

#define RECORD "u7\0p8 " FRESH_UUID "\0Fs@x\0Ta@y\0Tb@y\0"
#define INFO "Fr@x\0A000003\0I" FRESH_UUID "\0S5\0"

/* Numbers of messages in each state. */
enum { FRESH = 1764000000000000, QUEUED, REMEMBERED, THEIRS = 77 };

static void
put_kept(const struct queue_dir *dir, uint64_t id, const char *body,
    enum queue_folder kind, const char *record, size_t length)
{
	put_file(dir, QUEUE_MESS, id, body, strlen(body));
	put_file(dir, kind, id, record, length);
}

#define PUT_KEPT(dir, id, body, kind, record) \
	put_kept(dir, id, body, kind, record, sizeof(record) - 1)

static void
put_one_of_each(const struct queue_dir *dir)
{
	PUT_FRESH(FRESH, RECORD, "fresh");
	kill_fresh(dir);
	PUT_KEPT(dir, QUEUED, "queued", QUEUE_TODO, RECORD);
	PUT_KEPT(dir, REMEMBERED, "remem", QUEUE_INFO, INFO);
	put_file(dir, QUEUE_LOCAL, REMEMBERED, "Ta@y\0Db@y\0", 10);
	put_file(dir, QUEUE_REMOTE, REMEMBERED, "Tc@z\0", 5);
	put_file(dir, QUEUE_BOUNCE, REMEMBERED, "<b@y>:\nno\n\n", 11);
	PUT_KEPT(dir, THEIRS, "qmail's", QUEUE_INFO, "Fq@x\0eX=y\0");
	put_file(dir, QUEUE_LOCAL, THEIRS, "Ta@y\0", 5);
}

/* What is seen, one line a message, in the order of numbers. */
struct seen {
	char lines[32][1000];
	unsigned count;
};

static bool
note(const struct look_message *message, void *context)
{
	struct seen *seen = context;
	struct buf line = BUF_INIT;
	char uuid[UUID_TEXT_SIZE] = "-";

	if (!uuid_is_none(&message->uuid))
		uuid_format(&message->uuid, uuid);
	buf_addf(&line, "%" PRIu64 " %d %s %" PRIu64 " %u%s <%s>", message->id,
	    message->state, uuid, message->size_bytes, message->attempt,
	    message->is_bouncing ? " bouncing" : "", message->sender);
	for (size_t i = 0; i < message->recipient_count; i++)
		buf_addf(&line, " %s:%s%s",
		    queue_folder_name(message->recipients[i].channel),
		    message->recipients[i].address,
		    message->recipients[i].is_done ? "(done)" : "");
	if (message->problem != NULL)
		buf_addf(&line, " ! %s", message->problem);
	assert_true(seen->count < 32);
	snprintf(seen->lines[seen->count++], sizeof(seen->lines[0]), "%s",
	    line.data);
	buf_release(&line);
	return true;
}

static void
see(const struct queue_dir *dir, struct seen *seen)
{
	struct error err = { "" };

	seen->count = 0;
	if (look_messages(dir, note, seen, &err) != 0)
		fail_msg("%s", err.text);
}

/* Some message's line begins so; and has the other text, or "". */
static void
expect_seen(const struct seen *seen, const char *begin, const char *part)
{
	for (unsigned i = 0; i < seen->count; i++)
		if (strncmp(seen->lines[i], begin, strlen(begin)) == 0 &&
		    strstr(seen->lines[i], part) != NULL)
			return;
	fail_msg("no '%s' with '%s' (%u lines, first '%s')", begin, part,
	    seen->count, seen->lines[0]);
}

static void
every_state(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct look_count count;
	struct seen seen;

	(void)state;
	see(dir, &seen);
	assert_int_equal(seen.count, 0);
	put_one_of_each(dir);
	/* No messages: on the way in, and junk. */
	put_file(dir, QUEUE_MESS, 5, "S2", 2);
	folder_write("q/todo/notes", "x", 1);
	see(dir, &seen);
	assert_int_equal(seen.count, 4);
	expect_seen(&seen,
	    "1764000000000000 0 " FRESH_UUID " 5 0 <s@x> todo:a@y todo:b@y",
	    "");
	expect_seen(&seen,
	    "1764000000000001 1 " FRESH_UUID " 6 0 <s@x> todo:a@y todo:b@y",
	    "");
	expect_seen(&seen,
	    "1764000000000002 2 " FRESH_UUID " 5 3 bouncing <r@x> local:a@y "
	    "local:b@y(done) remote:c@z",
	    "");
	expect_seen(&seen, "77 2 - 7 0 <q@x> local:a@y", "");
	assert_int_equal(look_count(dir, &count, NULL), 0);
	assert_int_equal(count.messages, 4);
	assert_int_equal(count.fresh, 1);
	assert_int_equal(count.not_preprocessed, 2);
	assert_int_equal(count.aside, 0);
	folder_write("q/lock/journal.damaged.1", "x", 1);
	folder_write("q/lock/envelope.7", "x", 1);
	assert_int_equal(look_count(dir, &count, NULL), 0);
	assert_int_equal(count.aside, 2);
	queue_dir_close(&dir);
}

/* One that is on its way from one state to the next counts once. */
static void
between_states(void **state)
{
	static const struct {
		const char *name;
		bool is_fresh, has_todo, has_info;
		int state;
		uint64_t not_preprocessed;
	} rows[] = {
		{ "fresh and queued", true, true, false, LOOK_QUEUED, 1 },
		{ "fresh and remembered", true, false, true, LOOK_REMEMBERED,
		    0 },
		{ "queued and remembered", false, true, true, LOOK_QUEUED, 1 },
		{ "all", true, true, true, LOOK_QUEUED, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queue_dir *dir = make_queue("q", 5);
		struct look_count count;
		struct seen seen;
		char begin[40];

		if (rows[i].is_fresh) {
			PUT_FRESH(FRESH, RECORD, "fresh");
			kill_fresh(dir);
		}
		put_file(dir, QUEUE_MESS, FRESH, "fresh", 5);
		if (rows[i].has_todo)
			put_file(
			    dir, QUEUE_TODO, FRESH, RECORD, sizeof(RECORD) - 1);
		if (rows[i].has_info)
			put_file(
			    dir, QUEUE_INFO, FRESH, INFO, sizeof(INFO) - 1);
		see(dir, &seen);
		assert_int_equal(seen.count, 1);
		snprintf(begin, sizeof(begin), "1764000000000000 %d ",
		    rows[i].state);
		expect_seen(&seen, begin, "");
		assert_int_equal(look_count(dir, &count, NULL), 0);
		if (count.messages != 1 || count.fresh != 0 ||
		    count.not_preprocessed != rows[i].not_preprocessed)
			fail_msg("%s: %" PRIu64 " messages, %" PRIu64
				 " fresh, %" PRIu64 " not preprocessed",
			    rows[i].name, count.messages, count.fresh,
			    count.not_preprocessed);
		queue_dir_close(&dir);
		assert_int_equal(file_remove_tree(folder_path("q"), NULL), 0);
	}
}

/* A body that has a file of its own; without it the message is over. */
static void
large_ones(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct look_count count;
	struct seen seen;

	(void)state;
	put_file(dir, QUEUE_MESS, FRESH, "large", 5);
	put_fresh(FRESH, RECORD, sizeof(RECORD) - 1, NULL, 5);
	put_fresh(FRESH + 1, RECORD, sizeof(RECORD) - 1, NULL, 5);
	kill_fresh(dir);
	see(dir, &seen);
	assert_int_equal(seen.count, 1);
	expect_seen(&seen, "1764000000000000 0 " FRESH_UUID " 5 0 <s@x>", "");
	assert_int_equal(look_count(dir, &count, NULL), 0);
	assert_int_equal(count.messages, 1);
	assert_int_equal(count.fresh, 1);
	put_file(dir, QUEUE_MESS, FRESH, "la", 2);
	see(dir, &seen);
	expect_seen(&seen, "1764000000000000 0 ",
	    "has 2 bytes, and had 5 when it was accepted");
	queue_dir_close(&dir);
}

/* Each is told, with what can be read of it, and hides no other. */
static void
damaged_ones(void **state)
{
	static const struct {
		enum queue_folder folder; /* the one of the file */
		const char *data;
		size_t length;
		const char *wanted;
	} rows[] = {
#define ROW(folder, data, wanted) { folder, data, sizeof(data) - 1, wanted }
		ROW(QUEUE_TODO, "no envelope", "envelope of message"),
		ROW(QUEUE_TODO, "", "envelope of message"),
		ROW(QUEUE_TODO, "u7\0p8 - 5\0Fs@x\0Ta@y\0",
		    "has 4 bytes, and had 5 when it was accepted"),
		ROW(QUEUE_INFO, "", "/info/"),
		ROW(QUEUE_INFO, "garbage\0", "/info/"),
		ROW(QUEUE_INFO, "Fcut off", "/info/"),
		ROW(QUEUE_INFO, "Fs@x\0S999\0",
		    "has 4 bytes, and had 999 when it was accepted"),
		ROW(QUEUE_LOCAL, "", "/local/"),
		ROW(QUEUE_LOCAL, "Ta@y", "/local/"),
		ROW(QUEUE_REMOTE, "Ta@y\0x@y\0", "/remote/"),
#undef ROW
	};
	struct queue_dir *dir = make_queue("q", 5);
	struct look_damage damage;
	struct look_count count;
	struct buf ids = BUF_INIT;
	struct seen seen;

	(void)state;
	put_one_of_each(dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_file(dir, QUEUE_MESS, 1000 + i, "body", 4);
		if (rows[i].folder > QUEUE_INFO &&
		    rows[i].folder < QUEUE_FOLDER_SPLIT_END)
			put_file(dir, QUEUE_INFO, 1000 + i, "Fs@x\0", 5);
		put_file(dir, rows[i].folder, 1000 + i, rows[i].data,
		    rows[i].length);
	}
	see(dir, &seen);
	assert_int_equal(seen.count, 4 + sizeof(rows) / sizeof(rows[0]));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char begin[20];

		snprintf(begin, sizeof(begin), "%zu ", 1000 + i);
		expect_seen(&seen, begin, " ! ");
		expect_seen(&seen, begin, rows[i].wanted);
	}
	expect_seen(&seen, "77 2 - 7 0 <q@x> local:a@y", "");
	assert_int_equal(
	    look_damage(dir, LOOK_EVERYWHERE, 1000, &damage, NULL, NULL), 0);
	assert_int_equal(damage.count, sizeof(rows) / sizeof(rows[0]));
	assert_int_equal(damage.id_count, LOOK_DAMAGE_IDS);
	assert_true(damage.is_whole);
	look_damage_format(&damage, &ids);
	assert_non_null(strstr(ids.data, " and 5 more"));
	buf_release(&ids);
	/* All are counted, of those that are in files. */
	assert_int_equal(
	    look_damage(dir, LOOK_IN_FILES, 3, &damage, &count, NULL), 0);
	assert_false(damage.is_whole);
	assert_int_equal(count.messages, 3 + sizeof(rows) / sizeof(rows[0]));
	assert_int_equal(count.fresh, 0);
	assert_int_equal(
	    look_damage(dir, LOOK_EVERYWHERE, 3, &damage, &count, NULL), 0);
	assert_int_equal(count.messages, 4 + sizeof(rows) / sizeof(rows[0]));
	queue_dir_close(&dir);
}

/* Recipients of nobody's message are mail all the same. */
static void
without_info(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct look_count count;
	struct seen seen;

	(void)state;
	put_file(dir, QUEUE_MESS, 7, "lost", 4);
	put_file(dir, QUEUE_LOCAL, 7, "Ta@y\0", 5);
	put_file(dir, QUEUE_REMOTE, 7, "Tb@z\0", 5);
	see(dir, &seen);
	assert_int_equal(seen.count, 1);
	expect_seen(&seen, "7 2 - 4 0 <> local:a@y remote:b@z ! ",
	    "'info/7' is missing");
	assert_int_equal(look_count(dir, &count, NULL), 0);
	assert_int_equal(count.messages, 1);
	assert_int_equal(count.not_preprocessed, 0);
	/* Just being kept; half kept, and in todo/ still; without a message. */
	put_file(dir, QUEUE_PID, 7, "x", 1);
	put_file(dir, QUEUE_MESS, 8, "todo", 4);
	put_file(dir, QUEUE_TODO, 8, RECORD, sizeof(RECORD) - 1);
	put_file(dir, QUEUE_LOCAL, 8, "Ta@y\0", 5);
	put_file(dir, QUEUE_LOCAL, 9, "Ta@y\0", 5);
	/* A fresh one, of which it was interrupted. */
	PUT_FRESH(FRESH, RECORD, "fresh");
	kill_fresh(dir);
	put_file(dir, QUEUE_MESS, FRESH, "fresh", 5);
	put_file(dir, QUEUE_LOCAL, FRESH, "Ta@y\0", 5);
	see(dir, &seen);
	assert_int_equal(seen.count, 2);
	expect_seen(&seen, "8 1 ", "<s@x> todo:a@y todo:b@y");
	expect_seen(&seen, "1764000000000000 0 ", "<s@x> todo:a@y todo:b@y");
	assert_int_equal(look_count(dir, &count, NULL), 0);
	assert_int_equal(count.messages, 2);
	queue_dir_close(&dir);
}

static void
ids_in_words(void **state)
{
	static const struct {
		struct look_damage damage;
		const char *wanted;
	} rows[] = {
		{ { .count = 0 }, "" },
		{ { .count = 1, .ids = { 7 }, .id_count = 1 }, "7" },
		{ { .count = 2, .ids = { 7, 8 }, .id_count = 2 }, "7, 8" },
		{ { .count = 9, .ids = { 7, 8 }, .id_count = 2 },
		    "7, 8 and 7 more" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text;

		buf_init(&text);
		look_damage_format(&rows[i].damage, &text);
		assert_string_equal(text.data, rows[i].wanted);
		buf_release(&text);
	}
}

/* "Cannot tell" is not "none"; what can be seen is shown all the same. */
static void
a_journal_that_cannot_be_read(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct error err = { "" };
	struct look_count count;
	struct seen seen = { .count = 0 };

	(void)state;
	PUT_KEPT(dir, THEIRS, "qmail's", QUEUE_INFO, "Fq@x\0");
	assert_int_equal(
	    symlink("elsewhere", folder_path("q/lock/journal.2")), 0);
	assert_int_equal(look_count(dir, &count, &err), -1);
	assert_non_null(strstr(err.text, "journal"));
	assert_int_equal(look_messages(dir, note, &seen, &err), -1);
	assert_non_null(strstr(err.text, "journal"));
	assert_int_equal(seen.count, 1);
	queue_dir_close(&dir);
}

/* What a queue that is removed would take with it. */
static void
strangers(void **state)
{
	static const char *const rows[] = { "mess/3/notes", "mess/40.x",
		"mess/fix.7", "info/0/.hidden", "local/1/x", "remote/2/1x",
		"todo/notes", "bounce/7.old", "mess/0/0" };
	struct queue_dir *dir = make_queue("q", 5);
	struct error err = { "" };
	char *found, path[64];

	(void)state;
	/* Never queued, or ours. */
	folder_write("q/pid/12.34.1", "x", 1);
	folder_write("q/intd/x", "x", 1);
	folder_write("q/lock/x", "x", 1);
	put_one_of_each(dir);
	assert_int_equal(look_stranger(dir, &found, &err), 0);
	assert_null(found);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(path, sizeof(path), "q/%s", rows[i]);
		folder_write(path, "x", 1);
		assert_int_equal(look_stranger(dir, &found, &err), 1);
		assert_string_equal(found, rows[i]);
		free(found);
		assert_int_equal(unlink(folder_path(path)), 0);
	}
	/* Another system's split, and a folder that is none of ours. */
	assert_int_equal(mkdir(folder_path("q/todo/4"), 0700), 0);
	assert_int_equal(look_stranger(dir, &found, &err), 1);
	assert_string_equal(found, "todo/4");
	free(found);
	assert_int_equal(rmdir(folder_path("q/todo/4")), 0);
	assert_int_equal(rmdir(folder_path("q/mess/4")), 0);
	assert_int_equal(mkdir(folder_path("q/mess/5"), 0700), 0);
	assert_int_equal(look_stranger(dir, &found, &err), 1);
	assert_string_equal(found, "mess/5");
	free(found);
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_state),
		TEST(between_states),
		TEST(large_ones),
		TEST(damaged_ones),
		TEST(without_info),
		TEST(strangers),
		cmocka_unit_test(ids_in_words),
		TEST(a_journal_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
