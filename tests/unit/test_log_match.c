/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/log_match.c and log_fields.c. */
#include "svctool/show/log_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define U "01a22b72-3105-70aa-9f05-8dc5e91d6360"
#define V "01a22b72-3105-70aa-9f05-8dc5e91d6361"
#define SESSION "qmail-smtpd: pid 7 from 192.0.2.1 "

/* By which filter each line is shown. */
enum {
	ID = 1,     /* --id U, and --id 11 */
	BOB = 2,    /* --address bob@x.test */
	QUEUE2 = 4, /* --queue queue2 */
	SENDER = 8, /* --address a@b */
	FIRST =
	    16 /* --id U shows its "new msg" in front; --id 11 at its place */
};

static const struct {
	const char *service, *text;
	unsigned wanted;
} lines[] = {
	{ "queue1", "running", 0 },
	{ "queue1", "delivery 1: success: of_the_one_before", 0 },
	{ "queue2", "new msg 11", FIRST | QUEUE2 },
	{ "queue1", "new msg 12", 0 },
	{ "queue2", "info msg 11: bytes 9 from <a@b> qp 3 uid 4 uuid " U,
	    ID | QUEUE2 | SENDER },
	{ "queue1", "info msg 12: bytes 9 from <id_" U "> qp 3 uid 4 uuid " V,
	    0 },
	{ "queue2", "starting delivery 1: msg 11 to local x.test-bob@x.test",
	    ID | QUEUE2 | BOB },
	{ "queue2", "starting delivery 2: msg 11 to remote jimbob@x.test",
	    ID | QUEUE2 },
	{ "queue1", "starting delivery 1: msg 12 to remote BOB@x.test", BOB },
	{ "queue1", "starting delivery 2: msg 12 to remote c@x.test", 0 },
	{ "smtpd",
	    SESSION " HELO <h> MAIL from <a@b> RCPT <BOB@X.test> AUTH "
		    "<local-rcpt> Size: 9 TLS=No qp 3 id " U
		    " queue queue2 msg 11",
	    ID | QUEUE2 | BOB | SENDER },
	{ "smtpd",
	    SESSION "says id " U " queue queue2 msg 11 (temporary): HELO <h> "
		    "MAIL from <queue_queue2> RCPT <r> AUTH <a> Size: 9 TLS=No "
		    "qp 3 id " V,
	    0 },
	{ "queue2", "running11", QUEUE2 }, /* is no restart, and no message */
	{ "queue2", "delivery 1: deferral: msg_12_/", ID | QUEUE2 | BOB },
	{ "queue1", "delivery 1: success: msg_11_" U, BOB },
	{ "queue1", "delivery 2: success: msg 11", 0 },
	{ "queue2", "alert: cannot read message 11: No such file",
	    ID | QUEUE2 },
	{ "queue2", "alert: cannot read message 111: No such file", QUEUE2 },
	{ "queue2", "delivery 2: failure: x", ID | QUEUE2 },
	{ "queue2", "delivery 2: report mangled, will defer", QUEUE2 },
	{ "queue2", "starting delivery 3: msg 11 to local x.test-bob@x.test",
	    ID | QUEUE2 | BOB },
	{ "queue2", "running", QUEUE2 },
	{ "queue2", "delivery 3: success: of_another", QUEUE2 },
	{ "queue2", "bounce msg 11 qp 5", ID | QUEUE2 },
	{ "queue2", "end msg 11", ID | QUEUE2 },
	{ "queue2", "end msg 1", QUEUE2 },
};

static void
check_filter(const struct log_filter *filter, unsigned bits)
{
	struct log_match *match = log_match_new(filter);
	bool is_uuid = !uuid_is_none(&filter->uuid);

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const struct log_entry entry = {
			.when = { .tv_sec = (time_t)i + 1 },
			.text = lines[i].text,
		};
		struct log_fields fields;
		struct timespec first;
		bool is_shown = log_match_line(
			 match, lines[i].service, &entry, &fields, &first),
		     is_wanted = (lines[i].wanted & bits) != 0;

		if (is_shown != is_wanted)
			print_error("bits %u: '%s'\n", bits, lines[i].text);
		assert_int_equal(is_shown, is_wanted);
		assert_int_equal(first.tv_sec,
		    is_uuid && fields.kind == LOG_KIND_INFO && is_shown ? 3
									: 0);
	}
	log_match_free(&match);
}

static void
messages(void **state)
{
	struct log_filter by_uuid = { .number = 0 }, by_number = by_uuid;
	struct error err;

	(void)state;
	assert_int_equal(log_filter_set_id(&by_uuid, U, &err), 0);
	check_filter(&by_uuid, ID);
	assert_int_equal(log_filter_set_id(&by_number, "11", &err), 0);
	check_filter(&by_number, ID | FIRST);
}

static void
bad_ids(void **state)
{
	static const char *const rows[] = { "", "0", "x", "-1", "11x", U "0",
		"00000000-0000-0000-0000-000000000000" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct log_filter filter = { .number = 0 };
		struct error err;

		assert_int_equal(log_filter_set_id(&filter, rows[i], &err), -1);
	}
}

static void
others(void **state)
{
	char bob[] = "bob@x.test", sender[] = "A@b", queue2[] = "queue2";
	const struct log_filter filters[] = {
		{ .address = bob },
		{ .queue = queue2 },
		{ .address = sender },
	};
	const unsigned bits[] = { BOB, QUEUE2, SENDER };

	(void)state;
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		check_filter(&filters[i], bits[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
		cmocka_unit_test(bad_ids),
		cmocka_unit_test(others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
