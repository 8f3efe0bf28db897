/* SPDX-License-Identifier: ISC */
/*
 * Tests of remote/tls_report_mail.c: records.  What is made,
 * tests/integration/test_82_tls_report.py reads.
 */
#include "remote/tls_report_mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
test_records(void **state)
{
	static const struct {
		const char *text;
		const char *wanted; /* the targets, each with a blank behind */
	} cases[] = {
		{ "v=TLSRPTv1; rua=mailto:a@b.test", "mailto:a@b.test " },
		{ "v=TLSRPTv1;rua=mailto:a@b.test;", "mailto:a@b.test " },
		{ "v=TLSRPTv1 ; rua=MAILTO:a@b.test , https://c.test/x?y=z ;",
		    "mailto:a@b.test https://c.test/x?y=z " },
		{ "v=TLSRPTv1; x=y; rua=mailto:a%2Bc@b.test?subject=x",
		    "mailto:a+c@b.test " },
		{ "v=TLSRPTv1; rua=mailto:a@b.test,mailto:a@b.test",
		    "mailto:a@b.test " },
		{ "v=TLSRPTv1; rua=http://b.test/, ftp://b.test/, "
		  "https://b.test/",
		    "https://b.test/ " },
		{ "v=TLSRPTv1; rua=mailto:a,mailto:@b,mailto:a@,mailto:", "" },
		{ "v=TLSRPTv1; rua=mailto:a%0Ab@c.test", "" },
		{ "v=TLSRPTv1; rua=mailto:a%3Eb@c.test", "" },
		{ "v=TLSRPTv1; rua=mailto:a%4@c.test", "" },
		{ "v=TLSRPTv1; rua=mailto:a@c.test%", "" },
		{ "v=TLSRPTv1; rua=https://b.test/\n", "" },
		{ "v=TLSRPTv1; rua=https://", "" },
		{ "v=TLSRPTv1; rua=", "" },
		{ "v=TLSRPTv1; rua=,,,", "" },
		{ "v=TLSRPTv1", "" },
		{ "v=TLSRPTv12; rua=mailto:a@b.test", "" },
		{ "v=TLSRPTv1 rua=mailto:a@b.test", "" },
		{ "rua=mailto:a@b.test; v=TLSRPTv1", "" },
		{ "", "" },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strlist targets = { 0 };
		struct buf found = BUF_INIT;
		bool result = tls_report_read_record(cases[i].text, &targets);

		buf_adds(&found, "");
		for (j = 0; j < targets.count; j++)
			buf_addf(&found, "%s ", targets.items[j]);
		if (result != (targets.count > 0) ||
		    strcmp(found.data, cases[i].wanted) != 0)
			fail_msg("'%s': '%s', not '%s'", cases[i].text,
			    found.data, cases[i].wanted);
		buf_release(&found);
		strlist_release(&targets);
	}
}

/* However many a record names. */
static void
test_bounded(void **state)
{
	struct strlist targets = { 0 };
	struct buf text = BUF_INIT;
	int i;

	(void)state;
	buf_adds(&text, "v=TLSRPTv1; rua=");
	for (i = 0; i < 1000; i++)
		buf_addf(&text, "%smailto:a%d@b.test", i == 0 ? "" : ",", i);
	assert_true(tls_report_read_record(text.data, &targets));
	assert_int_equal(targets.count, TLS_REPORT_TARGETS_MAX);
	strlist_release(&targets);
	buf_release(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
