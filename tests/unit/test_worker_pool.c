/* SPDX-License-Identifier: ISC */
/* Tests of base/worker_pool.h. */
#include "base/worker_pool.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { STACK = 256 * 1024 };

/* Jobs that meet: none ends before all have begun. */
struct meeting {
	pthread_barrier_t barrier;
	atomic_uint done;
};

static void
meet(void *argument)
{
	struct meeting *meeting = argument;

	pthread_barrier_wait(&meeting->barrier);
	atomic_fetch_add(&meeting->done, 1);
}

/* Every job has a thread at once, with few idle threads or many. */
static void
test_all_at_once(void **state)
{
	static const unsigned idle[] = { 0, 1, 5, 100 };
	enum { JOBS = 20, ROUNDS = 5 };
	size_t i, round, job;

	(void)state;
	for (i = 0; i < sizeof(idle) / sizeof(idle[0]); i++) {
		struct worker_pool *pool = worker_pool_new(STACK, idle[i]);
		struct meeting meetings[ROUNDS];

		for (round = 0; round < ROUNDS; round++) {
			atomic_init(&meetings[round].done, 0);
			pthread_barrier_init(
			    &meetings[round].barrier, NULL, JOBS);
			for (job = 0; job < JOBS; job++)
				assert_int_equal(worker_pool_run(pool, meet,
						     &meetings[round]),
				    0);
		}
		worker_pool_free(&pool); /* waits for all of them */
		assert_null(pool);
		for (round = 0; round < ROUNDS; round++) {
			assert_int_equal(
			    atomic_load(&meetings[round].done), JOBS);
			pthread_barrier_destroy(&meetings[round].barrier);
		}
	}
}

struct visit {
	pthread_t thread;
	bool is_blocked; /* SIGTERM */
	sem_t *is_over;
};

static void
visit(void *argument)
{
	struct visit *self = argument;
	sigset_t blocked;

	self->thread = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	self->is_blocked = sigismember(&blocked, SIGTERM) == 1 &&
	    sigismember(&blocked, SIGHUP) == 1;
	sem_post(self->is_over);
}

static void
test_signals_and_reuse(void **state)
{
	enum { VISITS = 200 };
	struct worker_pool *pool = worker_pool_new(STACK, 4);
	struct visit visits[VISITS];
	size_t i, reused = 0;
	sem_t is_over;

	(void)state;
	sem_init(&is_over, 0, 0);
	for (i = 0; i < VISITS; i++) {
		visits[i].is_over = &is_over;
		assert_int_equal(worker_pool_run(pool, visit, &visits[i]), 0);
		assert_int_equal(sem_wait(&is_over), 0);
		assert_true(visits[i].is_blocked);
		if (i > 0 &&
		    pthread_equal(visits[i].thread, visits[i - 1].thread))
			reused++;
		/* else: the thread was not idle yet when the job came */
	}
	assert_true(reused > 0);
	worker_pool_free(&pool);
	sem_destroy(&is_over);
}

static void
test_no_thread(void **state)
{
	/* a stack that does not fit into any address space */
	struct worker_pool *pool = worker_pool_new((size_t)1 << 50, 4);
	struct meeting meeting;

	(void)state;
	atomic_init(&meeting.done, 0);
	errno = 0;
	assert_int_equal(worker_pool_run(pool, meet, &meeting), -1);
	assert_true(errno == EAGAIN || errno == ENOMEM);
	worker_pool_free(&pool);
	assert_int_equal(atomic_load(&meeting.done), 0);
	worker_pool_free(&pool); /* NULL inside */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_signals_and_reuse),
		cmocka_unit_test(test_no_thread),
	};

	return cmocka_run_group_tests_name("worker_pool", tests, NULL, NULL);
}
