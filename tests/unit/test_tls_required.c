/* SPDX-License-Identifier: ISC */
/* Tests of remote/tls_required.c. */
#include "remote/tls_required.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static struct session_message
make_message(const char *header, const char *body)
{
	return (struct session_message){
		.header = header, .body = body, .size_bytes = strlen(body)
	};
}

/* REQUIRETLS counts for more, and no header is too long. */
enum { LARGE_BYTES = 1024 * 1024 };

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
	while (large.length < LARGE_BYTES)
		buf_adds(&large, "A: b\n");
	buf_adds(&large, "TLS-Required: No\n\n");
	message = make_message("", large.data);
	assert_int_equal(tls_required_examine(&message), 1);
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
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
