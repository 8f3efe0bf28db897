/* SPDX-License-Identifier: ISC */
/* Tests of base/process.c. */
#include "base/process.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

static void *
ask(void *policy)
{
	*(int *)policy = sched_getscheduler(0);
	return NULL;
}

/* The last test: it cannot be taken back. */
static void
threads_inherit_it(void **state)
{
	pthread_t thread;
	int policy = -1;

	(void)state;
	batch_policy_set();
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	assert_int_equal(pthread_create(&thread, NULL, ask, &policy), 0);
	pthread_join(thread, NULL);
	assert_int_equal(policy, SCHED_BATCH);
}

/* In a thread, since nobody may come back from SCHED_IDLE. */
static void *
be_idle(void *policy)
{
	const struct sched_param priority = { .sched_priority = 0 };

	if (sched_setscheduler(0, SCHED_IDLE, &priority) == 0) {
		batch_policy_set();
		*(int *)policy = sched_getscheduler(0);
	}
	return NULL;
}

static void
another_policy_stays(void **state)
{
	pthread_t thread;
	int policy = -1;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, be_idle, &policy), 0);
	pthread_join(thread, NULL);
	assert_int_equal(policy, SCHED_IDLE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_policy_stays),
		cmocka_unit_test(threads_inherit_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
