/* SPDX-License-Identifier: ISC */
/* Tests of remote/tcpto.c. */
#include "remote/tcpto.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "control/network.h"
#include "tests/unit/folder.h"

enum { NOW = 1000000 };

static const struct tcpto_limits limits = { 2, 120, 3600 };

static struct sockaddr_storage
address_of(const char *text, unsigned short port)
{
	struct sockaddr_storage address;
	struct network network;

	assert_true(network_read(text, strlen(text), &network));
	assert_true(network_address(&network, port, &address));
	return address;
}

static struct tcpto *
open_new(void)
{
	struct tcpto *tcpto;
	struct error err = { "" };

	folder_write("tcpto", "", 0);
	if (tcpto_open(folder_path("tcpto"), true, &tcpto, &err) != 1)
		fail_msg("%s", err.text);
	return tcpto;
}

static void
some_failures_block_for_a_while(void **state)
{
	static const struct {
		const char *what;
		bool has_failed;
		int64_t at_s;
		bool wanted; /* blocked right after that */
	} rows[] = {
		{ "first", true, 0, false },
		{ "within the tolerance", true, 119, false },
		{ "second", true, 120, true },
		{ "third, after the wait", true, 9000, true },
		{ "success", false, 9001, false },
		{ "first again", true, 9002, false },
	};
	struct sockaddr_storage one = address_of("192.0.2.1", 25);
	struct sockaddr_storage other = address_of("192.0.2.1", 26);
	struct sockaddr_storage six = address_of("2001:db8::1", 25);
	struct tcpto *tcpto = open_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t now_s = NOW + rows[i].at_s;

		tcpto_note(tcpto, (struct sockaddr *)&one, rows[i].has_failed,
		    &limits, now_s);
		if (tcpto_is_blocked(tcpto, (struct sockaddr *)&one, &limits,
			now_s) != rows[i].wanted)
			fail_msg("%s", rows[i].what);
		assert_false(tcpto_is_blocked(
		    tcpto, (struct sockaddr *)&other, &limits, now_s));
		assert_false(tcpto_is_blocked(
		    tcpto, (struct sockaddr *)&six, &limits, now_s));
	}
	tcpto_free(&tcpto);
}

static void
the_wait_ends(void **state)
{
	const struct tcpto_limits never = { 0, 120, 3600 };
	struct sockaddr_storage one = address_of("2001:db8::1", 25);
	struct sockaddr *address = (struct sockaddr *)&one;
	struct tcpto *tcpto = open_new();

	(void)state;
	tcpto_note(tcpto, address, true, &limits, NOW - 200);
	tcpto_note(tcpto, address, true, &limits, NOW);
	assert_true(tcpto_is_blocked(tcpto, address, &limits, NOW + 3599));
	assert_false(tcpto_is_blocked(tcpto, address, &limits, NOW + 5401));
	/* A clock that was set back */
	assert_false(tcpto_is_blocked(tcpto, address, &limits, NOW - 1));
	assert_false(tcpto_is_blocked(tcpto, address, &never, NOW));
	tcpto_free(&tcpto);
}

static void
count_entry(const struct tcpto_entry *entry, void *context)
{
	size_t *count = context;

	assert_true(entry->failures > 0);
	++*count;
}

static size_t
count_all(struct tcpto *tcpto)
{
	struct error err = { "" };
	size_t count = 0;

	assert_int_equal(tcpto_walk(tcpto, count_entry, &count, &err), 0);
	return count;
}

static void
it_forgets_rather_than_grows(void **state)
{
	struct tcpto *tcpto = open_new();
	struct error err = { "" };
	struct sockaddr_storage last;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.%u.%u", i / 250, i % 250);
		last = address_of(text, 25);
		tcpto_note(
		    tcpto, (struct sockaddr *)&last, true, &limits, NOW + i);
	}
	assert_in_range(count_all(tcpto), 4000, 8192);
	tcpto_note(tcpto, (struct sockaddr *)&last, true, &limits, NOW + 30000);
	assert_true(tcpto_is_blocked(
	    tcpto, (struct sockaddr *)&last, &limits, NOW + 30000));
	assert_int_equal(
	    tcpto_forget(tcpto, (struct sockaddr *)&last, &err), 0);
	assert_false(tcpto_is_blocked(
	    tcpto, (struct sockaddr *)&last, &limits, NOW + 30000));
	assert_int_equal(tcpto_forget(tcpto, NULL, &err), 0);
	assert_int_equal(count_all(tcpto), 0);
	tcpto_free(&tcpto);
}

static void *
note_many(void *context)
{
	struct tcpto *tcpto = context;
	struct sockaddr_storage one = address_of("192.0.2.1", 25);
	const struct tcpto_limits each = { 2, 0, 3600 };

	for (unsigned i = 0; i < 500; i++)
		tcpto_note(tcpto, (struct sockaddr *)&one, true, &each, NOW);
	return NULL;
}

static void
see_failures(const struct tcpto_entry *entry, void *context)
{
	*(unsigned *)context = entry->failures;
}

static void
threads_lose_no_failure(void **state)
{
	struct tcpto *tcpto = open_new(), *again;
	struct error err = { "" };
	pthread_t threads[4];
	unsigned failures = 0;

	(void)state;
	/* As another process has it. */
	assert_int_equal(
	    tcpto_open(folder_path("tcpto"), true, &again, &err), 1);
	for (size_t i = 0; i < 4; i++)
		pthread_create(
		    &threads[i], NULL, note_many, i % 2 == 0 ? tcpto : again);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(tcpto_walk(tcpto, see_failures, &failures, &err), 0);
	assert_int_equal(failures, 2000);
	tcpto_free(&again);
	tcpto_free(&tcpto);
}

static void
no_file_is_told(void **state)
{
	struct tcpto *tcpto;
	struct error err = { "" };

	(void)state;
	assert_int_equal(
	    tcpto_open(folder_path("none"), true, &tcpto, &err), 0);
	assert_null(tcpto);
}

static void
a_damaged_file_blocks_nobody(void **state)
{
	struct sockaddr_storage one = address_of("192.0.2.1", 25);
	struct tcpto *tcpto = open_new();

	(void)state;
	tcpto_note(tcpto, (struct sockaddr *)&one, true, &limits, NOW);
	tcpto_note(tcpto, (struct sockaddr *)&one, true, &limits, NOW + 200);
	assert_int_equal(truncate(folder_path("tcpto"), 7), 0);
	assert_false(tcpto_is_blocked(
	    tcpto, (struct sockaddr *)&one, &limits, NOW + 200));
	tcpto_free(&tcpto);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(some_failures_block_for_a_while),
		TEST(the_wait_ends),
		TEST(it_forgets_rather_than_grows),
		TEST(threads_lose_no_failure),
		TEST(no_file_is_told),
		TEST(a_damaged_file_blocks_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
