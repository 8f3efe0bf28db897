/* SPDX-License-Identifier: ISC */
/* Tests of control/setting_check.c. */
#include "control/settings.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define MAX_INT64 "9223372036854775807"

static void
values(void **state)
{
	static const struct {
		enum setting_id id;
		const char *value;
		const char *wanted; /* in the reason; NULL: it is right */
	} rows[] = {
		{ SETTING_databytes, "0", NULL },
		{ SETTING_databytes, "007", NULL },
		{ SETTING_databytes, MAX_INT64, NULL },
		{ SETTING_databytes, "9223372036854775808",
		    "'9223372036854775808' is out of range; write a number "
		    "from 0 to " MAX_INT64 },
		{ SETTING_databytes, "",
		    "'' is not a number of bytes; write a whole number, for "
		    "example 10485760" },
		{ SETTING_databytes, "-1", "'-1' is not a number of bytes" },
		{ SETTING_databytes, " 1", "' 1' is not a number" },
		{ SETTING_databytes, "1k", "'1k' is not a number" },
		{ SETTING_databytes, "1.5", "'1.5' is not a number" },
		{ SETTING_databytes, "0x10", "'0x10' is not a number" },
		{ SETTING_timeoutsmtpd, "1", NULL },
		{ SETTING_timeoutsmtpd, "86400", NULL },
		{ SETTING_timeoutsmtpd, "0", "from 1 to 86400" },
		{ SETTING_timeoutsmtpd, "86401", "from 1 to 86400" },
		{ SETTING_timeoutsmtpd, "x",
		    "of seconds; write a whole "
		    "number, for example 1200" },
		{ SETTING_maxrecipients, "x", "for example 100" },
		{ SETTING_queue_start, "x",
		    "'x' is not a number; write a whole number, for example "
		    "1" },
		{ SETTING_holdlocal, "0", NULL },
		{ SETTING_holdlocal, "1", NULL },
		{ SETTING_holdlocal, "2", "'2' is neither 0 nor 1" },
		{ SETTING_holdlocal, "01", "neither 0 nor 1" },
		{ SETTING_holdlocal, "", "neither 0 nor 1" },
		{ SETTING_holdlocal, "yes", "neither 0 nor 1" },
		{ SETTING_me, "m.test", NULL },
		{ SETTING_me, "", "is empty; write a host in it" },
		{ SETTING_me, "m test", "'m test' is not a host name" },
		{ SETTING_me, "m@test", "is not a host name" },
		{ SETTING_me, "m;test", "is not a host name" },
		{ SETTING_me, "m\\test", "is not a host name" },
		{ SETTING_me, "\"m\"", "is not a host name" },
		{ SETTING_me, "m\ttest", "control character at byte 2" },
		{ SETTING_me, "m.test\r", "control character at byte 7" },
		{ SETTING_me, "\177", "control character at byte 1" },
		{ SETTING_me, "m\xc3\xa4.test", NULL },
		{ SETTING_envnoathost, "", NULL }, /* may be empty */
		{ SETTING_rcpthosts, "a.test", NULL },
		{ SETTING_rcpthosts, ".a.test", NULL },
		{ SETTING_rcpthosts, ".", "'.' is not a domain" },
		{ SETTING_rcpthosts, "a@b.test", "is not a domain" },
		{ SETTING_rcpthosts, "a.test b", "is not a domain" },
		{ SETTING_retrysteps, ".a.test:1000", NULL },
		{ SETTING_retrysteps, "a.test:b:5", "domain with a step" },
		{ SETTING_queuelifetimes, "a.test:0", NULL },
		{ SETTING_queuelifetimes, "*:31536000", NULL },
		{ SETTING_queuelifetimes, "a.test:31536001", "with seconds" },
		{ SETTING_queuelifetimes, "a.test", "with seconds" },
		{ SETTING_queuelifetimes, ".:1", "with seconds" },
		{ SETTING_queuelifetimes, "a.test:1d", "with seconds" },
		{ SETTING_destinationlimits, "a.test:1", NULL },
		{ SETTING_destinationlimits, ".a.test:1:0.5", NULL },
		{ SETTING_destinationlimits, "*:1:20", NULL },
		{ SETTING_destinationlimits, "a.test:0", "with a limit" },
		{ SETTING_destinationlimits, "a.test", "with a limit" },
		{ SETTING_destinationlimits, ":1", "with a limit" },
		{ SETTING_destinationlimits, "a.test:1:", "with a limit" },
		{ SETTING_destinationlimits, "a@b:1", "with a limit" },
		{ SETTING_virtualdomains, "a.test:a", NULL },
		{ SETTING_virtualdomains, "a.test:", NULL },
		{ SETTING_virtualdomains, ":a", NULL },
		{ SETTING_virtualdomains, "u@a.test:a", NULL },
		{ SETTING_virtualdomains, "a.test", "not a virtual domain" },
		{ SETTING_virtualdomains, "a.test: a", "not a virtual domain" },
		{ SETTING_virtualdomains, ".a.test:a", NULL },
		/* Odd, but qmail took them: route_judge_rule() tells. */
		{ SETTING_virtualdomains, "<x>:a", NULL },
		{ SETTING_virtualdomains, "a.test:a/b", NULL },
		{ SETTING_extraqueue, "a@b.test", NULL },
		{ SETTING_extraqueue, "a@b@c.test", NULL },
		{ SETTING_extraqueue, "", NULL },
		{ SETTING_extraqueue, "a", "is not a mailbox" },
		{ SETTING_extraqueue, "@b.test", "is not a mailbox" },
		{ SETTING_extraqueue, "a@", "is not a mailbox" },
		{ SETTING_extraqueue, "a b@c.test", "is not a mailbox" },
		{ SETTING_extraqueue, "<a@c.test>", "is not a mailbox" },
		{ SETTING_extraqueue, "a@c(.test", "is not a mailbox" },
		{ SETTING_bouncefrom, "MAILER-DAEMON", NULL },
		{ SETTING_bouncefrom, "a@b", "is not a local part" },
		{ SETTING_queue_base, "/q", NULL },
		{ SETTING_queue_base, "", NULL },
		{ SETTING_queue_base, "q", "'q' is not an absolute path" },
		{ SETTING_bouncesubject, "any <text> @ all", NULL },
		{ SETTING_bouncesubject, "a\nb: c", "at byte 2" },
		{ SETTING_fromenvrules, "relative", NULL },
		{ SETTING_fromenvrules, "", "is empty" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		int result = settings_check_value(
		    rows[i].id, rows[i].value, &err);

		if (result != (rows[i].wanted == NULL ? 0 : -1) ||
		    (rows[i].wanted != NULL &&
			strstr(err.text, rows[i].wanted) == NULL))
			fail_msg("%s '%s': got %d '%s', wanted '%s'",
			    setting_rows[rows[i].id].name, rows[i].value,
			    result, err.text,
			    rows[i].wanted != NULL ? rows[i].wanted : "");
	}
}

/* A line may be as long as its row says; a reason shows the begin of it. */
static void
long_values(void **state)
{
	static const struct {
		enum setting_id id;
		size_t max;
	} rows[] = {
		{ SETTING_me, 255 },
		{ SETTING_bouncefrom, 64 },
		{ SETTING_smtpgreeting, 400 },
		{ SETTING_rcpthosts, 255 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char value[500];
		struct error err = { "" };

		memset(value, 'a', sizeof(value));
		value[rows[i].max] = '\0';
		assert_int_equal(
		    settings_check_value(rows[i].id, value, &err), 0);
		value[rows[i].max] = 'a';
		value[rows[i].max + 1] = '\0';
		assert_int_equal(
		    settings_check_value(rows[i].id, value, &err), -1);
		if (strstr(err.text, "aaaa...' has ") == NULL ||
		    strlen(err.text) > 120)
			fail_msg("%zu: got '%s'", rows[i].max, err.text);
	}
}

/* Of a value that is shown whole nothing is cut. */
static void
shown_values_have_sixty_bytes(void **state)
{
	struct error err = { "" };
	char value[62];

	(void)state;
	memset(value, 'x', sizeof(value));
	value[60] = '\0';
	assert_int_equal(
	    settings_check_value(SETTING_databytes, value, &err), -1);
	assert_null(strstr(err.text, "..."));
	value[60] = 'x';
	value[61] = '\0';
	assert_int_equal(
	    settings_check_value(SETTING_databytes, value, &err), -1);
	assert_non_null(strstr(err.text, "xxx...' is not"));
	/* The reason may be of no interest. */
	assert_int_equal(
	    settings_check_value(SETTING_databytes, value, NULL), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(long_values),
		cmocka_unit_test(shown_values_have_sixty_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
