/* SPDX-License-Identifier: ISC */
#include "delivery/local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <stdlib.h>

static void
senders(void **state)
{
	static const struct {
		const char *sender;
		bool has_owner, has_default;
		const char *wanted;
	} rows[] = {
		{ "s@t", false, false, "s@t" },
		{ "s@t", true, false, "l-owner@h" },
		{ "s@t", true, true, "l-owner-@h-@[]" },
		{ "", true, true, "" },
		{ "#@[]", true, false, "#@[]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *sender = local_new_sender(rows[i].sender, "l", "h",
		    rows[i].has_owner, rows[i].has_default);

		assert_string_equal(sender, rows[i].wanted);
		free(sender);
	}
}

static void
verp(void **state)
{
	static const struct {
		const char *sender, *recipient, *wanted;
	} rows[] = {
		{ "l-owner-@h-@[]", "bob@x.y", "l-owner-bob=x.y@h" },
		{ "l-owner-@h-@[]", "bob", "l-owner-bob=@h" },
		{ "l-owner@h", "bob@x.y", NULL },
		{ "-@[]", "bob@x.y", NULL },
		{ "x-@[]", "bob@x.y", NULL },
		{ "", "bob@x.y", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *sender = local_verp_sender(
		    rows[i].sender, rows[i].recipient);

		assert_int_equal(sender == NULL, rows[i].wanted == NULL);
		if (sender != NULL)
			assert_string_equal(sender, rows[i].wanted);
		free(sender);
	}
}

static void
texts(void **state)
{
	struct local_result result = { .files = 1, .programs = 2 };

	(void)state;
	local_result_did(&result);
	assert_string_equal(result.text, "did 1+0+2\n");
	local_result_set(&result, JOB_PERMFAIL, "a\tb\nc");
	assert_string_equal(result.text, "a?b\nc\n");
	assert_int_equal(result.outcome, JOB_PERMFAIL);
	local_result_set(&result, JOB_TEMPFAIL, "%02000d", 0);
	assert_int_equal(strlen(result.text), LOCAL_TEXT_SIZE - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(senders),
		cmocka_unit_test(verp),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
