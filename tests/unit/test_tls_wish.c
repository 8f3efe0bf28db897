/* SPDX-License-Identifier: ISC */
/* Tests of queue/tls_wish.c. */
#include "queue/tls_wish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *header;
	bool is_no;
} cases[] = {
	{ "TLS-Required: No\n\nx\n", true },
	{ "A: b\ntls-required:no\nC: d\n\n", true },
	{ "TLS-Required : NO \r\n\r\n", true },
	{ "TLS-Required:\n No\n\n", true },
	{ "TLS-Required: No\n \n\n", true },
	{ "TLS-Required: No", true },
	{ "TLS-Required: No\n x\n\n", false },
	{ "TLS-Required: N\n o\n\n", false },
	{ "TLS-Required: Now\n\n", false },
	{ "TLS-Required: Yes\n\n", false },
	{ "TLS-Required:\n\n", false },
	{ "TLS-Required\n\n", false },
	{ "TLS-Required\n : No\n\n", false },
	{ "TLS-Requirex: No\n\n", false },
	{ "X-TLS-Required: No\n\n", false },
	{ "A: b\n TLS-Required: No\n\n", false },
	{ "TLS-Required: No\nTLS-Required: No\n\n", false },
	{ "TLS-Required: No\nTLS-Required: Yes\n\n", false },
	{ "A: b\n\nTLS-Required: No\n", false },
	{ "\nTLS-Required: No\n", false },
	{ "", false },
};

static void
test_fields(void **state)
{
	size_t i, at;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *header = cases[i].header;
		struct tls_wish whole = { 0 }, pieces = { 0 };

		tls_wish_read(&whole, header, strlen(header));
		for (at = 0; at < strlen(header); at++)
			tls_wish_read(&pieces, header + at, 1);
		if (tls_wish_is_no(&whole) != cases[i].is_no ||
		    tls_wish_is_no(&pieces) != cases[i].is_no)
			fail_msg("'%s'", header);
	}
}

/* Beside what the sender has said; REQUIRETLS counts for more. */
static void
test_parameters(void **state)
{
	static const struct {
		const char *header, *dsn, *wanted;
	} rows[] = {
		{ "A: b\n\n", NULL, "" },
		{ "A: b\n\n", " RET=FULL", " RET=FULL" },
		{ "TLS-Required: No\n\n", NULL, " TLS-REQUIRED=NO" },
		{ "TLS-Required: No\n\n", " ENVID=x",
		    " ENVID=x TLS-REQUIRED=NO" },
		{ "TLS-Required: No\n\n", " REQUIRETLS", " REQUIRETLS" },
		{ "TLS-Required: No\n\n", " TLS-REQUIRED=NO",
		    " TLS-REQUIRED=NO" },
		{ "TLS-Required: No\n\n", "rubbish", "rubbish" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tls_wish wish = { 0 };
		struct buf buf;

		buf_init(&buf);
		tls_wish_read(&wish, rows[i].header, strlen(rows[i].header));
		tls_wish_put_dsn(&wish, rows[i].dsn, &buf);
		assert_string_equal(buf.data, rows[i].wanted);
		buf_release(&buf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
