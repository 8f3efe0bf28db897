/* SPDX-License-Identifier: ISC */
/* cluster/message.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/message.h"

#define FIRST "0190163d-8694-739b-aea5-966c26f8ad91"
#define LATER "0190163d-8695-739b-aea5-966c26f8ad91"
#define REST                                                             \
	"\"node\":\"n1\",\"instance\":\"" FIRST "\",\"epoch\":3,\"at\":5," \
	"\"seq\":7,\"health\":{\"load\":[1]}}"

static void
reading(void **state)
{
	static const struct {
		const char *text;
		enum message_fault fault;
	} cases[] = {
		{ "{\"v\":1," REST, MESSAGE_FINE },
		{ "{\"v\":2," REST, MESSAGE_FINE },
		{ "{\"v\":2,\"later\":{}," REST, MESSAGE_FINE },
		{ "{\"v\":0," REST, MESSAGE_OTHER_VERSION },
		{ "{\"v\":3," REST, MESSAGE_OTHER_VERSION },
		{ "{\"v\":-1," REST, MESSAGE_INCOMPLETE },
		{ "{\"v\":\"1\"," REST, MESSAGE_INCOMPLETE },
		{ "{" REST, MESSAGE_INCOMPLETE },
		{ "{\"v\":1,\"v\":1," REST, MESSAGE_NOT_JSON },
		{ "{\"v\":1", MESSAGE_NOT_JSON },
		{ "", MESSAGE_NOT_JSON },
		{ "[1]", MESSAGE_INCOMPLETE },
		{ "{\"v\":1}", MESSAGE_INCOMPLETE },
		{ "{\"v\":1,\"node\":\"\",\"instance\":\"" FIRST
		  "\",\"epoch\":3,\"at\":5,\"seq\":7,\"health\":{}}",
		    MESSAGE_INCOMPLETE },
		{ "{\"v\":1,\"node\":\"n1\",\"instance\":\"" FIRST
		  "x\",\"epoch\":3,\"at\":5,\"seq\":7,\"health\":{}}",
		    MESSAGE_INCOMPLETE },
		{ "{\"v\":1,\"node\":\"n1\",\"instance\":\"" FIRST
		  "\",\"epoch\":-3,\"at\":5,\"seq\":7,\"health\":{}}",
		    MESSAGE_INCOMPLETE },
		{ "{\"v\":1,\"node\":\"n1\",\"instance\":\"" FIRST
		  "\",\"epoch\":3,\"at\":5,\"seq\":0,\"health\":{}}",
		    MESSAGE_INCOMPLETE },
		{ "{\"v\":1,\"node\":\"n1\",\"instance\":\"" FIRST
		  "\",\"epoch\":3,\"at\":5,\"seq\":7,\"health\":7}",
		    MESSAGE_INCOMPLETE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message message = { .health = NULL };
		enum message_fault fault = message_read(
		    cases[i].text, strlen(cases[i].text), &message);

		if (fault != cases[i].fault)
			fail_msg("'%s': %s, not %s", cases[i].text,
			    message_fault_name(fault),
			    message_fault_name(cases[i].fault));
		if (fault == MESSAGE_FINE) {
			assert_string_equal(message.node, "n1");
			assert_int_equal(message.epoch, 3);
			assert_int_equal(message.sequence, 7);
			assert_int_equal(message.at_ms, 5);
		}
		message_release(&message);
	}
}

static void
one_that_is_too_large(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct message message;
	json_t *health = json_object();

	(void)state;
	for (int i = 0; i < MESSAGE_MAX; i++)
		buf_addc(&text, ' ');
	buf_adds(&text, "{\"v\":1," REST);
	assert_int_equal(message_read(text.data, text.length, &message),
	    MESSAGE_TOO_LARGE);
	json_object_set_new(
	    health, "text", json_stringn(text.data, MESSAGE_MAX));
	message = (struct message){ .version = 1,
		.node = "n1",
		.sequence = 1,
		.health = health };
	buf_reset(&text);
	assert_int_equal(message_write(&message, &text), -1);
	assert_int_equal(text.length, 0);
	message_release(&message);
}

static void
what_is_written_is_read(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct message message = { .version = CLUSTER_PROTOCOL,
		.node = "n1",
		.epoch = 3,
		.sequence = 8,
		.at_ms = 1796035200000,
		.health = json_pack("{s:i}", "backlog", 9) };
	struct message got;

	(void)state;
	assert_true(uuid_parse(FIRST, &message.instance));
	assert_int_equal(message_write(&message, &text), 0);
	assert_int_equal(
	    message_read(text.data, text.length, &got), MESSAGE_FINE);
	assert_string_equal(got.node, "n1");
	assert_true(uuid_is_equal(&got.instance, &message.instance));
	assert_int_equal(got.at_ms, message.at_ms);
	assert_int_equal(
	    json_integer_value(json_object_get(got.health, "backlog")), 9);
	/* Each beginning of it is cut short. */
	for (size_t i = 0; i < text.length; i++)
		assert_int_not_equal(message_read(text.data, i, &got),
		    MESSAGE_FINE);
	message_release(&message);
	message_release(&got);
}

static void
judging(void **state)
{
	static const struct {
		const char *instance;
		uint64_t last_epoch, epoch, last_sequence, sequence;
		enum message_fault fault;
	} cases[] = {
		{ FIRST, 3, 3, 0, 1, MESSAGE_FINE }, /* the first at all */
		{ FIRST, 3, 3, 7, 8, MESSAGE_FINE },
		{ FIRST, 3, 3, 7, 20, MESSAGE_FINE },
		{ FIRST, 3, 3, 7, 7, MESSAGE_REPLAYED },
		{ FIRST, 3, 3, 7, 6, MESSAGE_REPLAYED },
		{ LATER, 3, 4, 7, 1, MESSAGE_FINE },
		{ LATER, 3, 0, 7, 1, MESSAGE_FINE },
		/* of a clock that was set back, but with a lease */
		{ "0190163d-8693-739b-aea5-966c26f8ad91", 3, 4, 7, 1,
		    MESSAGE_FINE },
		{ "0190163d-8693-739b-aea5-966c26f8ad91", 3, 3, 7, 9,
		    MESSAGE_OLD },
		{ "0190163d-8693-739b-aea5-966c26f8ad91", 3, 0, 7, 9,
		    MESSAGE_OLD },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message last = { .epoch = cases[i].last_epoch,
			.sequence = cases[i].last_sequence };
		struct message message = { .epoch = cases[i].epoch,
			.sequence = cases[i].sequence };

		assert_true(uuid_parse(FIRST, &last.instance));
		assert_true(uuid_parse(cases[i].instance, &message.instance));
		if (message_judge(&last, &message) != cases[i].fault)
			fail_msg("case %zu: %s", i,
			    message_fault_name(
				message_judge(&last, &message)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),
		cmocka_unit_test(one_that_is_too_large),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(judging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
