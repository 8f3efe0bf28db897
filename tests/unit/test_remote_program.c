/* SPDX-License-Identifier: ISC */
/* Tests of remote/program.c and remote/output.c. */
#include "remote/program.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "remote/output.h"
#include "tests/unit/folder.h"

enum { RECIPIENTS_MAX = 3 };

static void
reports(void **state)
{
	/* wanted: the letter and the text of each recipient, NUL as '|' */
	static const struct {
		const char *reports;
		size_t count;
		const char *wanted;
	} rows[] = {
		{ "r|Kok\n|", 1, "K ok\n" },
		{ "rwell|Kok|", 1, "K well\nok\n" },
		{ "Kok|", 2, "K ok\nK ok\n" },
		{ "Zlater|", 2, "Z later\nZ later\n" },
		{ "Dno\n|", 1, "D no\n" },
		{ "r|hno|sthen|Kok|", 3, "K ok\nD no\nZ then\n" },
		{ "r|hno|Zlater|", 2, "Z later\nD no\n" },
		{ "r|sthen|Dnever|", 2, "D never\nZ then\n" },
		{ "hno|Kok|", 1, "D no\n" },
		{ "r|Ka\tb\xff\n|", 1, "K a b \n" },
		/* none of these says for certain what became of it */
		{ "", 1, "Z !" },
		{ "K", 1, "Z !" },
		{ "r|Kok", 1, "Z !" },
		{ "r|", 1, "Z !" },
		{ "r|r|Kok|", 1, "Z !" },
		{ "r|Kok|", 2, "Z !Z !" },
		{ "Kok|Kok|", 1, "Z !" },
		{ "Kok|r|", 1, "Z !" },
		{ "r|Kok|x", 1, "Z !" },
		{ "|Kok|", 1, "Z !" },
		{ "xno|", 1, "Z !" },
		{ "kok|", 1, "Z !" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct session_result results[RECIPIENTS_MAX];
		size_t length = strlen(rows[i].reports);
		char *bytes = xstrdup(rows[i].reports);
		struct buf got = BUF_INIT;

		for (size_t j = 0; j < length; j++)
			if (bytes[j] == '|')
				bytes[j] = '\0';
		remote_program_read(
		    "/prog", bytes, length, results, rows[i].count);
		for (size_t j = 0; j < rows[i].count; j++) {
			buf_addf(&got, "%c %s", (char)results[j].outcome,
			    strstr(results[j].text, "/prog") != NULL
				? "!"
				: results[j].text);
			session_result_release(&results[j]);
		}
		if (strcmp(got.data, rows[i].wanted) != 0)
			fail_msg("%s: got '%s', wanted '%s'", rows[i].reports,
			    got.data, rows[i].wanted);
		buf_release(&got);
		free(bytes);
	}
}

static void
texts_are_bounded(void **state)
{
	struct session_result result;
	char *bytes = xmalloc(500 * 1000);

	(void)state;
	memset(bytes, 'K', 500 * 1000);
	bytes[500 * 1000 - 1] = '\0';
	remote_program_read("/prog", bytes, 500 * 1000, &result, 1);
	assert_int_equal(result.outcome, SESSION_DELIVERED);
	assert_int_equal(strlen(result.text), REPLY_TEXT_SIZE + 1);
	session_result_release(&result);
	free(bytes);
}

/* What a script of the shell gives within a second; NULL with the reason. */
static char *
output_of_script(const char *script, struct error *err)
{
	char shell[] = "/bin/sh", option[] = "-c";
	char *copy = xstrdup(script);
	char *argv[] = { shell, option, copy, NULL };
	char path[] = "PATH=/usr/bin:/bin";
	char *environment[] = { path, NULL };
	const struct output_run run = { .argv = argv,
		.environment = environment,
		.input_fd = -1,
		.output_max = 1000,
		.timeout_ms = 1000 };
	struct buf output = BUF_INIT;
	int result = output_of(&run, &output, err);

	free(copy);
	if (result == 0) {
		buf_addc(&output, '\0');
		return output.data;
	}
	buf_release(&output);
	return NULL;
}

static void
what_a_program_gives(void **state)
{
	static const struct {
		const char *script, *wanted; /* "!": the reason has it */
	} rows[] = {
		{ "echo a; echo b", "a\nb\n" },
		{ "cat", "" },
		{ "ls /proc/self/fd | wc -l", "4\n" }, /* 3: its folder */
		{ "exit 3", "!exited with 3" },
		{ "kill -9 $$", "!crashed" },
		{ "sleep 60", "!took too long" },
		{ "exec 1>&-; sleep 60", "!took too long" },
		{ "trap '' TERM; sleep 60", "!took too long" },
		{ "yes", "!wrote too much" },
		{ "sleep 60 & echo a", "!took too long" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		char *got = output_of_script(rows[i].script, &err);
		bool is_refused = rows[i].wanted[0] == '!';

		if (is_refused
			? got != NULL ||
			    strstr(err.text, rows[i].wanted + 1) == NULL
			: got == NULL || strcmp(got, rows[i].wanted) != 0)
			fail_msg("%s: got '%s' (%s), wanted '%s'",
			    rows[i].script, got == NULL ? "none" : got,
			    err.text, rows[i].wanted);
		free(got);
	}
}

static void
what_a_program_started_ends_with_it(void **state)
{
	struct error err = { "" };
	char *got = output_of_script("sleep 60 >/dev/null & echo $!", &err);
	int64_t until_ms = clock_ms() + 20000;

	(void)state;
	assert_non_null(got);
	while (kill((pid_t)atoi(got), 0) == 0 && clock_ms() < until_ms)
		clock_sleep_ms(10);
	assert_true(clock_ms() < until_ms);
	free(got);
}

static void
the_message_and_its_arguments(void **state)
{
	static const char script[] =
	    "#!/bin/sh\n"
	    "printf 'r\\0K%s|%s|%s|' \"$1\" \"$2\" \"$3\"\n"
	    "printf '%s|' \"$QQEH\" \"${QMAILREMOTE-none}\" \"$MQMAIL_UUID\"\n"
	    "cat | tr '\\n' '/'; printf '\\0'\n";
	char *path = xasprintf("%s/prog", folder);
	const struct uuid uuid = { { 1 } };
	const struct remote_program program = { .path = path,
		.domain = "r.test",
		.uuid = &uuid,
		.timeout_ms = 20000 };
	const struct session_recipient to = { "a b@r.test", "" };
	struct session_message message = { .sender = "",
		.header = "X: y\n",
		.body = "s\n\nb\n",
		.size_bytes = 5,
		.fd = -1,
		.recipients = &to,
		.recipient_count = 1 };
	char text[UUID_TEXT_SIZE], *wanted;
	struct session_result result;

	(void)state;
	folder_write("prog", script, sizeof(script) - 1);
	assert_int_equal(chmod(path, 0755), 0);
	setenv("QMAILREMOTE", path, 1);
	uuid_format(&uuid, text);
	wanted = xasprintf("r.test||a b@r.test|X: y\n|none|%s|s//b/\n", text);
	remote_program_send(&program, &message, &result);
	assert_string_equal(result.text, wanted);
	assert_int_equal(result.outcome, SESSION_DELIVERED);
	session_result_release(&result);
	free(wanted);

	/* from a descriptor, whatever its position is */
	folder_write("body", "s\n\nb\n", 5);
	message.body = NULL;
	message.header = "";
	wanted = xasprintf("%s/body", folder);
	message.fd = open(wanted, O_RDONLY | O_CLOEXEC);
	free(wanted);
	assert_int_equal(lseek(message.fd, 3, SEEK_SET), 3);
	remote_program_send(&program, &message, &result);
	assert_non_null(strstr(result.text, "|s//b/\n"));
	session_result_release(&result);

	/* less than was committed */
	message.size_bytes = 6;
	remote_program_send(&program, &message, &result);
	assert_int_equal(result.outcome, SESSION_TEMPFAIL);
	session_result_release(&result);

	message.size_bytes = 5;
	message.requires_tls = true;
	remote_program_send(&program, &message, &result);
	assert_int_equal(result.outcome, SESSION_PERMFAIL);
	session_result_release(&result);
	message.requires_tls = false;
	message.sender = "a\nb@x.test";
	remote_program_send(&program, &message, &result);
	assert_int_equal(result.outcome, SESSION_PERMFAIL);
	session_result_release(&result);
	close(message.fd);
	unsetenv("QMAILREMOTE");
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports),
		cmocka_unit_test(texts_are_bounded),
		cmocka_unit_test(what_a_program_gives),
		cmocka_unit_test(what_a_program_started_ends_with_it),
		cmocka_unit_test_setup_teardown(the_message_and_its_arguments,
		    folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
