/* SPDX-License-Identifier: ISC */
/* lookupd/query.c: packets and records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/packet.h"
#include "lookupd/query.h"

static struct query_request request;
static struct query_answers answers;

static void
requests_arrive(void **state)
{
	struct query_request sent = { .id = 7,
		.deadline_ms = 12345,
		.count = 3,
		.queries = {
		    { .kind = QUERY_USER, .local = "a\"b", .domain = "x.test" },
		    { .kind = QUERY_RELAY,
			.local = "a",
			.domain = "x.test",
			.ip = "::1",
			.number = 3600 },
		    { .kind = QUERY_LOGIN,
			.local = "a",
			.domain = "x.test",
			.ip = "192.0.2.1",
			.service = "pop3",
			.opens_relay = true,
			.number = 5 },
		} };
	struct buf packet = BUF_INIT;

	(void)state;
	query_put_request(&packet, &sent);
	assert_true(query_get_request(packet.data, packet.length, &request));
	assert_int_equal(request.id, 7);
	assert_int_equal(request.deadline_ms, 12345);
	assert_int_equal(request.count, 3);
	assert_string_equal(request.queries[0].local, "a\"b");
	assert_string_equal(request.queries[0].ip, "");
	assert_string_equal(request.queries[1].ip, "::1");
	assert_int_equal(request.queries[1].number, 3600);
	assert_string_equal(request.queries[2].service, "pop3");
	assert_true(request.queries[2].opens_relay);
	/* No part of it is a request, nor more than it. */
	for (size_t length = 0; length < packet.length; length++)
		if (query_get_request(packet.data, length, &request))
			fail_msg("%zu bytes are a request", length);
	buf_addc(&packet, '\0');
	assert_false(query_get_request(packet.data, packet.length, &request));
	packet.data[0]++; /* another version */
	assert_false(
	    query_get_request(packet.data, packet.length - 1, &request));
	buf_release(&packet);
}

static void
long_names_are_none(void **state)
{
	char local[STORE_LOCAL_MAX + 2];
	struct query_request sent = { .count = 1,
		.queries = { { .kind = QUERY_USER,
		    .local = local,
		    .domain = "x.test" } } };

	(void)state;
	for (size_t length = STORE_LOCAL_MAX; length < sizeof(local);
	     length++) {
		struct buf packet = BUF_INIT;

		memset(local, 'a', sizeof(local));
		local[length] = '\0';
		query_put_request(&packet, &sent);
		assert_int_equal(query_get_request(
				     packet.data, packet.length, &request),
		    length <= STORE_LOCAL_MAX);
		buf_release(&packet);
	}
}

/* Large answers take several packets. */
static void
answers_arrive(void **state)
{
	enum { COUNT = 5 };
	struct query_answer sent[COUNT];
	char *record = xcalloc(1, QUERY_RECORD_MAX);
	size_t first = 0, packets = 0;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		sent[i] = (struct query_answer){ QUERY_FOUND,
			QUERY_FROM_DATABASE, i, record,
			i == 1 || i == 3 ? QUERY_RECORD_MAX : 10 };
	while (first < COUNT) {
		struct buf packet = BUF_INIT;

		first += query_put_answers(&packet, 9, first, sent, COUNT);
		assert_true(packet.length <= PACKET_MAX);
		assert_true(
		    query_get_answers(packet.data, packet.length, &answers));
		assert_int_equal(answers.id, 9);
		assert_int_equal(answers.total, COUNT);
		assert_int_equal(answers.first + answers.count, first);
		for (size_t i = 0; i < answers.count; i++) {
			assert_int_equal(
			    answers.answers[i].age_ms, answers.first + i);
			assert_int_equal(answers.answers[i].length,
			    sent[answers.first + i].length);
		}
		buf_release(&packet);
		packets++;
	}
	assert_int_equal(packets, 2);
	free(record);
}

/* A record of a local domain's user is as it was before there were places. */
static void
places_are_read(void **state)
{
	struct query_user user = { .flags = 4,
		.uid_flags = 16,
		.dir = "/d/a",
		.quota = "9S",
		.place = { "s1", "node2", 7, true, false } };
	const struct query_place other = { "", "old", 0, false, true };
	struct query_place place;
	struct query_user got;
	struct buf record = BUF_INIT;
	size_t length;

	(void)state;
	query_put_user(&record, &user);
	length = record.length;
	assert_true(query_get_user(record.data, length, &got));
	assert_int_equal(got.uid_flags, 16);
	assert_string_equal(got.quota, "9S");
	assert_string_equal(got.place.store, "s1");
	assert_string_equal(got.place.node, "node2");
	assert_int_equal(got.place.epoch, 7);
	assert_true(got.place.is_moving);
	assert_false(got.place.is_many_served);
	for (size_t i = 0; i < length; i++)
		assert_false(query_get_user(record.data, i, &got));
	user.place.store = NULL;
	buf_reset(&record);
	query_put_user(&record, &user);
	assert_int_equal(record.length, length - 3 - 6 - 4 - 4 - 8 - 1);
	assert_true(query_get_user(record.data, record.length, &got));
	assert_null(got.place.store);

	buf_reset(&record);
	query_put_place(&record, &other);
	assert_true(query_get_place(record.data, record.length, &place));
	assert_string_equal(place.store, "");
	assert_string_equal(place.node, "old");
	assert_true(place.is_many_served);
	assert_false(
	    query_get_place(record.data, record.length - 1, &place));
	buf_release(&record);
}

static void
records_are_read(void **state)
{
	const struct query_password password = {
		.user = { .flags = 4,
		    .uid_flags = 16,
		    .dir = "/d/a",
		    .quota = "9S" },
		.limits_flags = 2,
		.hash = "$6$x",
		.scram = "",
		.secret = "s",
		.gecos = "A",
	};
	const struct store_filter filter = { 2, "n", 3, 4, "k", "d", "0" };
	struct query_password got;
	struct query_user user;
	struct store_limits limits = { .values = { 0 } }, got_limits;
	struct store_filters filters;
	struct store_alias alias = { .lines = { NULL, 0 } };
	struct buf record = BUF_INIT;

	(void)state;
	query_put_password(&record, &password);
	assert_true(query_get_password(record.data, record.length, &got));
	assert_string_equal(got.user.dir, "/d/a");
	assert_string_equal(got.secret, "s");
	assert_int_equal(got.limits_flags, 2);
	assert_false(query_get_user(record.data, record.length, &user));
	assert_false(query_get_password(record.data, record.length - 1, &got));

	buf_reset(&record);
	limits.has[STORE_LIMIT_maxaliases] = true;
	limits.values[STORE_LIMIT_maxaliases] = -1;
	query_put_limits(&record, &limits);
	assert_true(query_get_limits(record.data, record.length, &got_limits));
	assert_true(got_limits.has[STORE_LIMIT_maxaliases]);
	assert_int_equal(got_limits.values[STORE_LIMIT_maxaliases], -1);
	assert_false(got_limits.has[STORE_LIMIT_diskquota]);
	assert_false(query_get_limits("\377\0\0\0\0\0\0\0\0", 9, &got_limits));

	buf_reset(&record);
	query_put_filter(&record, &filter);
	query_put_filter(&record, &filter);
	assert_true(query_get_filters(record.data, record.length, &filters));
	assert_int_equal(filters.count, 2);
	assert_string_equal(filters.items[1].destination, "d");
	store_filters_release(&filters);
	assert_false(
	    query_get_filters(record.data, record.length - 1, &filters));
	store_filters_release(&filters);

	assert_true(query_get_alias("&a@b\0|x", 8, &alias));
	assert_int_equal(alias.lines.count, 2);
	assert_string_equal(alias.lines.items[1], "|x");
	store_alias_release(&alias);
	assert_false(query_get_alias("&a", 2, &alias));
	assert_string_equal(query_get_domain("x.test", 7), "x.test");
	assert_null(query_get_domain("x\0test", 7));
	assert_null(query_get_domain("", 0));
	buf_release(&record);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_arrive),
		cmocka_unit_test(long_names_are_none),
		cmocka_unit_test(answers_arrive),
		cmocka_unit_test(records_are_read),
		cmocka_unit_test(places_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
