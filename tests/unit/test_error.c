/* SPDX-License-Identifier: ISC */
/* Tests of base/error.c. */
#include "base/error.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void
texts(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(error_set(&err, "no %s %d", "queue", 7), -1);
	assert_string_equal(err.text, "no queue 7");
	errno = ENOENT;
	assert_int_equal(error_sys(&err, "cannot open '%s'", "x"), -1);
	assert_string_equal(
	    err.text, "cannot open 'x': No such file or directory");
	assert_int_equal(errno, ENOENT);
	assert_int_equal(error_context(&err, "queue%d", 1), -1);
	assert_string_equal(
	    err.text, "queue1: cannot open 'x': No such file or directory");
}

static void
nobody_wants_the_reason(void **state)
{
	(void)state;
	errno = EIO;
	assert_int_equal(error_set(NULL, "a"), -1);
	assert_int_equal(error_sys(NULL, "a"), -1);
	assert_int_equal(error_context(NULL, "a"), -1);
	assert_int_equal(errno, EIO);
}

static void
long_texts_are_cut(void **state)
{
	struct error err;
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	errno = ENOENT;
	error_set(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	error_sys(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	error_set(&err, "reason");
	error_context(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(nobody_wants_the_reason),
		cmocka_unit_test(long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
