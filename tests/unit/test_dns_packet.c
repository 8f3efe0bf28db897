/* SPDX-License-Identifier: ISC */
/* Tests of resolver/dns_packet.c. */
#include "resolver/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
query(void **state)
{
	struct dns_query asked = {
		.id = 7, .type = DNS_MX, .name = "example.test"
	};
	struct dns_query got;
	struct buf packet = BUF_INIT;

	(void)state;
	dns_put_query(&packet, &asked);
	assert_true(dns_get_query(packet.data, packet.length, &got));
	assert_int_equal(got.id, 7);
	assert_int_equal(got.type, DNS_MX);
	assert_string_equal(got.name, "example.test");
	for (size_t length = 0; length < packet.length; length++)
		assert_false(dns_get_query(packet.data, length, &got));
	buf_reset(&packet);
	asked.type = (enum dns_type)250;
	dns_put_query(&packet, &asked);
	assert_false(dns_get_query(packet.data, packet.length, &got));
	buf_reset(&packet);
	asked = (struct dns_query){ .type = DNS_A, .name = "" };
	dns_put_query(&packet, &asked);
	assert_false(dns_get_query(packet.data, packet.length, &got));
	buf_release(&packet);
}

static void
answer(void **state)
{
	struct dns_record records[] = { { (const unsigned char *)"\1\2", 2 },
		{ (const unsigned char *)"", 0 } };
	struct dns_answer said = { .state = DNS_FOUND,
		.is_secure = true,
		.ttl_s = 300,
		.name = "a.test",
		.reason = "",
		.records = records,
		.record_count = 2 };
	struct dns_answer got;
	struct buf packet = BUF_INIT;
	uint32_t id;

	(void)state;
	dns_put_answer(&packet, 9, &said);
	assert_true(dns_get_answer(packet.data, packet.length, &id, &got));
	assert_int_equal(id, 9);
	assert_int_equal(got.state, DNS_FOUND);
	assert_true(got.is_secure);
	assert_false(got.is_no_name);
	assert_int_equal(got.ttl_s, 300);
	assert_string_equal(got.name, "a.test");
	assert_int_equal(got.record_count, 2);
	assert_int_equal(got.records[0].length, 2);
	assert_memory_equal(got.records[0].data, "\1\2", 2);
	dns_answer_release(&got);
	for (size_t length = 0; length < packet.length; length++)
		assert_false(dns_get_answer(packet.data, length, &id, &got));
	buf_release(&packet);
}

/* Found without a record, absent with one, and what is no state. */
static void
contradictions(void **state)
{
	struct dns_record record = { (const unsigned char *)"x", 1 };
	static const struct {
		enum dns_state state;
		size_t count;
		bool wanted;
	} rows[] = {
		{ DNS_FOUND, 0, false },
		{ DNS_ABSENT, 1, false },
		{ DNS_ABSENT, 0, true },
		{ DNS_UNKNOWN, 0, true },
		{ (enum dns_state)4, 0, false },
		{ (enum dns_state)0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dns_answer said = { .state = rows[i].state,
			.name = "",
			.reason = "",
			.records = &record,
			.record_count = rows[i].count };
		struct dns_answer got;
		struct buf packet = BUF_INIT;
		uint32_t id;

		dns_put_answer(&packet, 1, &said);
		if (dns_get_answer(packet.data, packet.length, &id, &got) !=
		    rows[i].wanted)
			fail_msg("row %zu", i);
		if (rows[i].wanted)
			dns_answer_release(&got);
		buf_release(&packet);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(query),
		cmocka_unit_test(answer),
		cmocka_unit_test(contradictions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
