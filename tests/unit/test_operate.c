/* SPDX-License-Identifier: ISC */
/* remote/operate.c */
#include "remote/operate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
request(void **state)
{
	const struct operate_request sent = { OPERATE_RESET, "example.org" };
	struct operate_request got;
	struct buf buf = BUF_INIT;

	(void)state;
	operate_put_request(&buf, &sent);
	assert_int_equal(operate_packet_type(buf.data, buf.length), 'o');
	assert_true(operate_get_request(buf.data, buf.length, &got));
	assert_int_equal(got.action, OPERATE_RESET);
	assert_string_equal(got.domain, "example.org");
	for (size_t length = 0; length < buf.length; length++)
		assert_false(operate_get_request(buf.data, length, &got));
	buf.data[1] = OPERATE_ACTION_END;
	assert_false(operate_get_request(buf.data, buf.length, &got));
	buf.data[1] = 0;
	assert_false(operate_get_request(buf.data, buf.length, &got));
	buf_release(&buf);
}

static void
end(void **state)
{
	const struct operate_end sent = { OPERATE_ABSENT, "nothing" };
	struct operate_end got;
	struct buf buf = BUF_INIT;

	(void)state;
	operate_put_end(&buf, &sent);
	assert_int_equal(operate_packet_type(buf.data, buf.length), 'e');
	assert_true(operate_get_end(buf.data, buf.length, &got));
	assert_int_equal(got.code, OPERATE_ABSENT);
	assert_string_equal(got.text, "nothing");
	for (size_t length = 0; length < buf.length; length++)
		assert_false(operate_get_end(buf.data, length, &got));
	buf_release(&buf);
}

static void
destination(void **state)
{
	const struct operate_destination sent = { .state = OPERATE_RESTING,
		.has_more_domains = true,
		.lanes = 1,
		.waiting = 2,
		.window = 3,
		.connections = 4,
		.opening = 5,
		.busy = 6,
		.capped_s = 7,
		.rate = 8,
		.rate_s = 9,
		.rests_s = 10,
		.known_s = 11,
		.limit = 15,
		.rate_limit = 2500,
		.reason = "why",
		.reply = "421 later\n",
		.tls = "TLSv1.3",
		.messages = UINT64_MAX,
		.delivered = 12,
		.deferred = 13,
		.failed = 14,
		.domains = { "a.test", "b.test" },
		.domain_count = 2,
		.addresses = { { "mx.a.test", "192.0.2.1", 25, 3, 60 } },
		.address_count = 1 };
	static struct operate_destination got;
	struct buf buf = BUF_INIT;

	(void)state;
	operate_put_destination(&buf, &sent);
	assert_int_equal(operate_packet_type(buf.data, buf.length), 'd');
	assert_true(operate_get_destination(buf.data, buf.length, &got));
	assert_int_equal(got.state, OPERATE_RESTING);
	assert_true(got.has_more_domains);
	assert_false(got.is_retired);
	assert_int_equal(got.window, 3);
	assert_int_equal(got.known_s, 11);
	assert_int_equal(got.limit, 15);
	assert_int_equal(got.rate_limit, 2500);
	assert_true(got.messages == UINT64_MAX);
	assert_int_equal(got.failed, 14);
	assert_string_equal(got.reply, "421 later\n");
	assert_string_equal(got.domains[1], "b.test");
	assert_int_equal(got.addresses[0].rests_s, 60);
	assert_string_equal(got.addresses[0].ip, "192.0.2.1");
	for (size_t length = 0; length < buf.length; length++)
		assert_false(operate_get_destination(buf.data, length, &got));
	buf.data[1] = OPERATE_STATE_END;
	assert_false(operate_get_destination(buf.data, buf.length, &got));
	buf_release(&buf);
}

/* No counter may lead past the arrays. */
static void
too_many(void **state)
{
	static struct operate_destination sent, got;
	struct buf buf = BUF_INIT;
	size_t at;

	(void)state;
	sent = (struct operate_destination){
		.state = OPERATE_IDLE, .reason = "", .reply = "", .tls = ""
	};
	operate_put_destination(&buf, &sent);
	assert_true(operate_get_destination(buf.data, buf.length, &got));
	at = buf.length - 8; /* the two counts end it */
	buf.data[at] = OPERATE_DOMAINS_MAX + 1;
	assert_false(operate_get_destination(buf.data, buf.length, &got));
	buf.data[at] = 0;
	buf.data[at + 4] = OPERATE_ADDRESSES_MAX + 1;
	assert_false(operate_get_destination(buf.data, buf.length, &got));
	buf_release(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request),
		cmocka_unit_test(end),
		cmocka_unit_test(destination),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
