/* SPDX-License-Identifier: ISC */
/* Tests of smtp/policy_mailbox.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/smtp_talk.h"
#include "tests/unit/vdomain.h"

static const struct smtp_kind smtp = { .is_lmtp = false };

static const struct vdomain_user users[] = {
	{ "al", "NOQUOTA", 0, 0, false },
	{ "inactive", "NOQUOTA", 16, 0, false },
	{ "locked", "NOQUOTA", 0, STORE_BOUNCE_MAIL, false },
	{ "both", "NOQUOTA", 16, STORE_BOUNCE_MAIL, false },
	{ "nopop", "NOQUOTA", 15, STORE_NO_POP | STORE_NO_RELAY, false },
};

static struct vdomain domain;

/* A node with the domain, whose home is the talk's, too. */
static int
set_up(void **state)
{
	char *control;
	int result;

	(void)state;
	vdomain_make(&domain, users, sizeof(users) / sizeof(users[0]));
	root = domain.root;
	control = xasprintf("%s/control", root);
	result = file_make_dirs(control, 0755, NULL);
	free(control);
	if (result == -1)
		return -1;
	smtp_home_write(root, "control/me", "mail.example.test\n");
	smtp_home_write(
	    root, "control/rcpthosts", "example.test\nother.test\n");
	setenv("MQMAIL_HOME", root, 1);
	setenv("NULLQUEUE", "1", 1);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unsetenv("NULLQUEUE");
	vdomain_remove(&domain);
	return 0;
}

static bool
ask(struct talk *talk, const char *path)
{
	struct smtp_address address;
	size_t used;
	bool result;
	int saved;

	assert_int_equal(
	    smtp_address_parse(path, strlen(path), &address, &used),
	    SMTP_ADDRESS_OK);
	saved = talk_log_begin(talk);
	result = smtp_policy_mailbox(&talk->session, &address);
	talk_log_end(talk, saved);
	return result;
}

static void
begin(struct talk *talk)
{
	talk_begin(talk, &smtp);
	talk_must(talk, "EHLO x", "250");
	talk_must(talk, "MAIL FROM:<s@b.example>", "250");
}

#define REFUSED(mailbox, status, what)                                  \
	"550 " status " sorry, s@b.example mailbox <" mailbox "> " what \
	" (#" status ")\r\n"
#define ABSENT "is absent on this domain"
#define INACTIVE "is inactive on this domain"
#define OVERQUOTA "is overquota on this domain"

static void
mailboxes(void **state)
{
	static const struct {
		const char *path, *reply; /* "": taken */
	} rows[] = {
		{ "<al@example.test>", "" },
		{ "<AL@Example.TEST>", "" },
		{ "<nopop@example.test>", "" },
		{ "<none@example.test>",
		    REFUSED("none@example.test", "5.1.1", ABSENT) },
		{ "<inactive@example.test>",
		    REFUSED("inactive@example.test", "5.2.1", INACTIVE) },
		{ "<locked@example.test>",
		    REFUSED("locked@example.test", "5.2.2", OVERQUOTA) },
		{ "<both@example.test>",
		    REFUSED("both@example.test", "5.2.1", INACTIVE) },
		/* RFC 5321 4.5.1 */
		{ "<postmaster@example.test>", "" },
		{ "<PostMaster@example.test>", "" },
		{ "<postmaster>", "" },
		{ "<postmasters@example.test>",
		    REFUSED("postmasters@example.test", "5.1.1", ABSENT) },
		/* Not the store's: later parts decide. */
		{ "<none@other.test>", "" },
		{ "<none@[192.0.2.2]>", "" },
		/* What a .qmail file of its own takes. */
		{ "<list@example.test>", "" },
		{ "<list-x@example.test>",
		    REFUSED("list-x@example.test", "5.1.1", ABSENT) },
		/* Bytes of a peer are not shown. */
		{ "<\"no one\"@example.test>",
		    "550 5.1.1 sorry, this mailbox " ABSENT " (#5.1.1)\r\n" },
	};
	struct talk talk;

	(void)state;
	smtp_home_write(
	    root, "domains/example.test/.qmail-list", "&a@b.example\n");
	begin(&talk);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool taken = ask(&talk, rows[i].path);

		if (taken != (*rows[i].reply == '\0') ||
		    strcmp(talk.replies.data, rows[i].reply) != 0)
			fail_msg("%s: got %d '%s', wanted '%s'", rows[i].path,
			    taken, talk.replies.data, rows[i].reply);
		if (taken ==
		    (strstr(talk.logged.data,
			 "Invalid RECIPIENT address: "
			 "MAIL from <s@b.example> ") != NULL))
			fail_msg(
			    "%s: logged '%s'", rows[i].path, talk.logged.data);
	}
	talk_end(&talk);
}

/* user%domain is judged as it will be delivered. */
static void
percenthack(void **state)
{
	struct talk talk;

	(void)state;
	smtp_home_write(root, "control/percenthack", "other.test\n");
	begin(&talk);
	assert_true(ask(&talk, "<al%example.test@other.test>"));
	assert_false(ask(&talk, "<none%example.test@other.test>"));
	assert_string_equal(talk.replies.data,
	    REFUSED("none%example.test@other.test", "5.1.1", ABSENT));
	assert_false(ask(&talk, "<none%example.test@example.test>"));
	talk_end(&talk);
}

/* Who the sender is stands in front, if that is safe to show. */
static void
senders(void **state)
{
	static const struct {
		const char *mail, *reply;
	} rows[] = {
		{ "MAIL FROM:<>",
		    "550 5.1.1 sorry, mailbox <none@example.test> " ABSENT
		    " (#5.1.1)\r\n" },
		{ "MAIL FROM:<\"a b\"@b.example>",
		    "550 5.1.1 sorry, mailbox <none@example.test> " ABSENT
		    " (#5.1.1)\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct talk talk;

		talk_begin(&talk, &smtp);
		talk_must(&talk, "EHLO x", "250");
		talk_must(&talk, rows[i].mail, "250");
		assert_false(ask(&talk, "<none@example.test>"));
		assert_string_equal(talk.replies.data, rows[i].reply);
		talk_end(&talk);
	}
}

/* Which domains are asked for, by setting and by variable. */
static void
who_is_asked_for(void **state)
{
	static const struct {
		const char *setting;  /* chkrcptdomains; NULL: none */
		const char *variable; /* CHECKRECIPIENT; NULL: unset */
		bool is_asked;
	} rows[] = {
		{ NULL, NULL, true },
		{ NULL, "0", false },
		{ NULL, "1", true },
		{ NULL, "", true },
		{ "example.test\n", NULL, true },
		{ "EXAMPLE.test\n", NULL, true },
		{ "other.test\n", NULL, false },
		{ "other.test\n", "1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct talk talk;

		if (rows[i].setting != NULL)
			smtp_home_write(
			    root, "control/chkrcptdomains", rows[i].setting);
		begin(&talk);
		vars_set(&talk.vars, "CHECKRECIPIENT", rows[i].variable);
		if (ask(&talk, "<none@example.test>") == rows[i].is_asked)
			fail_msg("row %zu", i);
		talk_end(&talk);
	}
}

/* Guessing addresses ends; a bad limit is no way around that. */
static void
guesses_have_a_limit(void **state)
{
	static const struct {
		const char *limit; /* MAX_RCPT_ERRCOUNT */
		unsigned most;
	} rows[] = {
		{ NULL, SMTP_BAD_RECIPIENTS_MAX },
		{ "0", 0 },
		{ "3", 3 },
		{ "many", SMTP_BAD_RECIPIENTS_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct talk talk;

		begin(&talk);
		vars_set(&talk.vars, "MAX_RCPT_ERRCOUNT", rows[i].limit);
		for (unsigned n = 0; n < rows[i].most; n++) {
			assert_false(ask(&talk, "<none@example.test>"));
			assert_false(talk.session.is_over);
			assert_true(ask(&talk, "<al@example.test>"));
		}
		assert_false(ask(&talk, "<none@example.test>"));
		assert_true(talk.session.is_over);
		assert_non_null(strstr(talk.replies.data,
		    "\r\n421 4.7.1 too many invalid addresses, goodbye "
		    "(#4.7.1)\r\n"));
		talk_end(&talk);
	}
}

/* What is damaged defers: nobody is called absent. */
static void
could_not_tell_is_temporary(void **state)
{
	struct talk talk;

	(void)state;
	smtp_home_write(root, "domains/example.test/vpasswd.cdb", "damaged");
	begin(&talk);
	assert_false(ask(&talk, "<none@example.test>"));
	assert_string_equal(talk.replies.data,
	    "451 4.3.2 Sorry, I got a temporary database error (#4.3.2)\r\n");
	assert_non_null(
	    strstr(talk.logged.data, "cannot look up the recipient: "));
	assert_int_equal(talk.session.bad_recipients, 0);
	/* The postmaster needs no look. */
	assert_true(ask(&talk, "<postmaster@example.test>"));
	talk_end(&talk);
	smtp_home_write(root, "users/cdb", "damaged");
	begin(&talk);
	assert_false(ask(&talk, "<al@example.test>"));
	assert_memory_equal(talk.replies.data, "451 4.3.2 ", 10);
	talk_end(&talk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mailboxes),
		TEST(percenthack),
		TEST(senders),
		TEST(who_is_asked_for),
		TEST(guesses_have_a_limit),
		TEST(could_not_tell_is_temporary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
