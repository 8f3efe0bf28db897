/* SPDX-License-Identifier: ISC */
#include "smtp/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* Splits at blanks; the result points into words. */
static int
parse(const char *line, struct smtp_options *options, struct error *err)
{
	char *words = xstrdup(line), *at = words;
	char *args[10];
	size_t count = 0;
	int result;

	while (*at != '\0') {
		args[count++] = at;
		at += strcspn(at, " ");
		if (*at == ' ')
			*at++ = '\0';
	}
	args[count] = NULL;
	result = smtp_options_parse(options, args, getenv("SMTPS"), err);
	free(words);
	return result;
}

static void
good_lines(void **state)
{
	static const struct {
		const char *line;
		bool is_listener;
		const char *address;
		uint16_t port;
		bool is_shared, is_lmtp, is_submission, has_tls_first;
	} rows[] = {
		{ "", false, "", 0, false, false, false, false },
		{ "--lmtp", false, "", 0, false, true, false, false },
		{ "--listen 127.0.0.1:25", true, "127.0.0.1", 25, false, false,
		    false, false },
		{ "--listen [::1]:0", true, "::1", 0, false, false, false,
		    false },
		{ "--listen :65535 --smtps", true, "", 65535, false, false,
		    false, true },
		{ "--listen 0:25 --shared --submission", true, "0", 25, true,
		    false, true, false },
	};
	struct smtp_options options;
	struct error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (parse(rows[i].line, &options, &err) == -1)
			fail_msg("'%s': %s", rows[i].line, err.text);
		assert_int_equal(options.is_listener, rows[i].is_listener);
		assert_string_equal(options.address, rows[i].address);
		assert_int_equal(options.port, rows[i].port);
		assert_int_equal(options.is_shared, rows[i].is_shared);
		assert_int_equal(options.kind.is_lmtp, rows[i].is_lmtp);
		assert_int_equal(
		    options.kind.is_submission, rows[i].is_submission);
		assert_int_equal(
		    options.kind.has_tls_first, rows[i].has_tls_first);
	}
}

static void
bad_lines(void **state)
{
	static const char *const lines[] = { "--listen", "--listen x",
		"--listen 127.0.0.1", "--listen 127.0.0.1:", "--listen 1:x",
		"--listen 127.0.0.1:65536", "--listen ::1:25",
		"--listen [::1:25", "--listen [x]:25", "--listen localhost:25",
		"--lmtpx", "x", "host check", "--lmtp host check true",
		"--odmr --submission", "--odmr --lmtp", "--odmr --qmtp",
		"--node --submission", "--node --odmr", "--node --lmtp",
		"--qmqp --node", "--node h /bin/true /bin/true",
		"--listen 111111111111111111111111111111111111111111111111111"
		"1111111111111111111111111111111111:25" };
	struct smtp_options options;
	struct error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (parse(lines[i], &options, &err) == 0)
			fail_msg("'%s' was taken", lines[i]);
}

static void
checkpassword_program(void **state)
{
	struct smtp_options options;
	char submission[] = "--submission", host[] = "host", check[] = "check";
	char true_word[] = "true", dash[] = "-x";
	char *const args[] = { submission, host, check, true_word, dash,
		NULL };

	(void)state;
	assert_int_equal(smtp_options_parse(&options, args, NULL, NULL), 0);
	assert_true(options.kind.is_submission);
	assert_ptr_equal(options.kind.program, args + 2);
}

static void
smtps_of_the_environment(void **state)
{
	struct smtp_options options;

	(void)state;
	setenv("SMTPS", "1", 1);
	assert_int_equal(parse("", &options, NULL), 0);
	assert_true(options.kind.has_tls_first);
	setenv("SMTPS", "", 1);
	assert_int_equal(parse("", &options, NULL), 0);
	assert_false(options.kind.has_tls_first);
	unsetenv("SMTPS");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(checkpassword_program),
		cmocka_unit_test(smtps_of_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
