/* SPDX-License-Identifier: ISC */
/* Tests of queue/upgrade.c. */
#include "queue/upgrade.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <zlib.h>

#include "base/packet.h"
#include "base/wire.h"
#include "tests/unit/queue_folder.h"

enum { OLD_HALF = 2 * 1024 * 1024, OLD_HEADER = 512 };

static void
put_pid(const char *name)
{
	char path[60];

	snprintf(path, sizeof(path), "q/pid/%s", name);
	folder_write(path, "old", 3);
}

static void
put_old_record(struct buf *buf, uint64_t generation, bool is_end, uint64_t id)
{
	size_t start = buf->length;
	uint32_t sum, length;

	wire_put_u32(buf, 0);
	wire_put_u32(buf, 0);
	wire_put_u64(buf, generation);
	wire_put_u8(buf, is_end ? '-' : '+');
	wire_put_u64(buf, id);
	if (!is_end) {
		wire_put_u64(buf, 5);
		wire_put_u64(buf, 1000);
		wire_put_bytes(buf, "u0\0", 3);
	}
	length = (uint32_t)(buf->length - start - 8);
	memcpy(buf->data + start + 4, &length, 4);
	sum = (uint32_t)crc32(
	    0, (const Bytef *)buf->data + start + 4, length + 4);
	memcpy(buf->data + start, &sum, 4);
}

/* lock/journal of the first release, with one envelope or none. */
static void
put_old_journal(bool has_mail)
{
	struct buf file = BUF_INIT;

	buf_adds(&file, "mqmail journal 1\n");
	wire_put_u64(&file, 1);
	while (file.length < OLD_HEADER)
		buf_addc(&file, '\0');
	if (has_mail)
		put_old_record(&file, 1, false, 6);
	while (file.length < 2 * OLD_HALF)
		buf_addc(&file, '\0');
	folder_write("q/lock/journal", file.data, file.length);
	buf_release(&file);
}

static void
spares_go(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct error err = { "" };
	int fd;

	(void)state;
	/* A pair; half of one; a message that has got its envelope. */
	put_file(dir, QUEUE_MESS, 6, "spare", 5);
	put_pid("6.e");
	put_pid("7.e");
	put_file(dir, QUEUE_MESS, 8, "todo", 4);
	put_file(dir, QUEUE_TODO, 8, "todo", 4);
	put_pid("8.e");
	put_file(dir, QUEUE_MESS, 9, "info", 4);
	put_file(dir, QUEUE_INFO, 9, "info", 4);
	put_pid("9.e");
	/* What is no spare file. */
	put_file(dir, QUEUE_MESS, 10, "S2", 2);
	put_pid("123.1764000000.1");
	put_pid("0.e");
	put_pid(".e");
	put_pid("x.e");
	fd = packet_listen(folder_path("q/lock/workers"), 0600, &err);
	assert_int_not_equal(fd, -1);
	close(fd);
	put_old_journal(false);

	if (queue_drop_spares(dir, NULL, &err) == -1)
		fail_msg("%s", err.text);
	assert_false(has_file(dir, QUEUE_MESS, 6, ""));
	for (uint64_t id = 6; id <= 9; id++)
		assert_false(has_file(dir, QUEUE_PID, id, ".e"));
	EXPECT_FILE(dir, QUEUE_MESS, 8, "todo");
	EXPECT_FILE(dir, QUEUE_TODO, 8, "todo");
	EXPECT_FILE(dir, QUEUE_MESS, 9, "info");
	EXPECT_FILE(dir, QUEUE_INFO, 9, "info");
	EXPECT_FILE(dir, QUEUE_MESS, 10, "S2");
	assert_int_equal(
	    access(folder_path("q/pid/123.1764000000.1"), F_OK), 0);
	assert_int_equal(access(folder_path("q/pid/0.e"), F_OK), 0);
	assert_int_equal(access(folder_path("q/pid/.e"), F_OK), 0);
	assert_int_equal(access(folder_path("q/pid/x.e"), F_OK), 0);
	assert_int_equal(access(folder_path("q/lock/workers"), F_OK), -1);
	assert_int_equal(access(folder_path("q/lock/journal"), F_OK), -1);
	queue_dir_close(&dir);
}

static void
count_said(const char *name, void *context)
{
	assert_true(
	    strcmp(name, "mess/1/6") == 0 || strcmp(name, "pid/6.e") == 0);
	++*(unsigned *)context;
}

static void
told_and_left(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	unsigned said = 0;
	const struct upgrade_options options = {
		.is_test = true, .say = count_said, .context = &said
	};

	(void)state;
	put_file(dir, QUEUE_MESS, 6, "spare", 5);
	put_pid("6.e");
	assert_int_equal(queue_drop_spares(dir, &options, NULL), 0);
	assert_int_equal(said, 2);
	assert_true(has_file(dir, QUEUE_MESS, 6, ""));
	assert_true(has_file(dir, QUEUE_PID, 6, ".e"));
	queue_dir_close(&dir);
}

/* With mail in that journal, what looks like a spare file may be its body. */
static void
not_with_mail_in_the_journal(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct error err = { "" };

	(void)state;
	put_file(dir, QUEUE_MESS, 6, "body", 4);
	put_pid("6.e");
	put_old_journal(true);
	assert_int_equal(queue_drop_spares(dir, NULL, &err), -1);
	assert_non_null(strstr(err.text, "older release"));
	EXPECT_FILE(dir, QUEUE_MESS, 6, "body");
	assert_int_equal(access(folder_path("q/lock/journal"), F_OK), 0);
	queue_dir_close(&dir);
}

static void
old_journal(void **state)
{
	static const struct {
		const char *name;
		uint64_t generations[2];
		int ids[2][3]; /* negative: its end */
		bool counts;
	} cases[] = {
		{ "empty", { 7, 8 }, { { 0 }, { 0 } }, false },
		{ "mail", { 7, 8 }, { { 1 }, { 0 } }, true },
		{ "in the other", { 7, 8 }, { { 0 }, { 1 } }, true },
		{ "ended", { 7, 8 }, { { 1, -1 }, { 0 } }, false },
		{ "ended in the other", { 8, 7 }, { { -1, 2, -2 }, { 1 } },
		    false },
		{ "one of two", { 7, 8 }, { { 1, 2 }, { -1 } }, true },
		{ "of old", { 7, 9 }, { { 1 }, { 2, -2 } }, false },
		{ "one half", { 0, 1 }, { { 0 }, { 1 } }, true },
	};
	struct queue_dir *dir = make_bare_queue("q", 1);
	int lock = queue_dir_fd(dir, QUEUE_LOCK, 0);
	struct error err;
	size_t i, half, at;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf file = BUF_INIT;
		int result;

		for (half = 0; half < 2; half++) {
			uint64_t generation = cases[i].generations[half];

			if (generation != 0) {
				buf_adds(&file, "mqmail journal 1\n");
				wire_put_u64(&file, generation);
			}
			while (file.length < half * OLD_HALF + OLD_HEADER)
				buf_addc(&file, '\0');
			for (at = 0; at < 3; at++)
				if (cases[i].ids[half][at] != 0)
					put_old_record(&file, generation,
					    cases[i].ids[half][at] < 0,
					    (uint64_t)abs(
						cases[i].ids[half][at]));
			while (half == 0 && file.length < OLD_HALF)
				buf_addc(&file, '\0');
		}
		folder_write("q/lock/journal", file.data, file.length);
		buf_release(&file);
		result = queue_drop_spares(dir, NULL, &err);
		if (result != (cases[i].counts ? -1 : 0))
			fail_msg("%s: %d", cases[i].name, result);
		assert_int_equal(
		    faccessat(lock, "journal", F_OK, 0), result == 0 ? -1 : 0);
		if (result == -1)
			assert_non_null(strstr(err.text, "queue-fix"));
	}
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(spares_go),
		TEST(told_and_left),
		TEST(not_with_mail_in_the_journal),
		TEST(old_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
