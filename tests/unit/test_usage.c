/* SPDX-License-Identifier: ISC */
/* base/usage.c: --help and --version. */
#include "base/usage.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RETURNED 7 /* the exit code of a child that usage_answer let go on */

/* What a program with these arguments prints, and its exit code. */
static int
answer(char *const *argv, char *text, size_t size)
{
	int pipe_fds[2], status;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	fflush(stdout);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		usage_answer(argv, "prog", "usage: prog FILE");
		_exit(RETURNED);
	}
	close(pipe_fds[1]);
	while ((n = read(pipe_fds[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	close(pipe_fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
answers(void **state)
{
	char name[] = "prog", help[] = "--help", version[] = "--version",
	     other[] = "--helpful", word[] = "x";
	const struct {
		char *argv[4];
		int code;
		const char *wanted;
	} rows[] = {
		{ { name, help, NULL }, 0, "usage: prog FILE\n" },
		{ { name, help, word, NULL }, 0, "usage: prog FILE\n" },
		{ { name, version, NULL }, 0,
		    "prog (mqmail) " MQMAIL_VERSION "\n" },
		{ { name, word, help, NULL }, RETURNED, "" },
		{ { name, other, NULL }, RETURNED, "" },
		{ { name, NULL }, RETURNED, "" },
		{ { NULL }, RETURNED, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		int code = answer(rows[i].argv, text, sizeof(text));

		if (code != rows[i].code || strcmp(text, rows[i].wanted) != 0)
			fail_msg("row %zu: %d '%s'", i, code, text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
