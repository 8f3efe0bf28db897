/* SPDX-License-Identifier: ISC */
/* Tests of queue/journal_scan.h. */
#include "queue/journal_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/journal_record.h"
#include "tests/unit/bare_queue.h"
#include "tests/unit/journal_found.h"

enum { PAGE = JOURNAL_PAGE_BYTES, PAGES = 8 };

static struct queue_dir *dir;

/* -- segments made by hand */

static struct buf segment;
static uint64_t generation;

static void
begin_segment(uint32_t count, uint32_t chance, uint64_t next_id)
{
	generation = (uint64_t)count << 32 | chance;
	buf_reset(&segment);
	journal_put_header(&segment, generation, next_id);
}

static uint32_t
page(void)
{
	while (segment.length % PAGE != 0)
		buf_addc(&segment, '\0');
	return (uint32_t)(segment.length / PAGE);
}

static void
put_new(uint64_t id, const char *record, const char *body)
{
	struct journal_record message = { .type = JOURNAL_NEW,
		.page = page(),
		.message = { .id = id,
		    .birth_s = 77,
		    .size_bytes = body == NULL ? 999 : strlen(body),
		    .record = record,
		    .record_length = strlen(record),
		    .body = body } };

	journal_put_record(&segment, generation, &message);
}

static void
put_over(uint64_t id, enum journal_type type)
{
	struct journal_record over = {
		.type = type, .page = page(), .message = { .id = id }
	};

	journal_put_record(&segment, generation, &over);
}

static void
write_segment(unsigned place)
{
	char name[64];

	page();
	while (segment.length < (size_t)PAGES * PAGE)
		buf_addc(&segment, '\0');
	snprintf(name, sizeof(name), "q/lock/journal.%u", place);
	folder_write(name, segment.data, segment.length);
}

/* Message id in its generation's place, and nothing else. */
static void
put_segment(uint32_t count, uint64_t id)
{
	begin_segment(count, 5, id);
	put_new(id, "Fr", "body");
	write_segment(count % JOURNAL_SEGMENTS);
}

static void
expect_view(const char *name, const char *wanted, bool is_damaged)
{
	struct journal_view view;
	struct error err = { "" };
	char text[256] = "";
	size_t i, at = 0;

	if (journal_view_open(dir, &view, &err) == -1)
		fail_msg("%s: %s", name, err.text);
	for (i = 0; i < view.count; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "%s%" PRIu64, i == 0 ? "" : " ", view.messages[i].id);
	if (strcmp(text, wanted) != 0)
		fail_msg("%s: '%s', not '%s'", name, text, wanted);
	if (view.is_damaged != is_damaged)
		fail_msg("%s: damaged: %d", name, view.is_damaged);
	journal_view_release(&view);
}

static int
setup(void **state)
{
	if (folder_setup(state) != 0)
		return -1;
	dir = make_bare_queue("q", 1);
	return 0;
}

static int
teardown(void **state)
{
	queue_dir_close(&dir);
	buf_release(&segment);
	return folder_teardown(state);
}

/* -- tests */

static void
empty(void **state)
{
	(void)state;
	expect_view("no journal", "", false);
	folder_write("q/lock/journal.0", "", 0);
	expect_view("an empty file", "", false);
	begin_segment(1, 5, 1);
	write_segment(1);
	expect_view("nothing in it", "", false);
	memset(segment.data, 0, segment.length);
	write_segment(2);
	expect_view("one of zeros", "", false);
}

static void
texts(void **state)
{
	struct journal_view view;
	struct error err;

	(void)state;
	begin_segment(1, 5, 1);
	put_new(3, "Fa", "one\n");
	put_new(4, "Fbb", NULL);
	put_new(5, "Fccc", "");
	put_new(6, "Fdddd", "four\n");
	put_over(3, JOURNAL_END);
	write_segment(1);
	assert_int_equal(journal_view_open(dir, &view, &err), 0);
	assert_int_equal(view.count, 3);
	assert_int_equal(view.messages[0].id, 4);
	assert_int_equal(view.messages[0].record_length, 3);
	assert_memory_equal(view.messages[0].record, "Fbb", 3);
	assert_null(view.messages[0].body);
	assert_int_equal(view.messages[0].size_bytes, 999);
	assert_int_equal(view.messages[0].birth_s, 77);
	assert_memory_equal(view.messages[1].record, "Fccc", 4);
	assert_non_null(view.messages[1].body);
	assert_int_equal(view.messages[1].size_bytes, 0);
	assert_memory_equal(view.messages[2].record, "Fdddd", 5);
	assert_memory_equal(view.messages[2].body, "four\n", 5);
	journal_view_release(&view);
	assert_null(view.messages);
}

/* The ring: four segments count, the oldest first. */
static void
generations(void **state)
{
	(void)state;
	put_segment(9, 90);
	expect_view("one", "90", false);
	put_segment(7, 70);
	put_segment(8, 80);
	put_segment(6, 60);
	expect_view("four", "60 70 80 90", false);
	/* 10 has come to the place of 6, and failed; 11 to that of 7. */
	put_segment(11, 110);
	expect_view("one was not written", "80 90 110", false);
	begin_segment(11, 5, 1);
	put_over(60, JOURNAL_END);
	put_over(80, JOURNAL_WITHDRAWN);
	put_over(90, JOURNAL_END);
	put_new(110, "Fr", "body");
	put_over(110, JOURNAL_END);
	write_segment(3);
	expect_view("ends", "", false);
	/* In a place that is another one's. */
	begin_segment(12, 5, 1);
	put_new(120, "Fr", "body");
	write_segment(3);
	expect_view("not its place", "60 80 90", true);
}

/* Where the header is lost the first record says what it was. */
static void
lost_header(void **state)
{
	static const char *const wanted[] = { "60 80 90", "60 70 80 90" };
	int is_there;

	(void)state;
	for (is_there = 0; is_there < 2; is_there++) {
		put_segment(6, 60);
		put_segment(8, 80);
		put_segment(9, 90);
		put_segment(7, 70);
		memset(segment.data, is_there ? 0 : 0xe5, PAGE);
		if (!is_there)
			memset(segment.data + PAGE, 0xe5, 40);
		else
			segment.data[3] = 'x';
		write_segment(3);
		expect_view("header", wanted[is_there], true);
	}
}

static void
damaged(void **state)
{
	(void)state;
	begin_segment(1, 5, 1);
	put_new(1, "Fr", "body");
	put_new(2, "Fr", "body");
	put_new(3, "Fr", "body");
	segment.data[2 * PAGE + 50] ^= 1;
	write_segment(1);
	expect_view("in front of another", "1 3", true);
	segment.data[2 * PAGE + 50] ^= 1;
	segment.data[3 * PAGE + 50] ^= 1;
	write_segment(1);
	expect_view("at the end", "1 2", false);
	folder_write("q/lock/journal.1", segment.data, 2 * PAGE + 20);
	expect_view("cut", "1", false);
	folder_write("q/lock/journal.1", segment.data, 100);
	expect_view("cut in its header", "", true);
	folder_write("q/lock/journal.1", "something else", 14);
	expect_view("no segment", "", true);
	unlinkat(queue_dir_fd(dir, QUEUE_LOCK, 0), "journal.1", 0);
	begin_segment(0, 5, 1); /* generations count from 1 */
	put_new(1, "Fr", "body");
	write_segment(0);
	expect_view("of no generation", "", true);
}

/* A mail's body has what could be records, and lies behind a bad place. */
static void
forged(void **state)
{
	struct journal_record end = {
		.type = JOURNAL_END, .page = 1, .message = { .id = 1 }
	};
	struct journal_record new = { .type = JOURNAL_NEW,
		.page = 1,
		.message = { .id = 9, .record = "", .body = "" } };
	struct buf body = BUF_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < 20; i++) {
		journal_put_record(&body, (uint64_t)1 << 32 | i, &end);
		journal_put_record(&body, (uint64_t)1 << 32 | i, &new);
	}
	begin_segment(1, 0x12345678, 1);
	put_new(1, "Fr", "body");
	new.page = page();
	new.message.id = 2;
	new.message.body = body.data;
	new.message.size_bytes = body.length;
	journal_put_record(&segment, generation, &new);
	put_new(3, "Fr", "body");
	write_segment(1);
	expect_view("whole", "1 2 3", false);
	segment.data[2 * PAGE + 10] ^= 1;
	write_segment(1);
	expect_view("damaged", "1 3", true);
	buf_release(&body);
}

static void
cannot(void **state)
{
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0);
	struct journal_view view;
	struct error err;

	(void)state;
	assert_int_equal(symlinkat("elsewhere", lock, "journal.3"), 0);
	assert_int_equal(journal_view_open(dir, &view, &err), -1);
	assert_non_null(strstr(err.text, "q/lock/journal.3"));
	assert_null(view.messages);
	unlinkat(lock, "journal.3", 0);
	assert_int_equal(symlinkat("elsewhere", lock, "journal"), 0);
	assert_int_equal(journal_view_open(dir, &view, &err), -1);
	assert_non_null(strstr(err.text, "q/lock/journal"));
}

static void
kept_names(void **state)
{
	(void)state;
	assert_true(queue_is_kept("journal.damaged.1"));
	assert_true(queue_is_kept("envelope.12"));
	assert_false(queue_is_kept("journal.1"));
	assert_false(queue_is_kept("journal"));
}

#define VIEW_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		VIEW_TEST(empty),
		VIEW_TEST(texts),
		VIEW_TEST(generations),
		VIEW_TEST(lost_header),
		VIEW_TEST(damaged),
		VIEW_TEST(forged),
		VIEW_TEST(cannot),
		VIEW_TEST(kept_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
