/* SPDX-License-Identifier: ISC */
/* Tests of delivery/vdeliver_quota.c, with a count of the test's own. */
#include "delivery/vdeliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "mailbox/quota_scan.h"
#include "tests/unit/vdeliver_run.h"

static const struct vdomain_user users[] = {
	{ "free", "NOQUOTA", 0, 0, false },
	{ "three", "3C", 0, 0, false },
	{ "other", "3C", 0, 0, false },
};

static struct vdomain node;
static struct store *store;

/* What quota_scan() finds, and how. */
static int64_t found_count;
static int scan_error;
static useconds_t takes_us;
static unsigned scans; /* under run_gate.lock */

int
quota_scan(int maildir_fd, struct quota_usage *usage_out, struct error *err)
{
	int error_number;

	assert_true(maildir_fd >= 0);
	usleep(takes_us);
	run_pass_gate();
	pthread_mutex_lock(&run_gate.lock);
	*usage_out = (struct quota_usage){ found_count * 10, found_count };
	error_number = scan_error;
	scans++;
	pthread_mutex_unlock(&run_gate.lock);
	if (error_number == 0)
		return 0;
	errno = error_number;
	return error_sys(err, "cannot count");
}

static int
setup(void **state)
{
	struct error err;

	(void)state;
	vdomain_make(&node, users, sizeof(users) / sizeof(*users));
	store = store_open_cdb(node.root, &err);
	assert_non_null(store);
	run_open(&node, store);
	found_count = 0;
	scan_error = 0;
	takes_us = 0;
	scans = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	run_hold(false);
	vdeliver_free(&run_vdeliver);
	store_free(&store);
	vdomain_remove(&node);
	return 0;
}

static void
a_count_delays_nobody_else(void **state)
{
	(void)state;
	run_hold(true);
	run_start(&node, 0, "three", "x");
	run_start(&node, 1, "free", "x");
	run_wait(1);
	assert_int_equal(run_outcomes[1], JOB_DELIVERED);
	run_wait_at_gate();
	run_start(&node, 2, "free", "x");
	run_wait(2);
	assert_int_equal(run_outcomes[0], 0);
	run_hold(false);
	run_wait(3);
	assert_int_equal(run_outcomes[0], JOB_DELIVERED);
}

/* Those that come while it is counted, too, in their order. */
static void
one_count_is_for_all_who_wait(void **state)
{
	uint32_t i;

	(void)state;
	run_hold(true);
	for (i = 0; i < 3; i++)
		run_start(&node, i, "three", "x");
	run_wait_at_gate();
	for (; i < 6; i++)
		run_start(&node, i, "three", "x");
	run_start(&node, 6, "other", "x");
	found_count = 1;
	run_hold(false);
	run_wait(7);
	for (i = 0; i < 6; i++)
		assert_int_equal(
		    run_outcomes[i], i < 2 ? JOB_DELIVERED : JOB_PERMFAIL);
	assert_int_equal(run_outcomes[6], JOB_DELIVERED);
	assert_int_equal(scans, 2);
}

static void
a_count_that_fails_defers_all_who_wait(void **state)
{
	uint32_t i;

	(void)state;
	scan_error = EIO;
	for (i = 0; i < 5; i++)
		run_start(&node, i, "three", "x");
	run_wait(5);
	for (i = 0; i < 5; i++) {
		assert_int_equal(run_outcomes[i], JOB_TEMPFAIL);
		assert_non_null(strstr(run_texts[i], "cannot count"));
	}
	scan_error = 0;
	run_start(&node, i, "three", "x");
	run_wait(6);
	assert_int_equal(run_outcomes[5], JOB_DELIVERED);
}

/* What is on its way is not both counted and added: first it arrives. */
static void
nothing_is_counted_while_mail_is_on_its_way(void **state)
{
	uint32_t i;

	(void)state;
	run_start(&node, 0, "three", "x");
	run_wait(1);
	assert_int_equal(scans, 1);
	/* Two more fit; the fourth wants a count, when they are there. */
	found_count = 3;
	for (i = 1; i < 5; i++)
		run_start(&node, i, "three", "x");
	assert_int_equal(run_gate.came, 1);
	run_wait(5);
	for (i = 1; i < 5; i++)
		assert_int_equal(
		    run_outcomes[i], i < 3 ? JOB_DELIVERED : JOB_PERMFAIL);
	assert_in_range(scans, 1, 2); /* 1 where the first took long */
}

/* Mail that fits makes maildirsize longer, and mail that does not wants a
 * count: not each time. */
static void
counting_is_bounded(void **state)
{
	uint32_t i;

	(void)state;
	takes_us = 50000; /* so that it is not done again for 2.5 s */
	run_start(&node, 0, "three", "x");
	run_wait(1);
	found_count = 2;
	for (i = 1; i <= 100; i++) {
		/* A reader removes one, and another one comes. */
		char *path = xasprintf(
		    "%s/three/Maildir/maildirsize", node.dir);
		int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

		assert_int_equal(file_write_all(fd, "10 1\n-10 -1\n", 12), 0);
		close(fd);
		free(path);
		run_start(&node, i, "three", "x");
		run_wait(i + 1);
	}
	assert_in_range(scans, 1, 4);
	assert_int_equal(run_outcomes[2], JOB_DELIVERED);
	assert_int_equal(run_outcomes[100], JOB_PERMFAIL);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_count_delays_nobody_else),
		CASE(one_count_is_for_all_who_wait),
		CASE(a_count_that_fails_defers_all_who_wait),
		CASE(nothing_is_counted_while_mail_is_on_its_way),
		CASE(counting_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
