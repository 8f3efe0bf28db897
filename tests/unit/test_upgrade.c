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

static uint32_t
sum(const char *data, size_t length)
{
	return (uint32_t)crc32(0, (const Bytef *)data, (uInt)length);
}

/* One envelope, of message 6. */
static void
put_old_record(char *at)
{
	struct buf record = BUF_INIT;
	uint32_t number;

	wire_put_u32(&record, 0); /* the sum, below */
	wire_put_u32(&record, 0); /* the length */
	wire_put_u64(&record, 1); /* the generation */
	wire_put_u8(&record, '+');
	wire_put_u64(&record, 6);
	wire_put_u64(&record, 4);
	wire_put_u64(&record, 1764000000);
	wire_put_bytes(&record, "u7\0p8\0Fs@x\0Ta@y", 16);
	number = (uint32_t)record.length - 8;
	memcpy(record.data + 4, &number, 4);
	number = sum(record.data + 4, record.length - 4);
	memcpy(record.data, &number, 4);
	memcpy(at, record.data, record.length);
	buf_release(&record);
}

/* lock/journal of the first release, with one envelope or none. */
static void
put_old_journal(bool has_mail)
{
	static char file[2 * OLD_HALF];
	struct buf header = BUF_INIT;

	memset(file, 0, sizeof(file));
	buf_adds(&header, "mqmail journal 1\n");
	wire_put_u64(&header, 1);
	wire_put_u32(&header, sum(header.data, header.length));
	memcpy(file, header.data, header.length);
	buf_release(&header);
	if (has_mail)
		put_old_record(file + OLD_HEADER);
	folder_write("q/lock/journal", file, sizeof(file));
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(spares_go),
		TEST(told_and_left),
		TEST(not_with_mail_in_the_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
