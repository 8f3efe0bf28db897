/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/queue_orphans.c. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "svctool/check/queue.h"
#include "tests/unit/queue_folder.h"

enum { SPLIT = 3, ORPHAN = 999999999 };

static char root[] = "/home";
static struct home home = { .root = root };
static const struct node node = { .home = &home };

static void
finds_files_of_no_message(void **state)
{
	static const struct {
		enum queue_folder folder;
		const char *path;
	} rows[] = {
		{ QUEUE_TODO, "todo/999999999" },
		{ QUEUE_INTD, "intd/999999999" },
		{ QUEUE_BOUNCE, "bounce/999999999" },
		{ QUEUE_INFO, "info/0/999999999" },
		{ QUEUE_LOCAL, "local/0/999999999" },
		{ QUEUE_REMOTE, "remote/0/999999999" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queue_dir *queue = make_queue("q", SPLIT);
		struct check check = { .node = &node };
		uint64_t id = put_message(queue, "whole");
		char *wanted = xasprintf("%s/%s", queue->path, rows[i].path);

		put_file(queue, rows[i].folder, id, "x", 1);
		put_file(queue, rows[i].folder, ORPHAN, "x", 1);
		check_queue_orphans(&check, queue);
		assert_int_equal(check.errors, 1);
		assert_string_equal(check.findings[0].file, wanted);
		assert_string_equal(
		    check.findings[0].remedy, "svctool queue fix q");
		check_release(&check);
		queue_unlink(queue, rows[i].folder, ORPHAN);
		check_queue_orphans(&check, queue);
		assert_int_equal(check.count, 0);
		check_release(&check);
		free(wanted);
		queue_dir_close(&queue);
	}
}

struct traffic {
	struct queue_dir *queue;
	atomic_bool is_over;
};

/* Messages that come and go under one number, in the order of the queue. */
static void *
run_traffic(void *context)
{
	struct traffic *traffic = context;

	while (!traffic->is_over) {
		put_file(traffic->queue, QUEUE_MESS, ORPHAN, "x", 1);
		put_file(traffic->queue, QUEUE_TODO, ORPHAN, "x", 1);
		queue_unlink(traffic->queue, QUEUE_TODO, ORPHAN);
		queue_unlink(traffic->queue, QUEUE_MESS, ORPHAN);
	}
	return NULL;
}

static void
finds_nothing_in_traffic(void **state)
{
	struct queue_dir *queue = make_queue("q", SPLIT);
	struct traffic traffic = { .queue = queue };
	struct check check = { .node = &node };
	pthread_t thread;

	(void)state;
	assert_int_equal(
	    pthread_create(&thread, NULL, run_traffic, &traffic), 0);
	for (int i = 0; i < 20; i++)
		check_queue_orphans(&check, queue);
	traffic.is_over = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(check.count, 0);
	check_release(&check);
	queue_dir_close(&queue);
}

static void
stops_at_a_crowd(void **state)
{
	struct queue_dir *queue = make_queue("q", SPLIT);
	struct check check = { .node = &node };

	(void)state;
	for (uint64_t i = 0; i < 3 * CHECK_CROWD_MAX; i++)
		put_file(queue, QUEUE_TODO, ORPHAN + i, "x", 1);
	check_queue_orphans(&check, queue);
	assert_int_equal(check.errors, CHECK_CROWD_MAX);
	check_release(&check);
	queue_dir_close(&queue);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    finds_files_of_no_message, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    finds_nothing_in_traffic, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    stops_at_a_crowd, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
