/* SPDX-License-Identifier: ISC */
/* auth/checkpassword.c: programs that check passwords. */
#include "auth/checkpassword.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

static const struct checkpassword_proof alice = { "alice", "secret", "<t>" };

/* Runs sh with this script in place of a checkpassword. */
static int
run_script(const char *script, const struct checkpassword_proof *proof,
    int timeout_ms, struct buf *output, struct error *err)
{
	AUTO(vars_release) struct vars vars = VARS_INIT;
	char sh[] = "sh", option[] = "-c", next[] = "next";
	OWN_TEXT text = xstrdup(script);
	char *argv[] = { sh, option, text, next, NULL };

	vars_set(&vars, "SERVICE", "smtp");
	buf_reset(output);
	return checkpassword_run(argv, &vars, proof, timeout_ms, output, err);
}

static void
test_results(void **state)
{
	static const struct {
		const char *script;
		int result;
		const char *output;
	} rows[] = {
		{ "exit 0", 1, "" },
		{ "exit 1", 0, "" },
		{ "exit 2", -1, "" },
		{ "exit 111", -1, "" },
		{ "kill -9 $$", -1, "" },
		{ "tr '\\0' . <&3", 1, "alice.secret.<t>." },
		{ "echo $SERVICE $0", 1, "smtp next\n" },
		{ "cat", 1, "" },
		{ "cat /dev/zero | head -c 100000", 1, NULL },
		{ "sleep 2 & exit 1", 0, "" },
	};
	AUTO(buf_release) struct buf output = BUF_INIT;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int result = run_script(
		    rows[i].script, &alice, 20 * 1000, &output, &err);

		if (result != rows[i].result)
			fail_msg("'%s': %d", rows[i].script, result);
		if (rows[i].output == NULL)
			assert_int_equal(
			    output.length, CHECKPASSWORD_OUTPUT_MAX);
		else if (output.length > 0 || *rows[i].output != '\0')
			assert_string_equal(output.data, rows[i].output);
	}
}

/* Neither the ends that we keep nor those of others. */
static void
test_no_descriptor_leaks(void **state)
{
	AUTO(buf_release) struct buf output = BUF_INIT;
	struct error err;
	int own[2];

	(void)state;
	assert_int_equal(pipe2(own, O_CLOEXEC), 0);
	/* What the shell reads from and writes to, and nothing else of ours. */
	run_script("for i in 4 5 6 7 8 9; do"
		   " [ ! -p /proc/self/fd/$i ] || echo $i; done",
	    &alice, 10 * 1000, &output, &err);
	if (output.length > 0)
		fail_msg("pipes: %s", output.data);
	close(own[0]);
	close(own[1]);
}

static void
test_time_is_over(void **state)
{
	AUTO(buf_release) struct buf output = BUF_INIT;
	int64_t begun_ms = clock_ms();
	struct error err;

	(void)state;
	assert_int_equal(
	    run_script("exec sleep 60", &alice, 100, &output, &err), -1);
	assert_true(clock_ms() - begun_ms < 20 * 1000);
}

static void
test_proof_that_fits_no_program(void **state)
{
	AUTO(buf_release) struct buf output = BUF_INIT;
	char secret[600];
	struct checkpassword_proof proof = { "alice", secret, "" };
	struct error err;

	(void)state;
	memset(secret, 's', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	assert_int_equal(
	    run_script("exit 0", &proof, 10 * 1000, &output, &err), 0);
	secret[CHECKPASSWORD_MAX - 8] = '\0';
	assert_int_equal(
	    run_script("wc -c <&3", &proof, 10 * 1000, &output, &err), 1);
	assert_string_equal(output.data, "512\n");
}

static void
test_no_such_program(void **state)
{
	AUTO(buf_release) struct buf output = BUF_INIT;
	char name[] = "no-such-checkpassword", path[] = "/no/such";
	AUTO(vars_release) struct vars vars = VARS_INIT;
	char *argv[] = { name, NULL };
	struct error err;

	(void)state;
	assert_int_equal(
	    checkpassword_run(argv, &vars, &alice, 1000, &output, &err), -1);
	argv[0] = path;
	assert_int_equal(
	    checkpassword_run(argv, &vars, &alice, 1000, &output, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_no_descriptor_leaks),
		cmocka_unit_test(test_time_is_over),
		cmocka_unit_test(test_proof_that_fits_no_program),
		cmocka_unit_test(test_no_such_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
