/* SPDX-License-Identifier: ISC */
/* Tests of smtp/log.c: lines that log tools take apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "queue/exitcode.h"
#include "tests/unit/smtp_talk.h"

static const struct smtp_kind smtp = { .is_lmtp = false };

#define FRONT "qmail-smtpd: pid 7 from 192.0.2.1 "

static void
refusals(void **state)
{
	static const struct {
		const char *sender, *recipient, *more, *wanted;
	} rows[] = {
		{ "a@b", "c@d", NULL,
		    FRONT "what: MAIL from <a@b> RCPT <c@d>\n" },
		{ "a@b", NULL, NULL, FRONT "what: MAIL from <a@b>\n" },
		{ "", NULL, "more", FRONT "what: MAIL from <> more\n" },
		{ NULL, NULL, NULL, FRONT "what: MAIL from <>\n" },
		{ "a b@c", "<x>\n", NULL,
		    FRONT "what: MAIL from <a_b@c> RCPT <_x__>\n" },
		{ "a@b", "c\302\205\302\2332J\377@d", NULL,
		    FRONT "what: MAIL from <a@b> RCPT <c__2J_@d>\n" },
	};
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int saved = talk_log_begin(&talk);

		talk.session.transaction.sender = rows[i].sender;
		smtp_log_refused(&talk.session, "what", "RCPT",
		    rows[i].recipient, rows[i].more);
		talk_log_end(&talk, saved);
		assert_string_equal(talk.logged.data, rows[i].wanted);
	}
	talk_end(&talk);
}

static void
sizes(void **state)
{
	struct talk talk;
	int saved;

	(void)state;
	talk_begin(&talk, &smtp);
	talk.session.transaction.sender = "a@b";
	saved = talk_log_begin(&talk);
	smtp_log_too_large(&talk.session, UINT64_MAX, 100);
	talk_log_end(&talk, saved);
	assert_string_equal(talk.logged.data,
	    FRONT "data size exceeded: MAIL from <a@b> Size: "
		  "18446744073709551615 limit: 100\n");
	talk_end(&talk);
}

/*
 * One line for each recipient; who may relay is told from who is local, and
 * what was accepted, where it is.
 */
static void
results(void **state)
{
	static const struct {
		int result;
		struct sink_outcome outcome;
		const char *front, *where;
	} rows[] = {
		{ QQ_OK, { .queue = "queue7", .id = 1ull << 40 },
		    FRONT " HELO <x> MAIL from <a@b> RCPT <",
		    " queue queue7 msg 1099511627776" },
		{ QQ_OK, { .id = 0 }, FRONT " HELO <x> MAIL from <a@b> RCPT <",
		    "" },
		{ QQ_REJECTED, { .text = "why" },
		    FRONT "why (permanent): HELO <x> MAIL from <a@b> RCPT <",
		    "" },
		{ QQ_WRITE_ERROR, { .text = "why" },
		    FRONT "why (temporary): HELO <x> MAIL from <a@b> RCPT <",
		    "" },
		{ QQ_REJECTED, { .text = "bad> HELO <y>\n\302\2332J" },
		    FRONT "bad_ HELO _y_??2J (permanent): HELO <x> MAIL from "
			  "<a@b> RCPT <",
		    "" },
	};
	static const char uuid[] = "0190163d-8694-739b-aea5-966c26f8ad91";
	struct talk talk;

	(void)state;
	talk_begin(&talk, &smtp);
	memcpy(talk.session.helo, "x", 2);
	talk.session.transaction.sender = "a@b";
	smtp_transaction_add(&talk.session, "local@c", "", false);
	smtp_transaction_add(&talk.session, "far@d", "", true);
	talk.session.transaction.message = (struct smtp_message){
		.size_bytes = 12, .when = 1000, .qp = 55
	};
	assert_true(uuid_parse(uuid, &talk.session.transaction.message.uuid));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int saved = talk_log_begin(&talk);
		char *wanted;

		smtp_log_result(
		    &talk.session, rows[i].result, &rows[i].outcome);
		talk_log_end(&talk, saved);
		wanted = xasprintf("%slocal@c> AUTH <local-rcpt> Size: 12 "
				   "TLS=No qp 55 id %s%s\n"
				   "%sfar@d> AUTH <auth-ip/pop> Size: 12 "
				   "TLS=No qp 55 id %s%s\n",
		    rows[i].front, uuid, rows[i].where, rows[i].front, uuid,
		    rows[i].where);
		assert_string_equal(talk.logged.data, wanted);
		free(wanted);
	}
	talk_end(&talk);
}

/* However long what a peer sent is: the line ends, and is one. */
static void
long_fields(void **state)
{
	static char text[3000];
	struct talk talk;
	int saved;

	(void)state;
	memset(text, 't', sizeof(text) - 1);
	talk_begin(&talk, &smtp);
	talk.session.transaction.sender = text;
	saved = talk_log_begin(&talk);
	smtp_log_refused(&talk.session, "what", "RCPT", text, NULL);
	talk_log_end(&talk, saved);
	assert_int_equal(talk.logged.length,
	    strlen(FRONT "what: MAIL from <> RCPT <>\n") + 2 * 300);
	saved = talk_log_begin(&talk);
	smtp_log(&talk.session, "%s", text);
	talk_log_end(&talk, saved);
	assert_true(talk.logged.length < sizeof(text));
	assert_ptr_equal(strchr(talk.logged.data, '\n'),
	    talk.logged.data + talk.logged.length - 1);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(refusals),
		TALK_TEST(sizes),
		TALK_TEST(results),
		TALK_TEST(long_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
