/* SPDX-License-Identifier: ISC */
/* Tests of delivery/vdeliver_lookup.c, with a store that may let one wait. */
#include "delivery/vdeliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lookupd/store_backend.h"
#include "tests/unit/vdeliver_run.h"

static const struct vdomain_user users[] = {
	{ "u0", "NOQUOTA", 0, 0, false },
	{ "slow", "NOQUOTA", 0, 0, false },
	{ "filtered", "NOQUOTA", 0, 0, false },
};

static struct vdomain node;

/* A program that waits until it is ended. */
static const char *
run_hanging_program(const struct vdomain *at)
{
	static char path[4096];

	vdomain_put(at, "hang", "#!/bin/sh\nexec sleep 600\n");
	snprintf(path, sizeof(path), "%s/hang", at->root);
	assert_int_equal(chmod(path, 0700), 0);
	return path;
}

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
	if (strcmp(local, "absent") == 0 || strcmp(local, "sales") == 0 ||
	    strcmp(local, "absent-x") == 0 || strcmp(local, "u0-x") == 0 ||
	    strcmp(local, "unknown") == 0)
		return 0;
	buf_adds(&user_out->storage, node.dir);
	buf_addc(&user_out->storage, '/');
	buf_adds(&user_out->storage, local);
	user_out->name = local;
	user_out->domain = "example.test";
	user_out->quota = "NOQUOTA";
	user_out->dir = user_out->storage.data;
	user_out->is_active = true;
	return 1;
}

static int
find_alias(struct store *store, const char *local, const char *domain,
    struct store_alias *alias_out, struct error *err)
{
	(void)store;
	(void)domain;
	if (strcmp(local, "unknown") == 0)
		return error_set(err, "nobody knows");
	if (strcmp(local, "sales") != 0)
		return 0;
	strlist_add(&alias_out->lines, "u0@example.test");
	return 1;
}

static int
find_filters(struct store *store, const char *local, const char *domain,
    struct store_filters *filters_out, struct error *err)
{
	(void)store;
	(void)domain;
	(void)err;
	if (strcmp(local, "filtered") != 0)
		return 0;
	filters_out->items = xcalloc(1, sizeof(*filters_out->items));
	filters_out->count = 1;
	return 1;
}

static int
find_limits(struct store *store, const char *local, const char *domain,
    struct store_limits *limits_out, struct error *err)
{
	(void)store;
	(void)local;
	(void)domain;
	(void)limits_out;
	(void)err;
	return 0;
}

static const struct store_backend backend = {
	.find_limits = find_limits,
	.find_domain = find_domain,
	.find_user = find_user,
	.find_alias = find_alias,
	.find_filters = find_filters,
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

/* Aliases, and the user in front of a dash; could not tell is no absence. */
static void
a_name_that_is_no_users(void **state)
{
	(void)state;
	run_start(&node, 0, "sales", "x");
	run_start(&node, 1, "u0-x", "x");
	run_start(&node, 2, "absent-x", "x");
	run_start(&node, 3, "unknown", "x");
	run_wait(4);
	assert_int_equal(run_outcomes[0], JOB_GENERAL);
	assert_int_equal(run_outcomes[1], JOB_DELIVERED);
	assert_int_equal(run_outcomes[2], JOB_PERMFAIL);
	assert_int_equal(run_outcomes[3], JOB_TEMPFAIL);
}

/*
 * Who needs a process gets one, whose exit code is the outcome; the others do
 * not.  Filters that are in a database are asked for.
 */
static void
a_process_for_who_needs_it(void **state)
{
	static const char *const names[] = { "filtered", "sales" };

	(void)state;
	vdeliver_free(&run_vdeliver);
	run_general_program = "/bin/false"; /* it is a crash without a text */
	run_open(&node, &store);
	for (uint32_t i = 0; i < 60; i++)
		run_start(&node, i, names[i % 2], "x");
	run_start(&node, 60, "u0", "x");
	run_wait(61);
	for (uint32_t i = 0; i < 60; i++) {
		assert_int_equal(run_outcomes[i], JOB_TEMPFAIL);
		assert_string_equal(
		    run_texts[i], "vdelivermail crashed. (#4.3.0)\n");
	}
	assert_int_equal(run_outcomes[60], JOB_DELIVERED);
	run_general_program = NULL;
}

/* More than 96 of a domain wait for a second try; the end ends the others. */
static void
too_many_processes_are_deferred(void **state)
{
	unsigned deferred = 0;

	(void)state;
	vdeliver_free(&run_vdeliver);
	/* "sleep --dot-qmail" would end at once: this reads its input. */
	run_general_program = run_hanging_program(&node);
	run_open(&node, &store);
	for (uint32_t i = 0; i < 120; i++)
		run_start(&node, i, "sales", "x");
	run_wait(24);
	for (uint32_t i = 96; i < 120; i++)
		deferred += strncmp(run_texts[i], "Too many deliveries", 19) ==
		    0;
	assert_int_equal(deferred, 24);
	vdeliver_hurry(run_vdeliver);
	vdeliver_free(&run_vdeliver);
	assert_int_equal(run_answers, 120);
	for (uint32_t i = 0; i < 96; i++)
		assert_int_equal(run_outcomes[i], JOB_TEMPFAIL);
	run_general_program = NULL;
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_slow_lookup_delays_nobody_else),
		CASE(all_are_answered_however_slow),
		CASE(what_is_being_looked_up_is_finished),
		CASE(a_name_that_is_no_users),
		CASE(a_process_for_who_needs_it),
		CASE(too_many_processes_are_deferred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
