/* SPDX-License-Identifier: ISC */
/* Tests of delivery/vdeliver_lookup.c, with a store that may let one wait. */
#include "delivery/vdeliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "lookupd/store_backend.h"
#include "tests/unit/vdeliver_run.h"

static const struct vdomain_user users[] = {
	{ "u0", "NOQUOTA", 0, 0, false },
	{ "slow", "NOQUOTA", 0, 0, false },
};

static struct vdomain node;

static useconds_t takes_us;

static int
find_domain(struct store *store, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	(void)store;
	(void)domain;
	(void)err;
	domain_out->name = "example.test";
	domain_out->dir = node.dir;
	return 1;
}

static int
find_user(struct store *store, const char *local, const char *domain,
    struct store_user *user_out, struct error *err)
{
	(void)store;
	(void)domain;
	(void)err;
	usleep(takes_us);
	if (strcmp(local, "slow") == 0)
		run_pass_gate();
	if (strcmp(local, "absent") == 0)
		return 0;
	buf_adds(&user_out->storage, node.dir);
	buf_addc(&user_out->storage, '/');
	buf_adds(&user_out->storage, local);
	user_out->name = local;
	user_out->quota = "NOQUOTA";
	user_out->dir = user_out->storage.data;
	user_out->is_active = true;
	return 1;
}

static const struct store_backend backend = {
	.find_domain = find_domain,
	.find_user = find_user,
};

static struct store store = { .backend = &backend };

static int
setup(void **state)
{
	(void)state;
	vdomain_make(&node, users, sizeof(users) / sizeof(*users));
	run_open(&node, &store);
	takes_us = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	run_hold(false);
	vdeliver_free(&run_vdeliver);
	vdomain_remove(&node);
	return 0;
}

/* Once it has been slow, nobody waits for another one's answer. */
static void
a_slow_lookup_delays_nobody_else(void **state)
{
	(void)state;
	takes_us = 30000;
	run_start(&node, 0, "u0", "x");
	run_wait(1);
	run_hold(true);
	run_start(&node, 1, "slow", "x");
	run_start(&node, 2, "u0", "x");
	run_start(&node, 3, "absent", "x");
	run_wait(3);
	assert_int_equal(run_outcomes[1], 0);
	assert_int_equal(run_outcomes[2], JOB_DELIVERED);
	assert_int_equal(run_outcomes[3], JOB_PERMFAIL);
	run_wait_at_gate();
	run_hold(false);
	run_wait(4);
	assert_int_equal(run_outcomes[1], JOB_DELIVERED);
}

static void
all_are_answered_however_slow(void **state)
{
	static const char *const names[] = { "u0", "slow", "absent" };
	uint32_t i;

	(void)state;
	takes_us = 25000;
	for (i = 0; i < 30; i++)
		run_start(&node, i, names[i % 3], "x");
	run_wait(30);
	for (i = 0; i < 30; i++)
		assert_int_equal(
		    run_outcomes[i], i % 3 == 2 ? JOB_PERMFAIL : JOB_DELIVERED);
}

/* At the end too. */
static void
what_is_being_looked_up_is_finished(void **state)
{
	(void)state;
	takes_us = 30000;
	run_start(&node, 0, "u0", "x");
	run_start(&node, 1, "u0", "x");
	run_start(&node, 2, "slow", "x");
	vdeliver_free(&run_vdeliver);
	assert_int_equal(run_answers, 3);
	assert_int_equal(run_outcomes[2], JOB_DELIVERED);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_slow_lookup_delays_nobody_else),
		CASE(all_are_answered_however_slow),
		CASE(what_is_being_looked_up_is_finished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
