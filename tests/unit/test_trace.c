/* SPDX-License-Identifier: ISC */
#include "delivery/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void
return_paths(void **state)
{
	static const struct {
		const char *sender;
		const char *wanted;
	} rows[] = {
		{ "", "<>" },
		{ "a@example.org", "<a@example.org>" },
		{ "a.b+c@example.org", "<a.b+c@example.org>" },
		{ "j\303\251@example.org", "<j\303\251@example.org>" },
		{ "no-domain", "<no-domain>" },
		{ "a b@example.org", "<\"a b\"@example.org>" },
		{ "a\"b@example.org", "<\"a\\\"b\"@example.org>" },
		{ "a\\b@example.org", "<\"a\\\\b\"@example.org>" },
		{ "a@b@example.org", "<\"a@b\"@example.org>" },
		{ ".a@example.org", "<\".a\"@example.org>" },
		{ "a.@example.org", "<\"a.\"@example.org>" },
		{ "a..b@example.org", "<\"a..b\"@example.org>" },
		{ "@example.org", "<\"\"@example.org>" },
		{ "#@[]", "<#@[]>" }, /* qmail's double bounce */
		{ "a\nX: y@example.org", "<\"a_X: y\"@example.org>" },
		{ "a@example.org\r\nX: y", "<a@example.org__X: y>" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct buf buf, wanted;

		buf_init(&buf);
		buf_init(&wanted);
		trace_put_return_path(&buf, rows[i].sender);
		buf_addf(&wanted, "Return-Path: %s\n", rows[i].wanted);
		assert_string_equal(buf.data, wanted.data);
		buf_release(&buf);
		buf_release(&wanted);
	}
}

static void
delivered_to(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf);
	trace_put_delivered_to(&buf, "example.test-u0@example.test");
	trace_put_delivered_to(&buf, "u\n0@example.test\r");
	assert_string_equal(buf.data,
	    "Delivered-To: example.test-u0@example.test\n"
	    "Delivered-To: u_0@example.test_\n");
	buf_release(&buf);
}

/* Each message is searched in pieces of every size. */
static void
loops(void **state)
{
	static const char line[] = "Delivered-To: u0@example.test";
	static const struct {
		const char *message;
		bool wanted;
	} rows[] = {
		{ "", false },
		{ "\n", false },
		{ "Delivered-To: u0@example.test\n", true },
		{ "Delivered-To: u0@example.test", true },
		{ "Delivered-To: u0@example.test\r\n", true },
		{ "delivered-to: U0@Example.TEST\n", true },
		{ "Received: x\n y\nDelivered-To: u0@example.test\n\nb\n",
		    true },
		{ "Delivered-To: u1@example.test\n"
		  "Delivered-To: u0@example.test\n\n",
		    true },
		{ "Delivered-To: u0@example.testing\n\n", false },
		{ "Delivered-To: u0@example.tes\n\n", false },
		{ "Delivered-To: u0@example.tes", false },
		{ "X-Delivered-To: u0@example.test\n\n", false },
		{ " Delivered-To: u0@example.test\n\n", false },
		{ "Subject: x\n\nDelivered-To: u0@example.test\n", false },
		{ "Subject: x\r\n\r\nDelivered-To: u0@example.test\n", false },
		{ "\nDelivered-To: u0@example.test\n", false },
	};
	size_t i, piece, at;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t length = strlen(rows[i].message);

		for (piece = 1; piece <= length + 1; piece++) {
			struct trace_search search;

			trace_search_init(&search, line, strlen(line));
			for (at = 0; at < length; at += piece)
				if (trace_search_feed(&search,
					rows[i].message + at,
					length - at < piece ? length - at
							    : piece))
					break;
			if (trace_search_end(&search) != rows[i].wanted)
				fail_msg("'%s' by %zu: wanted %d",
				    rows[i].message, piece, rows[i].wanted);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(return_paths),
		cmocka_unit_test(delivered_to),
		cmocka_unit_test(loops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
