/* SPDX-License-Identifier: ISC */
/* base/netstring.c */
#include "base/netstring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
lengths(void **state)
{
	static const struct {
		const char *input;
		uint64_t max;
		enum netstring_result wanted;
		uint64_t length;
	} rows[] = {
		{ "0:", 0, NETSTRING_LENGTH, 0 },
		{ "5:", 5, NETSTRING_LENGTH, 5 },
		{ "6:", 5, NETSTRING_BAD, 0 },
		{ "10:", 9, NETSTRING_BAD, 0 },
		{ "254:", 254, NETSTRING_LENGTH, 254 },
		{ "255:", 254, NETSTRING_BAD, 0 },
		{ "12", 99, NETSTRING_MORE, 12 },
		{ "", 99, NETSTRING_MORE, 0 },
		{ ":", 99, NETSTRING_BAD, 0 },
		{ "00:", 99, NETSTRING_BAD, 0 },
		{ "01:", 99, NETSTRING_BAD, 0 },
		{ "-1:", 99, NETSTRING_BAD, 0 },
		{ " 1:", 99, NETSTRING_BAD, 0 },
		{ "1 :", 99, NETSTRING_BAD, 0 },
		{ "1,", 99, NETSTRING_BAD, 0 },
		{ "\xff:", 99, NETSTRING_BAD, 0 },
		{ "18446744073709551615:", UINT64_MAX, NETSTRING_LENGTH,
		    UINT64_MAX },
		{ "18446744073709551616:", UINT64_MAX, NETSTRING_BAD, 0 },
		{ "99999999999999999999999:", UINT64_MAX, NETSTRING_BAD, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct netstring netstring = { 0 };
		enum netstring_result result = NETSTRING_MORE;
		const char *at;

		for (at = rows[i].input;
		     *at != '\0' && result == NETSTRING_MORE; at++)
			result = netstring_read(&netstring, *at, rows[i].max);
		if (result != rows[i].wanted ||
		    (result != NETSTRING_BAD &&
			netstring.length != rows[i].length))
			fail_msg("'%s': %d, %llu", rows[i].input, (int)result,
			    (unsigned long long)netstring.length);
	}
}

static void
written(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf);
	netstring_put(&buf, "", 0);
	netstring_put(&buf, "hello", 5);
	assert_string_equal(buf.data, "0:,5:hello,");
	buf_release(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths),
		cmocka_unit_test(written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
