/* SPDX-License-Identifier: ISC */
/* Tests of smtp/policy_relay.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/cdbmap.h"
#include "tests/unit/smtp_talk.h"

#define NOT_HERE                                                              \
	"553 5.7.1 sorry, that domain isn't in my list of allowed rcpthosts " \
	"(#5.7.1)\r\n"
#define NO_CONTROLS "451 4.3.0 Sorry, I'm unable to read controls (#4.3.0)\r\n"

/* What the policy says to one path; *is_relayed_out as it sets it. */
static bool
ask(struct talk *talk, const char *path, bool *is_relayed_out)
{
	struct smtp_address address;
	size_t used;
	int saved;
	bool result;

	assert_int_equal(
	    smtp_address_parse(path, strlen(path), &address, &used),
	    SMTP_ADDRESS_OK);
	talk->session.transaction.sender = "s@b.example";
	saved = talk_log_begin(talk);
	result = smtp_policy_relay(&talk->session, &address, is_relayed_out);
	talk_log_end(talk, saved);
	return result;
}

static void
who_may_send_where(void **state)
{
	static const struct {
		const char *path, *reply; /* "": taken */
		bool may_relay, is_relayed;
	} rows[] = {
		{ "<c@example.test>", "", false, false },
		{ "<c@EXAMPLE.Test>", "", false, false },
		{ "<c@sub.suffix.test>", "", false, false },
		{ "<c@more.test>", "", false, false },
		{ "<c@suffix.test>", NOT_HERE, false, false },
		{ "<c@other.test>", NOT_HERE, false, false },
		{ "<c@xexample.test>", NOT_HERE, false, false },
		{ "<c%example.test@other.test>", NOT_HERE, false, false },
		{ "<\"c@example.test\"@other.test>", NOT_HERE, false, false },
		{ "<c@[192.0.2.2]>", NOT_HERE, false, false },
		{ "<postmaster>", "", false, false },
		{ "<PostMaster>", "", false, false },
		{ "<postmaste>",
		    "555 5.1.3 syntax error in address (#5.1.3)\r\n", false,
		    false },
		{ "<postmaster@other.test>", NOT_HERE, false, false },
		/* Taken as our own, which RELAYCLIENT does not change. */
		{ "<c@example.test>", "", true, false },
		{ "<c@other.test>", "", true, true },
		{ "<c>", "", true, false },
	};
	struct cdbmap_writer *writer;
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;
	char *path = xasprintf("%s/control/morercpthosts.cdb", root);

	(void)state;
	writer = cdbmap_writer_new(path, NULL);
	assert_int_equal(
	    cdbmap_writer_add(writer, "more.test", 9, "", 0, NULL), 0);
	assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
	free(path);
	smtp_home_write(
	    root, "control/rcpthosts", "example.test\n.suffix.test\n");
	talk_begin(&talk, &kind);
	talk_must(&talk, "EHLO x", "250");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is_relayed = !rows[i].is_relayed, taken;

		vars_set(
		    &talk.vars, "RELAYCLIENT", rows[i].may_relay ? "" : NULL);
		taken = ask(&talk, rows[i].path, &is_relayed);
		if (taken != (*rows[i].reply == '\0') ||
		    is_relayed != rows[i].is_relayed ||
		    strcmp(talk.replies.data, rows[i].reply) != 0)
			fail_msg("%s: got %d, relayed %d, '%s', wanted '%s'",
			    rows[i].path, taken, is_relayed, talk.replies.data,
			    rows[i].reply);
		if ((strstr(talk.logged.data, "Invalid RELAY client") !=
			NULL) != (strcmp(rows[i].reply, NOT_HERE) == 0))
			fail_msg(
			    "%s: logged '%s'", rows[i].path, talk.logged.data);
	}
	talk_end(&talk);
}

/* A cdb that cannot be read defers, but not for those who may relay. */
static void
could_not_tell_is_temporary(void **state)
{
	const struct smtp_kind kind = { .is_lmtp = false };
	struct talk talk;
	bool is_relayed;

	(void)state;
	talk_begin(&talk, &kind);
	talk_must(&talk, "EHLO x", "250");
	smtp_home_write(root, "control/morercpthosts.cdb", "no cdb");
	assert_false(ask(&talk, "<c@other.test>", &is_relayed));
	assert_string_equal(talk.replies.data, NO_CONTROLS);
	assert_non_null(strstr(
	    talk.logged.data, "cannot look up the recipient's domain: "));
	/* The list in the file is known all the same. */
	assert_true(ask(&talk, "<c@example.test>", &is_relayed));
	vars_set(&talk.vars, "RELAYCLIENT", "");
	assert_true(ask(&talk, "<c@other.test>", &is_relayed));
	assert_true(is_relayed);
	talk_end(&talk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TALK_TEST(who_may_send_where),
		TALK_TEST(could_not_tell_is_temporary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
