/* SPDX-License-Identifier: ISC */
/* Tests of queue/dsn.c. */
#include "queue/dsn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

/* The text that is made of what was read; "-" when it is none. */
static void
check(const char *text, const char *wanted, bool is_message)
{
	struct dsn_message message;
	struct dsn_recipient recipient;
	struct buf buf;
	bool is_read = is_message ? dsn_get_message(text, &message)
				  : dsn_get_recipient(text, &recipient);

	buf_init(&buf);
	if (!is_read)
		buf_adds(&buf, "-");
	else if (is_message)
		dsn_put_message(&buf, &message);
	else
		dsn_put_recipient(&buf, &recipient);
	if (strcmp(buf.data, wanted) != 0)
		fail_msg("'%s': '%s', wanted '%s'", text, buf.data, wanted);
	buf_release(&buf);
}

static void
of_messages(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ "", "" },
		{ " RET=FULL", " RET=FULL" },
		{ " ENVID=a ret=hdrs", " RET=HDRS ENVID=a" },
		{ " REQUIRETLS", " REQUIRETLS" },
		{ " ENVID=QQ+2B+3D", " ENVID=QQ+2B+3D" },
		{ "RET=FULL", "-" },
		{ " RET=FULL RET=FULL", "-" },
		{ " RET=", "-" },
		{ " RET", "-" },
		{ " ENVID=", "-" },
		{ " ENVID=a+2", "-" },
		{ " ENVID=a+2b", "-" },
		{ " ENVID=a=b", "-" },
		{ " ENVID=\xc3\xa4", "-" },
		{ " ENVID=a\r\nRCPT", "-" },
		{ " REQUIRETLS=", "-" },
		{ " TLS-REQUIRED=NO RET=FULL", " RET=FULL TLS-REQUIRED=NO" },
		{ " TLS-REQUIRED=YES", "-" },
		{ " TLS-REQUIRED", "-" },
		{ " HOLD=1800000000", " HOLD=1800000000" },
		{ " HOLD=1800000000/60 RET=FULL",
		    " RET=FULL HOLD=1800000000/60" },
		{ " HOLD", "-" },
		{ " HOLD=", "-" },
		{ " HOLD=0", "-" },
		{ " HOLD=-1", "-" },
		{ " HOLD=1/", "-" },
		{ " HOLD=1/0", "-" },
		{ " HOLD=1/1000000000", "-" },
		{ " HOLD=9999999999999999999", "-" },
		{ " HOLD=1 HOLD=2", "-" },
		{ " NOTIFY=NEVER", "-" },
		{ "  RET=FULL", "-" },
		{ " RET=FULL ", "-" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(rows[i].text, rows[i].wanted, true);
}

static void
of_recipients(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ "", "" },
		{ " NOTIFY=NEVER", " NOTIFY=NEVER" },
		{ " NOTIFY=delay,success", " NOTIFY=SUCCESS,DELAY" },
		{ " ORCPT=rfc822;a+40b@c NOTIFY=FAILURE",
		    " NOTIFY=FAILURE ORCPT=rfc822;a+40b@c" },
		{ " ORCPT=utf-8;\\x{E4}@b", " ORCPT=utf-8;\\x{E4}@b" },
		{ " NOTIFY=", "-" },
		{ " NOTIFY=NEVER,SUCCESS", "-" },
		{ " NOTIFY=SUCCESS,", "-" },
		{ " NOTIFY=,SUCCESS", "-" },
		{ " NOTIFY=ALWAYS", "-" },
		{ " NOTIFY=DELAY NOTIFY=DELAY", "-" },
		{ " ORCPT=rfc822", "-" },
		{ " ORCPT=rfc822;", "-" },
		{ " ORCPT=;a@b", "-" },
		{ " ORCPT=a@b;c", "-" },
		{ " ORCPT=rfc822;a+b", "-" },
		{ " ORCPT=rfc822;\xc3\xa4", "-" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(rows[i].text, rows[i].wanted, false);
}

/* RFC 3461 4.4, 4.2 */
static void
limits(void **state)
{
	struct dsn_message message = { .envid = NULL };
	struct dsn_recipient recipient = { .orcpt = NULL };
	char text[DSN_ORCPT_MAX + 1];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_false(dsn_set_envid(&message, text, DSN_ENVID_MAX + 1));
	assert_true(dsn_set_envid(&message, text, DSN_ENVID_MAX));
	text[1] = ';';
	assert_false(dsn_set_orcpt(&recipient, text, DSN_ORCPT_MAX + 1));
	assert_true(dsn_set_orcpt(&recipient, text, DSN_ORCPT_MAX));
}

/* RFC 4865; a clock that was ahead makes no interval longer. */
static void
holds(void **state)
{
	static const struct {
		const char *name, *text;
		time_t retry_at, now, wanted;
	} rows[] = {
		{ "none", "", 0, 5000, 0 },
		{ "until", " HOLD=9000", 0, 5000, 9000 },
		{ "until, and a file says less", " HOLD=9000", 1, 5000, 9000 },
		{ "until, and a file says more", " HOLD=9000", 9999, 5000,
		    9000 },
		{ "over", " HOLD=4000", 0, 5000, 4000 },
		{ "for", " HOLD=9000/4500", 0, 5000, 9000 },
		{ "for, in this second", " HOLD=9000/3999", 1, 5000, 9000 },
		{ "for, and a file says less", " HOLD=9000/4000", 1, 5000,
		    9000 },
		{ "from the future, for", " HOLD=9000/100", 0, 5000, 5101 },
		{ "the same, as it was read first", " HOLD=9000/100", 9000,
		    5000, 5101 },
		{ "the same, a little later", " HOLD=9000/100", 5100, 5040,
		    5100 },
		{ "the same, over", " HOLD=9000/100", 5100, 5100, 5100 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dsn_message message;
		time_t until;

		assert_true(dsn_get_message(rows[i].text, &message));
		until = dsn_hold_until(
		    &message, rows[i].retry_at, rows[i].now);
		if (until != rows[i].wanted)
			fail_msg("%s: until %lld, wanted %lld", rows[i].name,
			    (long long)until, (long long)rows[i].wanted);
	}
}

static void
decoded(void **state)
{
	static const struct {
		const char *xtext, *wanted;
	} rows[] = {
		{ "", "" },
		{ "a+2Bb", "a+b" },
		{ "a+20b", "a b" },
		{ "a+0Ab+C3", "a?b?" },
		{ "a+2", "a+2" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf buf;

		buf_init(&buf);
		dsn_put_decoded(&buf, rows[i].xtext, strlen(rows[i].xtext));
		assert_string_equal(buf.data, rows[i].wanted);
		buf_release(&buf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_messages),
		cmocka_unit_test(of_recipients),
		cmocka_unit_test(limits),
		cmocka_unit_test(holds),
		cmocka_unit_test(decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
