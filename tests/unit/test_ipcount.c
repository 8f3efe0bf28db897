/* SPDX-License-Identifier: ISC */
/* Tests of base/ipcount.h. */
#include "base/ipcount.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct in6_addr
ip_of(const char *text)
{
	struct in6_addr ip;

	assert_int_equal(inet_pton(AF_INET6, text, &ip), 1);
	return ip;
}

static void
test_steps(void **state)
{
	static const struct {
		const char *name, *ip;
		int change; /* 1 add, -1 drop, 0 only ask */
		unsigned wanted;
	} steps[] = {
		{ "unknown", "::ffff:192.0.2.1", 0, 0 },
		{ "first", "::ffff:192.0.2.1", 1, 1 },
		{ "second", "::ffff:192.0.2.1", 1, 2 },
		{ "another", "2001:db8::1", 1, 1 },
		{ "the first still", "::ffff:192.0.2.1", 0, 2 },
		{ "neighbour", "2001:db8::2", 0, 0 },
		{ "drop", "::ffff:192.0.2.1", -1, 1 },
		{ "drop the last", "::ffff:192.0.2.1", -1, 0 },
		{ "again", "::ffff:192.0.2.1", 1, 1 },
		{ "the other still", "2001:db8::1", 0, 1 },
		{ "and gone", "2001:db8::1", -1, 0 },
	};
	struct ipcount *table = ipcount_new();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct in6_addr ip = ip_of(steps[i].ip);
		unsigned got;

		if (steps[i].change > 0)
			ipcount_add(table, &ip);
		else if (steps[i].change < 0)
			ipcount_drop(table, &ip);
		got = ipcount_get(table, &ip);
		if (got != steps[i].wanted)
			fail_msg("%s: wanted %u, got %u", steps[i].name,
			    steps[i].wanted, got);
	}
	ipcount_free(&table);
	assert_null(table);
	ipcount_free(&table);
}

/* More addresses than slots: all are counted right, and all go again. */
static void
test_many(void **state)
{
	enum { ADDRESSES = 20000 };
	struct ipcount *table = ipcount_new();
	struct in6_addr ip = ip_of("2001:db8::");
	uint32_t i;

	(void)state;
	for (i = 0; i < ADDRESSES; i++) {
		memcpy(&ip.s6_addr[12], &i, sizeof(i));
		ipcount_add(table, &ip);
		if (i % 3 == 0)
			ipcount_add(table, &ip);
	}
	for (i = 0; i < ADDRESSES; i++) {
		memcpy(&ip.s6_addr[12], &i, sizeof(i));
		assert_int_equal(ipcount_get(table, &ip), i % 3 == 0 ? 2 : 1);
		ipcount_drop(table, &ip);
		if (i % 3 == 0)
			ipcount_drop(table, &ip);
		assert_int_equal(ipcount_get(table, &ip), 0);
	}
	ipcount_free(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("ipcount", tests, NULL, NULL);
}
