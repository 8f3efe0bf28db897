/* SPDX-License-Identifier: ISC */
/* Tests of remote/mta_sts.c and remote/dane.c: what is read. */
#include "remote/mta_sts.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "remote/dane.h"

#define HEAD "version: STSv1\r\nmode: enforce\r\n"

static void
test_policies(void **state)
{
	static const struct {
		const char *text;
		int result;
		enum mta_sts_mode mode;
		size_t mx;
	} rows[] = {
		{ HEAD "mx: a.test\r\nmx: *.b.test\r\nmax_age: 60\r\n", 0,
		    MTA_STS_ENFORCE, 2 },
		{ "max_age:60\nmx:a.test\nmode:testing\nversion:STSv1", 0,
		    MTA_STS_TESTING, 1 },
		{ "version: STSv1\nmode: none\nmax_age: 0\n", 0, MTA_STS_NONE,
		    0 },
		{ HEAD "mode: none\nmx: A.test\nmax_age: 1\nx_y: z\n\n", 0,
		    MTA_STS_ENFORCE, 1 },
		{ HEAD "max_age: 60\n", -1, 0, 0 },
		{ HEAD "mx: a.test\n", -1, 0, 0 },
		{ HEAD "mx: a.test\nmax_age: 31557601\n", -1, 0, 0 },
		{ HEAD "mx: a.test\nmax_age: -1\n", -1, 0, 0 },
		{ HEAD "mx: a.*.test\nmax_age: 60\n", -1, 0, 0 },
		{ HEAD "mx: *\nmax_age: 60\n", -1, 0, 0 },
		{ HEAD "mx: \nmax_age: 60\n", -1, 0, 0 },
		{ HEAD "mx a.test\nmax_age: 60\n", -1, 0, 0 },
		{ "version: STSv2\nmode: none\nmax_age: 1\n", -1, 0, 0 },
		{ "version: STSv1\nmode: Enforce\nmx: a\nmax_age: 1\n", -1, 0,
		    0 },
		{ "<html>", -1, 0, 0 },
		{ "", -1, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mta_sts_policy policy;
		struct error err;
		int result = mta_sts_read(
		    rows[i].text, strlen(rows[i].text), &policy, &err);

		if (result != rows[i].result)
			fail_msg("%d for '%s'", result, rows[i].text);
		if (result == -1)
			continue;
		assert_int_equal(policy.mode, rows[i].mode);
		assert_int_equal(policy.mx.count, rows[i].mx);
		mta_sts_policy_release(&policy);
	}
}

static void
test_records(void **state)
{
	static const struct {
		const char *text, *id;
	} rows[] = {
		{ "v=STSv1; id=20160831085700Z;", "20160831085700Z" },
		{ "v=STSv1;id=a", "a" },
		{ "v=STSv1 ; x=y ; id=b ;", "b" },
		{ "v=STSv1; id=12345678901234567890123456789012;",
		    "12345678901234567890123456789012" },
		{ "v=STSv1; id=123456789012345678901234567890123;", NULL },
		{ "v=STSv1; id=;", NULL },
		{ "v=STSv1; id=a-b;", NULL },
		{ "v=STSv1;", NULL },
		{ "v=STSv1", NULL },
		{ "v=STSv2; id=a;", NULL },
		{ "v=STSv11; id=a;", NULL },
		{ "v=spf1 -all", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char id[MTA_STS_ID_SIZE];
		bool is_one = mta_sts_read_record(rows[i].text, id);

		if (is_one != (rows[i].id != NULL))
			fail_msg("%d for '%s'", is_one, rows[i].text);
		if (is_one)
			assert_string_equal(id, rows[i].id);
	}
}

static void
test_hosts(void **state)
{
	static const char text[] = HEAD
	    "mx: MX.a.test\nmx: *.b.test\nmax_age: 60\n";
	struct mta_sts_policy policy;
	struct error err;

	(void)state;
	assert_int_equal(
	    mta_sts_read(text, sizeof(text) - 1, &policy, &err), 0);
	assert_true(mta_sts_has_host(&policy, "mx.A.test"));
	assert_true(mta_sts_has_host(&policy, "x.b.test"));
	assert_false(mta_sts_has_host(&policy, "b.test"));
	assert_false(mta_sts_has_host(&policy, "y.x.b.test"));
	assert_false(mta_sts_has_host(&policy, ".b.test"));
	assert_false(mta_sts_has_host(&policy, "a.test"));
	mta_sts_policy_release(&policy);
}

static void
test_usable_records(void **state)
{
	static const struct {
		struct dns_tlsa record;
		bool is_usable;
	} rows[] = {
		{ { 3, 1, 1, NULL, 32 }, true },
		{ { 2, 0, 2, NULL, 64 }, true },
		{ { 3, 0, 0, NULL, 500 }, true },
		{ { 1, 1, 1, NULL, 32 }, false },
		{ { 3, 2, 1, NULL, 32 }, false },
		{ { 3, 1, 3, NULL, 32 }, false },
		{ { 3, 1, 1, NULL, 31 }, false },
		{ { 3, 1, 0, NULL, 0 }, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
		    dane_is_usable(&rows[i].record), rows[i].is_usable);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_usable_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
