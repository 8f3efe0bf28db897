/* SPDX-License-Identifier: ISC */
/* Tests of queue/send_backlog.c: what a scan finds too late, or too early. */
#include "queue/send.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/eventfd.h>

#include "base/mem.h"
#include "tests/unit/queue_folder.h"

enum { ID = 100, FIRST_ID = 1000, JOURNAL_BYTES = 1024 * 1024 };

static struct send send;
static int wake_fd;

static void
open_send(void)
{
	struct intake_options options = { .body_max_bytes = 65536 };
	struct error err = { "" };

	send = (struct send){ .first_id = FIRST_ID, .next_id = FIRST_ID };
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	send.dir = make_queue("q", 3);
	assert_int_equal(mkdir(folder_path("control"), 0700), 0);
	folder_write("control/me", "a.test\n", 7);
	folder_write("control/journalsize", "1048576\n", 8);
	send.settings = settings_load(
	    folder_path("control"), "qmail-send", NULL, &err);
	if (send.settings == NULL)
		fail_msg("%s", err.text);
	TAILQ_INIT(&send.active);
	send.recent = recent_new();
	send.lanes = lane_table_new(10);
	send.helpers = work_pool_new(1, wake_fd);
	send.bodies = work_pool_new(1, wake_fd);
	send.loop = loop_new();
	options.loop = send.loop;
	options.dir = send.dir;
	options.bodies = send.bodies;
	send.intake = intake_open(&send, &options, &err);
	if (send.intake == NULL)
		fail_msg("%s", err.text);
}

static void
close_send(void)
{
	intake_close(&send.intake);
	work_pool_free(&send.helpers);
	work_pool_free(&send.bodies);
	backlog_close(&send);
	lane_table_free(&send.lanes);
	loop_free(&send.loop);
	recent_free(&send.recent);
	settings_free(&send.settings);
	queue_dir_close(&send.dir);
	close(wake_fd);
}

/* The first whole scan, to its end. */
static void
end_scan(void)
{
	send.health.state = HEALTH_STARTING;
	while (send.health.state == HEALTH_STARTING)
		loop_wait(send.loop, -1);
}

/* It counts no less than not at all, after that. */
static void
counts_what_ends_before_it_is_found(void **state)
{
	enum lane_kind kind;
	struct error err;
	uint64_t id;

	(void)state;
	open_send();
	put_file(send.dir, QUEUE_INFO, ID, "Fa@a.test", 10);
	put_file(send.dir, QUEUE_LOCAL, ID, "Tb@a.test", 10);
	put_file(send.dir, QUEUE_REMOTE, ID, "Tc@b.test", 10);
	assert_int_equal(backlog_open(&send, &err), 0);
	/* As it comes to S5, is tried again, and is over. */
	backlog_set_split(&send, ID, true);
	backlog_add_retry(&send, ID, ROUTE_LOCAL, 1, NULL);
	backlog_add_retry(&send, ID, ROUTE_REMOTE, 1, NULL);
	assert_int_equal(backlog_count(&send), 1);
	while (lane_take(send.lanes, time(NULL), NULL, NULL, &id, &kind))
		continue;
	backlog_set_split(&send, ID, false);
	end_scan();
	assert_int_equal(backlog_count(&send), 0);
	close_send();
}

/*
 * What this process makes is known as long as its commit is under way, and then
 * if that succeeds: a file that is taken back must not make it known.
 */
static void
knows_no_own_message_by_its_file(void **state)
{
	static const struct uuid old = { { 1 } }, own = { { 2 } };
	static const uint64_t ids[] = { ID, FIRST_ID };
	const char *recipients[20000];
	struct envelope envelope = { .sender = "",
		.header = "",
		.notes = "",
		.recipients = recipients,
		.recipient_count = 20000 };
	struct error err;
	size_t i;

	(void)state;
	open_send();
	for (i = 0; i < envelope.recipient_count; i++)
		recipients[i] = "b@a.test";
	for (i = 0; i < 2; i++) {
		struct buf record = BUF_INIT;

		envelope.uuid = i == 0 ? old : own;
		envelope_format(&record, &envelope);
		assert_true(record.length > JOURNAL_BYTES / 16);
		put_file(send.dir, QUEUE_MESS, ids[i], "x", 1);
		put_file(
		    send.dir, QUEUE_TODO, ids[i], record.data, record.length);
		buf_release(&record);
	}
	assert_int_equal(backlog_open(&send, &err), 0);
	end_scan();
	assert_true(backlog_has_seen_todo(&send));
	assert_int_equal(recent_find(send.recent, &old), ID);
	assert_int_equal(recent_find(send.recent, &own), 0);
	close_send();
}

/* Who stops waits for nothing of it, and frees what such work would be with. */
static void
begins_nothing_at_the_end(void **state)
{
	struct error err;

	(void)state;
	open_send();
	put_file(send.dir, QUEUE_INFO, ID, "Fa@a.test", 10);
	backlog_hold(&send, ID);
	assert_int_equal(backlog_open(&send, &err), 0);
	end_scan();
	send.is_stopping = true;
	backlog_let_go(&send, ID);
	assert_int_equal(send.jobs_running, 0);
	assert_int_equal(send.active_count, 0);
	close_send();
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_what_ends_before_it_is_found),
		TEST(knows_no_own_message_by_its_file),
		TEST(begins_nothing_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
