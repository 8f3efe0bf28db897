/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/cli.c. */
#include "adminsrv/cli.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <crypt.h>
#include <sys/stat.h>

#include "base/log.h"
#include "tests/unit/capture.h"
#include "tests/unit/child.h"

struct number {
	const char *text;
	unsigned min, max;
	int code; /* of the exit; 0: none */
	unsigned value;
};

static void
read_number(const void *context)
{
	const struct number *row = context;

	cli_number('x', row->text, row->min, row->max);
}

static void
numbers(void **state)
{
	static const struct number rows[] = {
		{ "8", 8, 128, 0, 8 },
		{ "128", 8, 128, 0, 128 },
		{ "008", 8, 128, 0, 8 },
		{ "7", 8, 128, 100, 0 },
		{ "129", 8, 128, 100, 0 },
		{ "4294967304", 8, 128, 100, 0 }, /* 8 in 32 bits */
		{ "", 0, 128, 100, 0 },
		{ "-8", 8, 128, 100, 0 },
		{ "+8", 8, 128, 100, 0 },
		{ "8x", 8, 128, 100, 0 },
		{ " 8", 8, 128, 100, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = child_run(read_number, &rows[i]);

		if (code != rows[i].code)
			fail_msg("'%s': exit %d, wanted %d", rows[i].text, code,
			    rows[i].code);
		if (code == 0)
			assert_int_equal(cli_number('x', rows[i].text,
					     rows[i].min, rows[i].max),
			    rows[i].value);
	}
}

static void
misuse(const void *context)
{
	cli_usage(context);
}

static void
results_are_exit_codes(void **state)
{
	static const struct {
		enum admin_result result;
		int code;
		const char *said;
	} rows[] = {
		{ ADMIN_OK, 0, "" },
		{ ADMIN_REFUSED, 100, "prog: fatal: no such user\n" },
		{ ADMIN_FAILED, 111, "prog: fatal: no such user\n" },
	};
	const struct error err = { "no such user" };

	(void)state;
	log_open("prog");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct capture capture = capture_begin(2);
		int code = cli_end(rows[i].result, &err);
		char *said = capture_end(&capture);

		assert_int_equal(code, rows[i].code);
		assert_string_equal(said, rows[i].said);
		free(said);
	}
	assert_int_equal(child_run(misuse, "usage: prog\n"), 100);
}

/* Files get the modes that the code says, whoever runs the command. */
static void
start_sets_the_mask(void **state)
{
	static char name[] = "prog", argument[] = "x";
	char *argv[] = { name, argument, NULL };
	mode_t old = umask(0777);

	(void)state;
	cli_start("prog", argv, "usage: prog");
	assert_int_equal(umask(old), 022);
}

static void
options(void **state)
{
	struct cli_password password = { .method = NULL };

	(void)state;
	assert_true(cli_password_option(&password, 'e', NULL));
	assert_true(password.is_hashed);
	assert_false(password.is_none);
	assert_true(cli_password_option(&password, 'n', NULL));
	assert_true(password.is_none);
	assert_true(cli_password_option(&password, 'r', "12"));
	assert_int_equal(password.random_length, 12);
	assert_true(cli_password_option(&password, 'h', "MD5"));
	assert_string_equal(password.method, "MD5");
	assert_false(cli_password_option(&password, 'q', "x"));
	assert_false(cli_password_option(&password, '?', NULL));
}

static void
hashes(void **state)
{
	static const struct {
		const char *name;
		struct cli_password password;
		enum admin_result result;
		const char *begins; /* the hash */
		const char *opens;  /* a password that it is of, or NULL */
	} rows[] = {
		{ "none", { .is_none = true }, ADMIN_OK, "*", NULL },
		{ "none over all",
		    { .is_none = true, .is_hashed = true, .argument = "x" },
		    ADMIN_OK, "*", NULL },
		{ "a hash as it is", { .is_hashed = true, .argument = "$6$x" },
		    ADMIN_OK, "$6$x", NULL },
		{ "by default", { .argument = "pass word" }, ADMIN_OK, "$y$",
		    "pass word" },
		{ "by number", { .method = "2", .argument = "p" }, ADMIN_OK,
		    "$5$", "p" },
		{ "by name", { .method = "MD5", .argument = "p" }, ADMIN_OK,
		    "$1$", "p" },
		{ "no method", { .method = "ROT13", .argument = "p" },
		    ADMIN_REFUSED, "", NULL },
	};
	struct password_data hash = { .hash = BUF_INIT };

	(void)state;
	unsetenv("PASSWORD_HASH");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct crypt_data data = { .initialized = 0 };
		struct error err = { "" };
		enum admin_result result;
		const char *again;

		password_data_take("of the one before", &hash);
		result = cli_password_hash(
		    &rows[i].password, "al@a.test", &hash, &err);
		if (result != rows[i].result ||
		    strncmp(hash.hash.data, rows[i].begins,
			strlen(rows[i].begins)) != 0 ||
		    (rows[i].opens == NULL &&
			strcmp(hash.hash.data, rows[i].begins) != 0))
			fail_msg("%s: got %d '%s' (%s)", rows[i].name,
			    (int)result, hash.hash.data, err.text);
		assert_int_equal(*err.text != '\0', result != ADMIN_OK);
		if (rows[i].opens == NULL)
			continue;
		again = crypt_r(rows[i].opens, hash.hash.data, &data);
		assert_string_equal(again, hash.hash.data);
	}
	password_data_release(&hash);
}

/* What is made up is printed, once, and only when it was made up. */
static void
random_passwords_are_shown(void **state)
{
	struct cli_password password = { .random_length = 12 };
	struct crypt_data data = { .initialized = 0 };
	struct capture capture;
	struct error err;
	struct password_data hash = { .hash = BUF_INIT };
	char *said;

	(void)state;
	capture = capture_begin(1);
	cli_password_hash(&password, "al@a.test", &hash, &err);
	said = capture_end(&capture);
	assert_int_equal(strlen(said), strlen("Password: \n") + 12);
	assert_memory_equal(said, "Password: ", 10);
	said[22] = '\0';
	assert_string_equal(
	    crypt_r(said + 10, hash.hash.data, &data), hash.hash.data);
	free(said);

	password.argument = "given";
	capture = capture_begin(1);
	cli_password_hash(&password, "al@a.test", &hash, &err);
	said = capture_end(&capture);
	assert_string_equal(said, "");
	assert_string_equal(
	    crypt_r("given", hash.hash.data, &data), hash.hash.data);
	free(said);
	password_data_release(&hash);
}

static void
asked_passwords_are_not_shown(void **state)
{
	struct cli_password password = { .method = NULL };
	struct crypt_data data = { .initialized = 0 };
	int input = memfd_create("input", MFD_CLOEXEC), saved = dup(0);
	struct capture capture;
	struct error err = { "" };
	enum admin_result result;
	struct password_data hash = { .hash = BUF_INIT };
	char *said;

	(void)state;
	assert_int_equal(pwrite(input, "typed\nrest\n", 11, 0), 11);
	dup2(input, 0);
	capture = capture_begin(1);
	result = cli_password_hash(&password, "al@a.test", &hash, &err);
	said = capture_end(&capture);
	dup2(saved, 0);
	close(saved);
	close(input);
	assert_int_equal(result, ADMIN_OK);
	assert_string_equal(said, "");
	assert_string_equal(
	    crypt_r("typed", hash.hash.data, &data), hash.hash.data);
	free(said);
	password_data_release(&hash);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(results_are_exit_codes),
		cmocka_unit_test(start_sets_the_mask),
		cmocka_unit_test(options),
		cmocka_unit_test(hashes),
		cmocka_unit_test(random_passwords_are_shown),
		cmocka_unit_test(asked_passwords_are_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
