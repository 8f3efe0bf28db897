/* SPDX-License-Identifier: ISC */
/* Tests of the queue collections that a sink_pool keeps (queue/sink.h). */
#include "queue/sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/packet.h"
#include "queue/exitcode.h"
#include "tests/unit/folder.h"

enum { HELD_MAX = 64, MANY = 200 };

static struct sink_pool *pool;
static int queue_fd; /* the intake of the one queue; it answers nothing */

static int
setup(void **state)
{
	struct sink_options options = { .queue_base = folder,
		.queue_count = 1,
		.queue_start = 1,
		.slice_ms = 100,
		.timeout_ms = 1000 };
	char path[128];
	struct error err;

	if (folder_setup(state) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/queue1", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/queue1/lock", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/queue1/lock/intake", folder);
	queue_fd = packet_listen(path, 0600, &err);
	if (queue_fd == -1)
		fail_msg("%s", err.text);
	pool = sink_pool_new(&options);
	return 0;
}

static int
teardown(void **state)
{
	sink_pool_free(&pool);
	close(queue_fd);
	return folder_teardown(state);
}

/* Each number names a collection of its own, of the same queue. */
static int
open_sink(unsigned number, struct sink **sink_out)
{
	static struct vars vars[MANY]; /* they must outlive the sinks */
	char text[20];

	snprintf(text, sizeof(text), "%u", number);
	vars_set(&vars[number], "MIN_FREE", text);
	return sink_open(pool, &vars[number], NULL, sink_out);
}

static void
many_collections_one_after_the_other(void **state)
{
	struct sink *sink;
	unsigned i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		int result = open_sink(i, &sink);

		if (result != QQ_OK)
			fail_msg("collection %u: %d", i, result);
		sink_abort(&sink);
	}
}

static void
collections_in_use_stay(void **state)
{
	struct sink *sinks[HELD_MAX], *again, *other;
	unsigned i;

	(void)state;
	for (i = 0; i < HELD_MAX; i++)
		assert_int_equal(open_sink(i, &sinks[i]), QQ_OK);
	assert_int_equal(open_sink(HELD_MAX, &other), QQ_BAD_CONFIG);
	assert_null(other);
	/* One of them by two sinks: it stays when one ends. */
	assert_int_equal(open_sink(7, &again), QQ_OK);
	sink_abort(&again);
	assert_int_equal(open_sink(HELD_MAX, &other), QQ_BAD_CONFIG);
	sink_abort(&sinks[7]);
	assert_int_equal(open_sink(HELD_MAX, &other), QQ_OK);
	assert_int_equal(open_sink(7, &sinks[7]), QQ_BAD_CONFIG);
	sink_abort(&other);
	assert_int_equal(open_sink(7, &sinks[7]), QQ_OK);
	for (i = 0; i < HELD_MAX; i++)
		sink_abort(&sinks[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    many_collections_one_after_the_other, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    collections_in_use_stay, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
