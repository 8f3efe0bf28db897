/* SPDX-License-Identifier: ISC */
/* Tests of smtp/transaction.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "queue/exitcode.h"
#include "tests/unit/smtp_talk.h"

static const struct smtp_kind smtp = { .is_lmtp = false };

static void
numbers_of_variables(void **state)
{
	static const struct {
		const char *text; /* NULL: unset */
		int result;
		uint64_t value;
	} rows[] = {
		{ NULL, 0, 42 },
		{ "", 0, 42 },
		{ "0", 0, 0 },
		{ "7", 0, 7 },
		{ "007", 0, 7 },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "9223372036854775808", -1, 0 },
		{ "-1", -1, 0 },
		{ "+1", -1, 0 },
		{ " 1", -1, 0 },
		{ "1 ", -1, 0 },
		{ "1k", -1, 0 },
		{ "0x1", -1, 0 },
	};
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = rows[i].text != NULL ? rows[i].text : "none";
		uint64_t value;
		int saved, result;

		vars_set(&talk.vars, "X", rows[i].text);
		saved = talk_log_begin(&talk);
		result = smtp_transaction_number(
		    &talk.session, "X", 42, &value);
		talk_log_end(&talk, saved);
		if (result != rows[i].result ||
		    (result == 0 && value != rows[i].value))
			fail_msg("'%s': got %d, %llu", name, result,
			    (unsigned long long)value);
		if ((talk.logged.length > 0) != (result == -1))
			fail_msg("'%s': logged '%s'", name, talk.logged.data);
	}
	talk_end(&talk);
}

/* What rules set for one transaction ends with it. */
static void
variables_are_copied(void **state)
{
	struct talk talk;
	struct vars *own;

	(void)state;
	talk_begin(&talk, &smtp);
	vars_set(&talk.vars, "A", "session's");
	vars_set(&talk.vars, "PATH", NULL);
	assert_ptr_equal(smtp_transaction_vars(&talk.session), &talk.vars);
	own = smtp_transaction_own_vars(&talk.session);
	assert_ptr_not_equal(own, &talk.vars);
	assert_ptr_equal(smtp_transaction_own_vars(&talk.session), own);
	assert_ptr_equal(smtp_transaction_vars(&talk.session), own);
	assert_string_equal(vars_get(own, "A"), "session's");
	assert_null(vars_get(own, "PATH"));
	vars_set(own, "A", "rule's");
	assert_string_equal(vars_get(&talk.vars, "A"), "session's");
	smtp_transaction_reset(&talk.session);
	assert_string_equal(
	    vars_get(smtp_transaction_vars(&talk.session), "A"), "session's");
	talk_end(&talk);
}

static void
recipients_are_kept_in_order(void **state)
{
	enum { COUNT = 100 };
	struct smtp_transaction *transaction;
	struct talk talk;
	char address[32];

	(void)state;
	talk_begin(&talk, &smtp);
	transaction = &talk.session.transaction;
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(address, sizeof(address), "u%03u@example.test", i);
		smtp_transaction_add(&talk.session, address, "", i % 3 == 0);
	}
	assert_int_equal(transaction->recipient_count, COUNT);
	assert_int_equal(transaction->recipient_bytes,
	    COUNT * (strlen(address) + SMTP_RECIPIENT_BYTES));
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(address, sizeof(address), "u%03u@example.test", i);
		assert_string_equal(
		    transaction->recipients[i].address, address);
		assert_int_equal(
		    transaction->recipients[i].is_relayed, i % 3 == 0);
	}
	smtp_transaction_reset(&talk.session);
	assert_int_equal(transaction->recipient_count, 0);
	assert_int_equal(transaction->recipient_bytes, 0);
	talk_end(&talk);
}

/* A transaction that is given up leaves nothing taken. */
static void
memory_is_given_back(void **state)
{
	struct talk talk;
	uint64_t limit = 524288, half = limit / 2;

	(void)state;
	smtp_home_write(root, "control/sessionmemory", "524288\n");
	talk_begin(&talk, &smtp);
	for (int i = 0; i < 3; i++) {
		uint64_t *taken = &talk.session.transaction.taken_bytes;
		int saved = talk_log_begin(&talk);
		bool has_both = smtp_session_take_memory(
				    &talk.session, half, taken) &&
		    smtp_session_take_memory(&talk.session, half, taken);
		bool has_more = smtp_session_take_memory(
		    &talk.session, 1, taken);

		talk_log_end(&talk, saved);
		assert_true(has_both);
		assert_false(has_more);
		assert_int_equal(*taken, limit);
		smtp_transaction_reset(&talk.session);
		assert_int_equal(*taken, 0);
	}
	talk_end(&talk);
}

/* RFC 2034 4: the first digits of code and status are the same. */
static void
replies_of_queues(void **state)
{
	static const struct {
		int result;
		const char *text, *reply;
	} rows[] = {
		{ QQ_REJECTED, "no (#5.7.1)", "554 5.7.1 no (#5.7.1)\r\n" },
		{ QQ_REJECTED, "no", "554 5.3.0 no\r\n" },
		{ QQ_REJECTED, "no (#4.3.0)", "554 5.3.0 no (#4.3.0)\r\n" },
		{ QQ_REJECTED, "no (#5.123.123)",
		    "554 5.123.123 no (#5.123.123)\r\n" },
		{ QQ_REJECTED, "no (#5.123.1234)",
		    "554 5.3.0 no (#5.123.1234)\r\n" },
		{ 115, "", "554 5.3.0 \r\n" },
		{ 11, "x", "554 5.3.0 x\r\n" },
		{ 40, "x", "554 5.3.0 x\r\n" },
		{ 10, "x", "451 4.3.0 x\r\n" },
		{ 41, "x", "451 4.3.0 x\r\n" },
		{ QQ_CUSTOM, "later (#4.7.1)", "451 4.7.1 later (#4.7.1)\r\n" },
		{ QQ_CUSTOM, "a\r\n250 b (#4.7.1)",
		    "451 4.7.1 a??250 b (#4.7.1)\r\n" },
		{ QQ_WRITE_ERROR, "full (#4.3.1)",
		    "452 4.3.1 full (#4.3.1)\r\n" },
		{ QQ_OUT_OF_MEMORY, "x", "452 4.3.0 x\r\n" },
	};
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	talk.session.has_status = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int saved = talk_log_begin(&talk);
		const char *reply;

		smtp_reply_qq(&talk.session, rows[i].result, rows[i].text);
		reply = talk_log_end(&talk, saved);
		if (strcmp(reply, rows[i].reply) != 0)
			fail_msg("%d, '%s': got '%s', wanted '%s'",
			    rows[i].result, rows[i].text, reply, rows[i].reply);
	}
	talk_end(&talk);
}

static void
sink_is_opened_once(void **state)
{
	struct talk talk;
	struct sink *sink;

	(void)state;
	talk_begin(&talk, &smtp);
	assert_int_equal(smtp_transaction_open_sink(&talk.session), QQ_OK);
	sink = talk.session.transaction.sink;
	assert_non_null(sink);
	assert_int_equal(smtp_transaction_open_sink(&talk.session), QQ_OK);
	assert_ptr_equal(talk.session.transaction.sink, sink);
	smtp_transaction_reset(&talk.session);
	assert_null(talk.session.transaction.sink);
	/* The session's variables name a queue that is not there. */
	unsetenv("NULLQUEUE");
	vars_set(&talk.vars, "QUEUEDIR", root);
	assert_int_not_equal(smtp_transaction_open_sink(&talk.session), QQ_OK);
	assert_null(talk.session.transaction.sink);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(numbers_of_variables),
		TALK_TEST(variables_are_copied),
		TALK_TEST(recipients_are_kept_in_order),
		TALK_TEST(memory_is_given_back),
		TALK_TEST(replies_of_queues),
		TALK_TEST(sink_is_opened_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
