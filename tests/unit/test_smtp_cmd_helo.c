/* SPDX-License-Identifier: ISC */
/* Tests of smtp/cmd_helo.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_talk.h"

#define OFFERS(size)             \
	"250-g.example.test\r\n" \
	"250-PIPELINING\r\n"     \
	"250-8BITMIME\r\n"       \
	"250-SIZE " size "\r\n"  \
	"250-DSN\r\n"            \
	"250-SMTPUTF8\r\n"       \
	"250-CHUNKING\r\n"

static void
offers(void **state)
{
	static const struct {
		const char *name, *command, *reply;
		const char *variable, *value;
		bool is_lmtp, is_extended, has_status;
	} rows[] = {
		{ "HELO", "HELO x", "250 g.example.test\r\n", NULL, NULL, false,
		    false, false },
		{ "EHLO", "EHLO x",
		    OFFERS("77") "250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n",
		    NULL, NULL, false, true, true },
		{ "LHLO", "LHLO x",
		    OFFERS("77") "250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n",
		    NULL, NULL, true, true, true },
		{ "no status", "EHLO x", OFFERS("77") "250 HELP\r\n",
		    "DISABLE_ENHANCEDSTATUSCODES", "", false, true, false },
		{ "size by rules", "EHLO x",
		    OFFERS("9") "250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n",
		    "DATABYTES", "9", false, true, true },
		{ "DSN is not for programs", "EHLO x",
		    "250-g.example.test\r\n250-PIPELINING\r\n"
		    "250-8BITMIME\r\n250-SIZE 77\r\n250-SMTPUTF8\r\n"
		    "250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n"
		    "250 HELP\r\n",
		    "QMAILQUEUE", "/bin/true", false, true, true },
		{ "no limit", "EHLO x",
		    OFFERS("0") "250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n",
		    "DATABYTES", "0", false, true, true },
	};

	(void)state;
	smtp_home_write(root, "control/databytes", "77\n");
	smtp_home_write(root, "control/smtpgreeting", "g.example.test\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct smtp_kind kind = { .is_lmtp = rows[i].is_lmtp };
		struct talk talk;
		const char *reply;

		talk_begin(&talk, &kind);
		if (rows[i].variable != NULL)
			vars_set(&talk.vars, rows[i].variable, rows[i].value);
		reply = talk_say(&talk, rows[i].command);
		if (strcmp(reply, rows[i].reply) != 0)
			fail_msg("%s: got '%s', wanted '%s'", rows[i].name,
			    reply, rows[i].reply);
		assert_true(talk.session.has_hello);
		assert_int_equal(talk.session.is_extended, rows[i].is_extended);
		assert_int_equal(talk.session.has_status, rows[i].has_status);
		assert_string_equal(talk.session.helo, "x");
		talk_end(&talk);
	}
}

/* RFC 4865 3: of submission alone, and only if it is allowed. */
static void
futurerelease(void **state)
{
	static const struct {
		bool is_submission;
		const char *variable, *value, *offer; /* NULL: there is none */
	} rows[] = {
		{ true, "X", "", "250-FUTURERELEASE 60 " },
		{ false, "X", "", NULL },
		{ true, "FUTURERELEASE", "0", NULL },
		{ true, "FUTURERELEASE", "7000000000",
		    "250-FUTURERELEASE 999999999 " },
		{ true, "QMAILQUEUE", "/bin/true", NULL },
	};

	(void)state;
	smtp_home_write(root, "control/futurerelease", "60\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct smtp_kind kind = {
			.is_submission = rows[i].is_submission
		};
		struct talk talk;
		const char *found;

		talk_begin(&talk, &kind);
		vars_set(&talk.vars, rows[i].variable, rows[i].value);
		found = strstr(talk_say(&talk, "EHLO x"), "250-FUTURERELEASE");
		assert_int_equal(found != NULL, rows[i].offer != NULL);
		if (found != NULL) {
			const char *date = found + strlen(rows[i].offer);

			assert_memory_equal(
			    found, rows[i].offer, strlen(rows[i].offer));
			/* 2026-12-01T00:00:00Z */
			assert_int_equal(strcspn(date, "\r"), 20);
			assert_memory_equal(date + 19, "Z", 1);
		}
		talk_end(&talk);
	}
}

/* Any name is taken, but not more of it than there is room for. */
static void
long_names_are_cut(void **state)
{
	const struct smtp_kind kind = { .is_lmtp = false };

	(void)state;
	for (size_t length = SMTP_HELO_MAX - 1; length <= SMTP_HELO_MAX + 1;
	     length++) {
		char name[SMTP_HELO_MAX + 2], *command;
		struct talk talk;

		memset(name, 'n', length);
		name[length] = '\0';
		talk_begin(&talk, &kind);
		command = xasprintf("HELO %s", name);
		talk_must(&talk, command, "250 ");
		assert_int_equal(strlen(talk.session.helo),
		    length < SMTP_HELO_MAX ? length : SMTP_HELO_MAX);
		free(command);
		talk_end(&talk);
	}
}

/* RFC 5321 4.1.4: as RSET; and what EHLO promised holds until the next one. */
static void
a_second_one_begins_anew(void **state)
{
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;

	(void)state;
	talk_begin(&talk, &kind);
	talk_must(&talk, "EHLO first", "250");
	talk_must(&talk, "MAIL FROM:<a@b.example>", "250 2.1.0");
	talk_must(&talk, "HELO second", "250");
	assert_false(talk.session.transaction.is_open);
	assert_string_equal(talk.session.helo, "second");
	assert_false(talk.session.is_extended);
	talk_expect(&talk, "no status now", "NOOP", "250 ok");
	talk_end(&talk);
}

/* RFC 2033 4.1: never a positive reply. */
static void
lmtp_takes_no_other(void **state)
{
	static const char *const commands[] = { "HELO x", "EHLO x", "EHLO" };
	const struct smtp_kind kind = { .is_lmtp = true };
	struct talk talk;

	(void)state;
	talk_begin(&talk, &kind);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		talk_expect(&talk, "lmtp", commands[i],
		    "502 this is LMTP, please say LHLO (#5.5.1)");
	assert_false(talk.session.has_hello);
	assert_int_equal(talk.session.errors, 3);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(futurerelease),
		TALK_TEST(offers),
		TALK_TEST(long_names_are_cut),
		TALK_TEST(a_second_one_begins_anew),
		TALK_TEST(lmtp_takes_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
