/* SPDX-License-Identifier: ISC */
/* Tests of remote/token.c. */
#include "remote/token.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "tests/unit/folder.h"

static void
where_a_token_is(void **state)
{
	static const struct {
		const char *mechanism, *secret;
		bool wanted;
	} rows[] = {
		{ "XOAUTH2", "/a/file", true },
		{ "XOAUTH2", "|/a/program", true },
		{ "XOAUTH2", "ya29.token", false },
		{ "PLAIN", "/a/file", false },
		{ NULL, "/a/file", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct session_credentials credentials = { .user = "u",
			.secret = rows[i].secret,
			.mechanism = rows[i].mechanism };

		assert_int_equal(
		    token_is_elsewhere(&credentials), rows[i].wanted);
	}
}

static void
first_lines(void **state)
{
	static const struct {
		const char *text, *wanted; /* NULL: refused */
	} rows[] = {
		{ "tok3n", "tok3n" },
		{ "tok3n\nmore\n", "tok3n" },
		{ "tok3n\r\n", "tok3n" },
		{ "", NULL },
		{ "\ntok3n\n", NULL },
		{ "tok3n 1\n", NULL },
		{ "tok3n\0011\n", NULL },
	};
	char *path = xasprintf("%s/file", folder);
	const struct session_credentials credentials = {
		.user = "u", .secret = path, .mechanism = "XOAUTH2"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char got[TOKEN_SIZE] = "";
		struct error err = { "" };
		int result;

		folder_write("file", rows[i].text, strlen(rows[i].text));
		result = token_get(&credentials, got, &err);
		if ((result == 0) != (rows[i].wanted != NULL) ||
		    (result == 0 && strcmp(got, rows[i].wanted) != 0) ||
		    strstr(err.text, "k3n") != NULL)
			fail_msg(
			    "%s: got '%s' (%s)", rows[i].text, got, err.text);
	}
	free(path);
}

static void
of_a_program(void **state)
{
	static const char script[] = "#!/bin/sh\necho token-of-$1; exit $2\n";
	char *path = xasprintf("%s/prog", folder);
	char *secret = xasprintf("|%s", path);
	struct session_credentials credentials = {
		.user = "joe", .secret = secret, .mechanism = "XOAUTH2"
	};
	char got[TOKEN_SIZE];
	struct error err;

	(void)state;
	folder_write("prog", script, sizeof(script) - 1);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(token_get(&credentials, got, &err), 0);
	assert_string_equal(got, "token-of-joe");
	folder_write("prog", "#!/bin/sh\nexit 1\n", 17);
	assert_int_equal(token_get(&credentials, got, &err), -1);
	assert_non_null(strstr(err.text, "exited with 1"));
	credentials.secret = "|/none/such";
	assert_int_equal(token_get(&credentials, got, &err), -1);
	credentials.secret = "/none/such";
	assert_int_equal(token_get(&credentials, got, &err), -1);
	free(secret);
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_a_token_is),
		cmocka_unit_test_setup_teardown(
		    first_lines, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    of_a_program, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
