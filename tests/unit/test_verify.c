/* SPDX-License-Identifier: ISC */
/* auth/verify.c: passwords against every form of hash. */
#include <crypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/verify.h"

static void
test_every_form_of_crypt(void **state)
{
	static const char *const prefixes[] = { "", "$1$", "$2b$", "$5$", "$6$",
		"$y$", "$7$", "$gy$", "$sha1", "$md5" };
	struct crypt_data data = { .initialized = 0 };
	struct error err;
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		char setting[CRYPT_GENSALT_OUTPUT_SIZE];
		char hash[CRYPT_OUTPUT_SIZE];
		const char *made;

		if (crypt_gensalt_rn(prefixes[i], 0, NULL, 0, setting,
			sizeof(setting)) == NULL)
			continue;
		made = crypt_r("secret", setting, &data);
		assert_non_null(made);
		snprintf(hash, sizeof(hash), "%s", made);
		if (verify_crypt("secret", hash, &err) != 1)
			fail_msg("'%s' does not verify", hash);
		if (verify_crypt("Secret", hash, &err) != 0)
			fail_msg("'%s' verifies another password", hash);
		seen++;
	}
	assert_true(seen >= 6);
}

static void
test_what_is_no_hash(void **state)
{
	static const struct {
		const char *hash;
		int result;
	} rows[] = {
		{ "*", 0 },
		{ "!", 0 },
		{ "!$6$abc$def", 0 },
		{ "", 0 },
		{ "$99$abc$def", -1 },
		{ "x", -1 },
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (verify_crypt("secret", rows[i].hash, &err) !=
		    rows[i].result)
			fail_msg(
			    "'%s' is not %d", rows[i].hash, rows[i].result);
}

static void
test_password_that_is_too_long(void **state)
{
	char password[2000];
	struct error err;

	(void)state;
	memset(password, 'a', sizeof(password) - 1);
	password[sizeof(password) - 1] = '\0';
	assert_int_equal(verify_crypt(password,
			     "$5$abcdefgh$uuUUHW.UlKnMJtZ8cRKYzzWkqxYaXfzGXK"
			     "wkbkYVaM4",
			     &err),
	    0);
	verify_nothing(password, NULL);
	verify_nothing(password, "no hash");
}

/* RFC 7677 3 and RFC 5802 5: user, password "pencil". */
static void
test_scram(void **state)
{
	static const char sha256[] =
	    "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
	    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
	    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	struct error err;

	(void)state;
	assert_int_equal(verify_scram("pencil", sha256, &err), 1);
	assert_int_equal(verify_scram("pencils", sha256, &err), 0);
}

static void
test_what_is_no_scram(void **state)
{
	static const char *const texts[] = {
		"{SCRAM-SHA-256}",
		"{SCRAM-SHA-256}4096",
		"{SCRAM-SHA-256}4096,a,b,c",
		"{SCRAM-SHA-256}0,W22ZaJ0SNY7soEsUEjb6gQ==,"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,x",
		"{SCRAM-SHA-256}99999999999,W22ZaJ0SNY7soEsUEjb6gQ==,"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,x",
		"{SCRAM-SHA-256}4096,,"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,x",
		"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,====,x",
		"{SCRAM-MD5}4096,W22ZaJ0SNY7soEsUEjb6gQ==,YQ==,YQ==",
		"pencil",
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (verify_scram("pencil", texts[i], &err) != -1)
			fail_msg("'%s' is taken", texts[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_form_of_crypt),
		cmocka_unit_test(test_what_is_no_hash),
		cmocka_unit_test(test_password_that_is_too_long),
		cmocka_unit_test(test_scram),
		cmocka_unit_test(test_what_is_no_scram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
