/* SPDX-License-Identifier: ISC */
/* Tests of control/idn.c. */
#include "control/idn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define BUECHER "b\303\274cher"
#define A_BUECHER "xn--bcher-kva"
#define L10 "0123456789"
#define L255                                                                \
	L10 L10 L10 L10 L10 "." L10 L10 L10 L10 L10 "." L10 L10 L10 L10 L10 \
			    "." L10 L10 L10 L10 L10 "." L10 L10 L10 L10 L10 \
			    "1"

static void
spellings(void **state)
{
	static const struct {
		const char *domain, *wanted;
		bool is_domain;
	} rows[] = {
		{ "", "", true },
		{ "example.test", "example.test", true },
		{ "Example.TEST", "example.test", true },
		{ ".Example.TEST", ".example.test", true },
		{ "XN--BCHER-KVA.test", A_BUECHER ".test", true },
		{ BUECHER ".test", A_BUECHER ".test", true },
		{ "B\303\234CHER.Test", A_BUECHER ".test", true },
		{ "bu\314\210cher.test", A_BUECHER ".test", true },
		{ BUECHER "\343\200\202test", A_BUECHER ".test", true },
		{ "." BUECHER ".test", "." A_BUECHER ".test", true },
		{ "_x.a-b." BUECHER ".test", "_x.a-b." A_BUECHER ".test",
		    true },
		{ "stra\303\237e.test", "xn--strae-oqa.test", true },
		{ BUECHER "." A_BUECHER, A_BUECHER "." A_BUECHER, true },
		{ L255, L255, true },
		/* no domains */
		{ L255 "x", "", false },
		{ BUECHER "." L255, "", false },
		{ "\342\230\225.Test", "\342\230\225.test", false },
		{ "b\303.Test", "b\303.test", false },
		{ BUECHER ".", BUECHER ".", false },
		{ BUECHER "..test", BUECHER "..test", false },
		{ ".." BUECHER, ".." BUECHER, false },
		{ "a b." BUECHER, "a b." BUECHER, false },
		{ "a\357\274\240" BUECHER, "a\357\274\240" BUECHER, false },
		{ BUECHER ":x", BUECHER ":x", false },
		{ "-\303\274.test", "-\303\274.test", false },
		{ "\302\255", "\302\255", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char out[IDN_DOMAIN_SIZE];
		bool is_domain;

		memset(out, 'x', sizeof(out));
		is_domain = idn_domain_canonical(rows[i].domain, out);
		if (is_domain != rows[i].is_domain ||
		    strcmp(out, rows[i].wanted) != 0)
			fail_msg("'%s': %d '%s', wanted %d '%s'",
			    rows[i].domain, is_domain, out, rows[i].is_domain,
			    rows[i].wanted);
	}
}

/* A label that is longer in UTF-8 than a label may be, and shorter in ASCII. */
static void
a_long_label(void **state)
{
	char domain[3 * 50 + 1] = "", out[IDN_DOMAIN_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < 50; i++)
		memcpy(domain + 3 * i, "\343\201\202", 4);
	assert_true(idn_domain_canonical(domain, out));
	assert_int_equal(strncmp(out, "xn--l8jaaaa", 11), 0);
	assert_true(strlen(out) <= 63);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spellings),
		cmocka_unit_test(a_long_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
