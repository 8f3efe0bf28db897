/* SPDX-License-Identifier: ISC */
/* Tests of queue/journal_view.c: what of a file counts. */
#include "queue/journal_view.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>

#include "tests/unit/queue_folder.h"

enum { WHOLE = JOURNAL_HALVES * JOURNAL_HALF_BYTES };

/*
 * Writes a half: "3: +7a -7 2:+8b" is a header of generation 3, then the
 * envelope "a" of 7 and its end, and then what an older generation left.  "~"
 * is some bytes that are no record; "!" a header that is damaged.
 */
static void
write_half(struct buf *file, unsigned half, const char *script)
{
	size_t start = half * (size_t)JOURNAL_HALF_BYTES;
	const char *at = script;
	uint64_t generation = 0;
	struct buf buf = BUF_INIT;

	buf_init(&buf);
	while (*at != '\0') {
		struct journal_record record = { .is_over = *at == '-' };
		char *end;

		if (*at == '+' || *at == '-') {
			record.id = strtoull(at + 1, &end, 10);
			record.envelope = end;
			record.length = record.is_over ? 0 : 1;
			at = end + record.length;
			journal_put_record(&buf, generation, &record);
		} else if (*at == '~') {
			buf_adds(&buf, "no record at all");
			at++;
		} else if (*at == '!') {
			buf.data[20] ^= 1;
			at++;
		} else if (*at == ' ')
			at++;
		else {
			generation = strtoull(at, &end, 10);
			assert_int_equal(*end, ':');
			at = end + 1;
			if (buf.length == 0)
				journal_put_header(&buf, generation);
		}
	}
	memcpy(file->data + start, buf.data, buf.length);
	buf_release(&buf);
}

static void
put_journal(const struct queue_dir *dir, const void *data, size_t length)
{
	int fd = openat(queue_dir_fd(dir, QUEUE_LOCK, 0), QUEUE_JOURNAL,
	    O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, data, length), length);
	close(fd);
}

/* "7a 8b" and, when something is wrong, "damaged" behind them. */
static void
expect_view(const char *name, const struct queue_dir *dir, const char *wanted)
{
	struct buf got = BUF_INIT;
	struct journal_view view;
	struct error err;

	if (journal_view_open(dir, &view, &err) == -1)
		fail_msg("%s: %s", name, err.text);
	buf_init(&got);
	for (size_t i = 0; i < view.count; i++)
		buf_addf(&got, "%s%" PRIu64 "%.*s", i > 0 ? " " : "",
		    view.records[i].id, (int)view.records[i].length,
		    view.records[i].envelope);
	if (view.is_damaged)
		buf_adds(&got, " damaged");
	if (strcmp(got.data, wanted) != 0)
		fail_msg("%s: got '%s', wanted '%s'", name, got.data, wanted);
	buf_release(&got);
	journal_view_release(&view);
	assert_null(view.records);
}

static void
what_counts(void **state)
{
	static const struct {
		const char *name, *halves[JOURNAL_HALVES], *wanted;
	} rows[] = {
		{ "new", { "", "" }, "" },
		{ "nothing yet", { "", "1:" }, "" },
		{ "in their order", { "", "1: +9a +7b +8c" }, "9a 7b 8c" },
		{ "over", { "", "1: +9a +7b -9 +8c -8" }, "7b" },
		{ "its number again", { "", "1: +9a +7b -9 +9c" }, "7b 9c" },
		{ "without an end", { "", "1: +9a +7b +9c" }, "7b 9c" },
		{ "an end of nothing", { "", "1: -9 +7b" }, "7b" },
		{ "the other half is newer", { "1: +9a +7b", "2: -9 +8c" },
		    "7b 8c" },
		{ "the other half is older", { "3: -9 +8c", "2: +9a +7b" },
		    "7b 8c" },
		{ "ended there, and new here", { "3: -9 +9c", "2: +9a" },
		    "9c" },
		{ "new there, ended here", { "3: -9", "2: -9 +9a" }, "" },
		{ "an older one behind", { "3: +9a 1:+7b", "2: +8c" },
		    "8c 9a" },
		{ "one that was to be newer", { "3: +9a 4:+7b", "2: +8c" },
		    "8c 9a" },
		{ "a half that was begun anew", { "4: +9a", "2: +8c" }, "9a" },
		{ "the same, the other way", { "1: +9a", "4: +8c" }, "8c" },
		{ "twice the same", { "4: +9a", "4: +8c" }, "8c" },
		{ "something between", { "", "1: +9a ~+7b" }, "9a 7b damaged" },
		{ "something at the front", { "", "1: ~+7b" }, "7b damaged" },
		{ "something behind", { "", "1: +9a +7b ~" }, "9a 7b" },
		{ "an older one between", { "", "3: +9a 1:+7b 3:+8c" },
		    "9a 8c damaged" },
		{ "no such header", { "", "1:! +9a" }, " damaged" },
		{ "one of two headers", { "2: +7b", "1:! +9a" }, "7b damaged" },
	};
	struct queue_dir *dir = make_queue("q", 3);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf file = BUF_INIT;

		buf_reserve(&file, WHOLE);
		memset(file.data, 0, WHOLE);
		for (unsigned half = 0; half < JOURNAL_HALVES; half++)
			write_half(&file, half, rows[i].halves[half]);
		put_journal(dir, file.data, WHOLE);
		expect_view(rows[i].name, dir, rows[i].wanted);
		buf_release(&file);
	}
	queue_dir_close(&dir);
}

/* A file that was cut has what is whole in it. */
static void
cut(void **state)
{
	enum { PLUS = JOURNAL_BEFORE_ENVELOPE + 1 };
	static const struct {
		size_t length;
		const char *wanted;
	} rows[] = {
		{ 0, "" },
		{ JOURNAL_HEADER_BYTES, " damaged" },
		{ JOURNAL_HEADER_BYTES + PLUS - 1, " damaged" },
		{ JOURNAL_HEADER_BYTES + PLUS, "9a damaged" },
		{ JOURNAL_HEADER_BYTES + 2 * PLUS - 1, "9a damaged" },
		{ JOURNAL_HALF_BYTES - 1, "9a 7b damaged" },
		{ JOURNAL_HALF_BYTES + 1, "9a 7b damaged" },
		{ JOURNAL_HALF_BYTES + JOURNAL_HEADER_BYTES + PLUS,
		    "9a 7b 8c damaged" },
		{ WHOLE, "9a 7b 8c" },
	};
	struct queue_dir *dir = make_queue("q", 3);
	struct buf file = BUF_INIT;

	(void)state;
	buf_reserve(&file, WHOLE);
	memset(file.data, 0, WHOLE);
	write_half(&file, 0, "1: +9a +7b");
	write_half(&file, 1, "2: +8c");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%zu bytes", rows[i].length);
		put_journal(dir, file.data, rows[i].length);
		expect_view(name, dir, rows[i].wanted);
	}
	buf_release(&file);
	queue_dir_close(&dir);
}

static void
no_file(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);

	(void)state;
	expect_view("no file", dir, "");
	queue_dir_close(&dir);
}

/* It cannot be told what is in it. */
static void
cannot_read(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0), fd;
	struct journal_view view;
	struct error err;

	(void)state;
	assert_int_equal(symlinkat("other", lock, QUEUE_JOURNAL), 0);
	assert_int_equal(journal_view_open(dir, &view, &err), -1);
	assert_non_null(strstr(err.text, "/q/lock/journal'"));
	assert_int_equal(unlinkat(lock, QUEUE_JOURNAL, 0), 0);
	assert_int_equal(mkdirat(lock, QUEUE_JOURNAL, 0700), 0);
	assert_int_equal(journal_view_open(dir, &view, &err), -1);
	assert_int_equal(unlinkat(lock, QUEUE_JOURNAL, AT_REMOVEDIR), 0);
	/* Larger than any file here may be. */
	put_journal(dir, "", 0);
	fd = openat(lock, QUEUE_JOURNAL, O_WRONLY);
	assert_int_equal(ftruncate(fd, 1LL << 40), 0);
	close(fd);
	assert_int_equal(journal_view_open(dir, &view, &err), -1);
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_file),
		TEST(what_counts),
		TEST(cut),
		TEST(cannot_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
