/* SPDX-License-Identifier: ISC */
/* adminsrv/password.c: hashes, and asking for a password. */
#include <crypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adminsrv/password.h"

static void
hashes(void **state)
{
	static const struct {
		const char *method, *variable, *prefix; /* NULL: refused */
	} rows[] = {
		{ NULL, NULL, "$y$" },
		{ NULL, "", "$y$" },
		{ NULL, "2", "$5$" },
		{ NULL, "SHA-256", "$5$" },
		{ "sha-512", "2", "$6$" },
		{ "3", NULL, "$6$" },
		{ "1", NULL, "$1$" },
		{ "MD5", NULL, "$1$" },
		{ "YESCRYPT", NULL, "$y$" },
		{ "0", NULL, NULL },
		{ "DES", NULL, NULL },
		{ NULL, "rot13", NULL },
	};
	struct buf hash;

	(void)state;
	buf_init(&hash);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		int result;

		if (rows[i].variable == NULL)
			unsetenv("PASSWORD_HASH");
		else
			setenv("PASSWORD_HASH", rows[i].variable, 1);
		result = password_hash("secret", rows[i].method, &hash, &err);
		if ((result == 0) != (rows[i].prefix != NULL) ||
		    (result == 0 &&
			(strncmp(hash.data, rows[i].prefix, 3) != 0 ||
			    strcmp(crypt("secret", hash.data), hash.data) !=
				0)))
			fail_msg("row %zu gave %d '%s' (%s)", i, result,
			    hash.data, err.text);
	}
	unsetenv("PASSWORD_HASH");
	buf_release(&hash);
}

static void
salts_differ(void **state)
{
	struct buf one, two;

	(void)state;
	buf_init(&one);
	buf_init(&two);
	assert_int_equal(password_hash("secret", NULL, &one, NULL), 0);
	assert_int_equal(password_hash("secret", NULL, &two, NULL), 0);
	assert_string_not_equal(one.data, two.data);
	assert_int_equal(password_hash("", NULL, &one, NULL), -1);
	buf_release(&one);
	buf_release(&two);
}

static void
asks_descriptor_0(void **state)
{
	static char too_long[PASSWORD_MAX + 2];
	const struct {
		const char *input, *wanted; /* NULL: refused */
	} rows[] = {
		{ "secret\nrest\n", "secret" },
		{ "secret\r\n", "secret" },
		{ "secret", "secret" },
		{ " a b \n", " a b " },
		{ "\n", NULL },
		{ "", NULL },
		{ too_long, NULL },
	};
	int saved = dup(STDIN_FILENO);
	struct buf password;

	(void)state;
	memset(too_long, 'x', PASSWORD_MAX + 1);
	buf_init(&password);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		int ends[2];
		int result;

		assert_int_equal(pipe(ends), 0);
		assert_int_equal(
		    write(ends[1], rows[i].input, strlen(rows[i].input)),
		    (ssize_t)strlen(rows[i].input));
		close(ends[1]);
		dup2(ends[0], STDIN_FILENO);
		close(ends[0]);
		result = password_ask("x", &password, &err);
		if ((result == 0) != (rows[i].wanted != NULL) ||
		    (result == 0 && strcmp(password.data, rows[i].wanted) != 0))
			fail_msg("row %zu gave %d '%s' (%s)", i, result,
			    password.data, err.text);
	}
	dup2(saved, STDIN_FILENO);
	close(saved);
	buf_release(&password);
}

static void
makes_random_passwords(void **state)
{
	struct buf one, two;

	(void)state;
	buf_init(&one);
	buf_init(&two);
	assert_int_equal(password_random(20, &one, NULL), 0);
	assert_int_equal(password_random(20, &two, NULL), 0);
	assert_int_equal(one.length, 20);
	assert_string_not_equal(one.data, two.data);
	assert_int_equal(password_random(7, &one, NULL), -1);
	assert_int_equal(password_random(PASSWORD_MAX, &one, NULL), -1);
	buf_release(&one);
	buf_release(&two);
}

/* Whether clients get on with them the tests of AUTH tell. */
static void
makes_scram_verifiers(void **state)
{
	struct password_data data = { .hash = BUF_INIT };
	struct buf one, two;

	(void)state;
	buf_init(&one);
	buf_init(&two);
	assert_int_equal(password_scram("pencil", &one, NULL), 0);
	assert_int_equal(password_scram("pencil", &two, NULL), 0);
	assert_int_equal(strncmp(one.data, "{SCRAM-SHA-256}4096,", 20), 0);
	assert_int_equal(one.length, 20 + 24 + 1 + 44 + 1 + 44);
	assert_string_not_equal(one.data, two.data);
	buf_adds(&one, ",$y$x");
	password_data_take(one.data, &data);
	assert_string_equal(data.hash.data, "$y$x");
	assert_int_equal(data.scram.length, two.length);
	assert_null(password_text(&data.secret));
	assert_int_equal(
	    password_data_make("pencil", "MD5", true, &data, NULL), 0);
	assert_string_equal(password_text(&data.secret), "pencil");
	password_data_release(&data);
	buf_release(&one);
	buf_release(&two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes),
		cmocka_unit_test(salts_differ),
		cmocka_unit_test(makes_scram_verifiers),
		cmocka_unit_test(asks_descriptor_0),
		cmocka_unit_test(makes_random_passwords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
