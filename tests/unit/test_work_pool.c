/* SPDX-License-Identifier: ISC */
/* Tests of base/work_pool.c. */
#include "base/work_pool.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { COUNT = 200, WAIT_MS = 10000 };

struct piece {
	struct work work;
	int runs, dones;
	int order; /* of its run */
	pthread_t runner;
	struct work_pool *pool;
	struct piece *next; /* is posted by done */
};

static int wake_fd;
static int last_order; /* with one thread only */

static int
setup(void **state)
{
	(void)state;
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	last_order = 0;
	return wake_fd == -1;
}

static int
teardown(void **state)
{
	(void)state;
	return close(wake_fd);
}

static void
run_piece(struct work *work)
{
	struct piece *piece = (struct piece *)work;

	piece->runs++;
	piece->order = ++last_order;
	piece->runner = pthread_self();
}

static void
piece_done(struct work *work)
{
	struct piece *piece = (struct piece *)work;

	piece->dones++;
	if (piece->next != NULL)
		work_pool_post(
		    piece->pool, &piece->next->work, run_piece, piece_done);
}

static void
init_piece(struct piece *piece, struct work_pool *pool)
{
	*piece = (struct piece){ .pool = pool };
}

static void
reap_all(struct work_pool *pool)
{
	while (work_pool_count(pool) > 0) {
		struct pollfd in = { .fd = wake_fd, .events = POLLIN };
		uint64_t count;

		assert_int_equal(poll(&in, 1, WAIT_MS), 1);
		assert_int_equal(read(wake_fd, &count, 8), 8);
		work_pool_reap(pool);
	}
}

static void
each_once_in_order(void **state)
{
	static struct piece pieces[COUNT];
	struct work_pool *pool = work_pool_new(1, wake_fd);

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		init_piece(&pieces[i], pool);
		work_pool_post(pool, &pieces[i].work, run_piece, piece_done);
	}
	reap_all(pool);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(pieces[i].runs, 1);
		assert_int_equal(pieces[i].dones, 1);
		assert_int_equal(pieces[i].order, i + 1);
		assert_false(pthread_equal(pieces[i].runner, pthread_self()));
	}
	work_pool_free(&pool);
	assert_null(pool);
}

/* Also what done posts while the pool ends: else it would never be done. */
static void
all_before_the_end(void **state)
{
	static struct piece pieces[COUNT];
	struct work_pool *pool = work_pool_new(1, wake_fd);

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		init_piece(&pieces[i], pool);
		if (i > 0)
			pieces[i - 1].next = &pieces[i];
	}
	work_pool_post(pool, &pieces[0].work, run_piece, piece_done);
	work_pool_free(&pool);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(pieces[i].runs, 1);
		assert_int_equal(pieces[i].dones, 1);
	}
}

#define POOL_TEST(function) \
	cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(each_once_in_order),
		POOL_TEST(all_before_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
