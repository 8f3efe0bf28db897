/* SPDX-License-Identifier: ISC */
/* Tests of queue/send_message.c: which messages are taken into memory. */
#include "queue/send.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/eventfd.h>

#include "tests/unit/queue_folder.h"

/* qmail-send's state without workers: what is taken up waits for one. */
struct bench {
	struct send send;
	int wake_fd;
};

static void
open_bench(struct bench *bench)
{
	struct send *send = &bench->send;
	enum route_channel channel;
	struct error err = { "" };

	*bench = (struct bench){ .send.active_max = 100 };
	folder_write("me", "me.test\n", 8);
	folder_write("locals", "here.test\n", 10);
	send->dir = make_queue("q", 3);
	send->settings = settings_load(folder, "qmail-send", "q", &err);
	if (send->settings == NULL)
		fail_msg("%s", err.text);
	send->route = route_new(send->settings, &err);
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		send->waiting_end[channel] = &send->waiting[channel];
	send->spares = spare_pool_new(send->dir, 8);
	send->loop = loop_new();
	bench->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	send->committer = committer_new(
	    send->dir, send->spares, NULL, bench->wake_fd);
	if (backlog_open(send, &err) == -1)
		fail_msg("%s", err.text);
}

static void
close_bench(struct bench *bench)
{
	struct send *send = &bench->send;

	committer_free(&send->committer);
	while (send->active != NULL)
		message_free(send, send->active);
	assert_int_equal(send->active_bytes, 0);
	backlog_close(send);
	idmap_release(&send->active_ids);
	spare_pool_free(&send->spares);
	loop_free(&send->loop);
	route_free(&send->route);
	settings_free(&send->settings);
	queue_dir_close(&send->dir);
	close(bench->wake_fd);
}

static void
room(void **state)
{
	static const struct {
		const char *name;
		size_t count, bytes;
		bool wanted;
	} rows[] = {
		{ "empty", 0, 0, true },
		{ "some", 9, 999, true },
		{ "as many as may be", 10, 0, false },
		{ "as large as may be", 1, 1000, false },
		{ "larger", 9, 5000, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct send send = { .active_count = rows[i].count,
			.active_max = 10,
			.active_bytes = rows[i].bytes,
			.active_bytes_max = 1000 };

		if (message_has_room(&send) != rows[i].wanted)
			fail_msg("%s", rows[i].name);
	}
}

/* A message in S4 with so many recipients, as a commit leaves it. */
static uint64_t
put_todo(struct bench *bench, unsigned recipient_count, struct buf *record)
{
	uint64_t id = put_message(bench->send.dir, "x");

	buf_add(record, "u1\0p2\0Fs@x", 11);
	for (unsigned i = 0; i < recipient_count; i++) {
		buf_addf(record, "T%0900d@here.test", 0);
		buf_addc(record, '\0');
	}
	put_file(bench->send.dir, QUEUE_TODO, id, record->data, record->length);
	return id;
}

static void
take_new(struct bench *bench, unsigned recipient_count)
{
	struct buf record = BUF_INIT;
	uint64_t id = put_todo(bench, recipient_count, &record);
	struct commit_job *job = commit_job_new(COMMIT_NEW, id);

	message_new(&bench->send, job, &record, 0);
	buf_release(&record);
	commit_job_free(&job);
}

/*
 * Envelopes that are large in memory wait in todo/ while there are others, also
 * those that an earlier process left there, and each comes to its turn.
 */
static void
large_ones_wait(void **state)
{
	enum { RECIPIENTS = 30, LEFT = 3, BYTES_MAX = 20000 };
	struct bench bench;
	struct send *send = &bench.send;

	(void)state;
	open_bench(&bench);
	send->active_bytes_max = BYTES_MAX;
	take_new(&bench, RECIPIENTS);
	assert_int_equal(send->active_count, 1); /* alone it may */
	assert_true(send->active_bytes > send->active_bytes_max);
	take_new(&bench, 1);
	assert_int_equal(send->active_count, 1);
	assert_int_equal(backlog_todo_count(send), 1);
	for (unsigned i = 0; i < LEFT; i++) {
		struct buf record = BUF_INIT;

		backlog_add_todo(send, put_todo(&bench, RECIPIENTS, &record));
		buf_release(&record);
	}
	backlog_run(send);
	assert_int_equal(send->active_count, 1);
	assert_int_equal(backlog_todo_count(send), 1 + LEFT);
	assert_int_equal(backlog_timeout_ms(send), -1); /* no busy loop */
	message_free(send, send->active);
	assert_int_equal(send->active_bytes, 0);
	backlog_run(send);
	assert_int_equal(send->active_count, 2); /* the small one, and one */
	assert_int_equal(backlog_todo_count(send), LEFT - 1);
	close_bench(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room),
		TEST(large_ones_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
