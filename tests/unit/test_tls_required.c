/* SPDX-License-Identifier: ISC */
/* Tests of remote/tls_required.c. */
#include "remote/tls_required.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static const struct {
	const char *header;
	bool is_no;
} cases[] = {
	{ "TLS-Required: No\n\nx\n", true },
	{ "A: b\ntls-required:no\nC: d\n\n", true },
	{ "TLS-Required : NO \r\n\r\n", true },
	{ "TLS-Required:\n No\n\n", true },
	{ "TLS-Required: No", true },
	{ "TLS-Required: No\n x\n\n", false },
	{ "TLS-Required: Now\n\n", false },
	{ "TLS-Required: Yes\n\n", false },
	{ "TLS-Required:\n\n", false },
	{ "TLS-Required\n\n", false },
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
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tls_required_is_no(cases[i].header,
			strlen(cases[i].header)) != cases[i].is_no)
			fail_msg("'%s'", cases[i].header);
}

static struct session_message
make_message(const char *header, const char *body)
{
	return (struct session_message){
		.header = header, .body = body, .size_bytes = strlen(body)
	};
}

/* REQUIRETLS counts for more, and no header is too long. */
static void
test_messages(void **state)
{
	struct session_message message = make_message(
	    "A: b\n", "TLS-Required: No\n\nx\n");
	struct buf large = BUF_INIT;

	(void)state;
	assert_int_equal(tls_required_examine(&message), 1);
	message.requires_tls = true;
	assert_int_equal(tls_required_examine(&message), 0);
	message = make_message("", "");
	assert_int_equal(tls_required_examine(&message), 0);
	while (large.length < TLS_REQUIRED_HEADER_MAX)
		buf_adds(&large, "A: b\n");
	buf_adds(&large, "TLS-Required: No\n\n");
	message = make_message("", large.data);
	assert_int_equal(tls_required_examine(&message), 0);
	message = (struct session_message){
		.header = "", .fd = -1, .size_bytes = 1
	};
	assert_int_equal(tls_required_examine(&message), -1);
	buf_release(&large);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
