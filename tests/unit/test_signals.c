/* SPDX-License-Identifier: ISC */
/* Tests of base/signals.c. */
#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
come_to_the_descriptor(void **state)
{
	int fd = signals_open(SIGUSR1, SIGUSR2, 0);

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(signals_next(fd), 0);
	kill(getpid(), SIGUSR2);
	assert_int_equal(signals_next(fd), SIGUSR2);
	assert_int_equal(signals_next(fd), 0);
	close(fd);
}

static void *
look_at_mask(void *context)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	*(bool *)context = sigismember(&mask, SIGTERM) == 1 &&
	    sigismember(&mask, SIGHUP) == 1;
	return NULL;
}

static void
threads_get_none(void **state)
{
	bool is_blocked = false;
	pthread_t thread;
	sigset_t mask;

	(void)state;
	assert_int_equal(thread_start(&thread, look_at_mask, &is_blocked), 0);
	pthread_join(thread, NULL);
	assert_true(is_blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGHUP), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_get_none),
		cmocka_unit_test(come_to_the_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
