/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/json.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "tests/unit/capture.h"

static void
expect(const struct check *check, const char *wanted)
{
	struct capture capture = capture_begin(1);
	json_t *json;
	char *text;

	check_print_json(check);
	text = capture_end(&capture);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL)
		fail_msg("no JSON: '%s'", text);
	free(text);
	text = json_dumps(json, JSON_COMPACT);
	assert_string_equal(text, wanted);
	free(text);
	json_decref(json);
}

static void
findings(void **state)
{
	struct check check = { .node = NULL };

	(void)state;
	expect(&check, "[]");
	check_find(&check, CHECK_ERROR, "/f", 7, "text \"%s\"", "x");
	check_remedy(&check, "do it");
	check_find(&check, CHECK_WARNING, "/g", 0, "no line");
	expect(&check,
	    "[{\"severity\":\"error\",\"file\":\"/f\",\"line\":7,\"text\":"
	    "\"text \\\"x\\\"\",\"remedy\":\"do it\"},{\"severity\":"
	    "\"warning\",\"file\":\"/g\",\"line\":null,\"text\":\"no line\","
	    "\"remedy\":\"\"}]");
	check_release(&check);
}

/* A file's name may hold any byte; the other findings must be shown too. */
static void
names_that_are_no_utf8(void **state)
{
	struct check check = { .node = NULL };

	(void)state;
	check_find(&check, CHECK_ERROR, "/\xff", 0, "\xfe\n");
	check_remedy(&check, "rm '\xff'");
	check_find(&check, CHECK_ERROR, "/\xc3\xa4", 0, "t");
	expect(&check,
	    "[{\"severity\":\"error\",\"file\":\"/\xef\xbf\xbd\",\"line\":"
	    "null,\"text\":\"\xef\xbf\xbd?\",\"remedy\":\"rm '\xef\xbf\xbd'\"},"
	    "{\"severity\":\"error\",\"file\":\"/\xc3\xa4\",\"line\":null,"
	    "\"text\":\"t\",\"remedy\":\"\"}]");
	check_release(&check);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings),
		cmocka_unit_test(names_that_are_no_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
