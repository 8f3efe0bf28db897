/* SPDX-License-Identifier: ISC */
/* Tests of base/program.h, with the shell as the outside program. */
#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum { WAIT_MS = 10000, SHORT_MS = 50 };

/* Starts the shell on a script, with descriptor fds. */
static pid_t
start_shell(const char *script, const struct program_fd *fds, size_t count)
{
	char sh[] = "sh", option[] = "-c", text[512];
	char variable[] = "WORD=from environment";
	char path[] = "PATH=/usr/bin:/bin";
	char *argv[] = { sh, option, text, NULL };
	char *environment[] = { variable, path, NULL };
	struct error err;
	pid_t pid;

	snprintf(text, sizeof(text), "%s", script);
	pid = program_start("/bin/sh", argv, environment, fds, count, &err);
	if (pid == -1)
		fail_msg("%s", err.text);
	return pid;
}

/* Reads all until the last writer has gone. */
static void
read_all(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (
	    used < size - 1 && (n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
}

static void
test_results(void **state)
{
	static const struct {
		const char *name, *script;
		int wanted_code; /* -1: a signal */
		int wanted_signal;
		const char *wanted_output;
	} cases[] = {
		{ "silent", "exit 0", 0, 0, "" },
		{ "code", "exit 31", 31, 0, "" },
		{ "output", "echo one; echo two >&5", 0, 0, "one\ntwo\n" },
		{ "environment", "echo $WORD; echo $HOME", 0, 0,
		    "from environment\n\n" },
		{ "signal", "kill -SEGV $$", -1, SIGSEGV, "" },
		{ "its group",
		    "read a b c d e rest </proc/$$/stat;"
		    "test $e = $$ && echo leader",
		    0, 0, "leader\n" },
		{ "no signal is blocked or ignored",
		    "grep -E 'Sig(Blk|Ign)' /proc/self/status | grep -c 0000$",
		    0, 0, "2\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct program_fd fds[2];
		char output[256];
		int ends[2], status = -1;
		pid_t pid;

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		fds[0] = (struct program_fd){ ends[1], 1 };
		fds[1] = (struct program_fd){ ends[1], 5 };
		pid = start_shell(cases[i].script, fds, 2);
		close(ends[1]);
		read_all(ends[0], output, sizeof(output));
		close(ends[0]);
		assert_int_equal(program_wait(pid, WAIT_MS, &status), 1);
		if (strcmp(output, cases[i].wanted_output) != 0)
			fail_msg("%s: wanted '%s', got '%s'", cases[i].name,
			    cases[i].wanted_output, output);
		if (cases[i].wanted_code >= 0 ? !WIFEXITED(status) ||
			    WEXITSTATUS(status) != cases[i].wanted_code
					      : !WIFSIGNALED(status) ||
			    WTERMSIG(status) != cases[i].wanted_signal)
			fail_msg(
			    "%s: status %#x", cases[i].name, (unsigned)status);
	}
}

/* Numbers that are exchanged, or are each other's, arrive as asked. */
static void
test_crossed_descriptors(void **state)
{
	struct program_fd fds[2];
	char output[256], first[256];
	int a[2], b[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	assert_true(a[1] < 10 && b[1] < 10);
	fds[0] = (struct program_fd){ a[1], b[1] };
	fds[1] = (struct program_fd){ b[1], a[1] };
	snprintf(
	    first, sizeof(first), "echo to a >&%d; echo to b >&%d", b[1], a[1]);
	pid = start_shell(first, fds, 2);
	close(a[1]);
	close(b[1]);
	read_all(a[0], output, sizeof(output));
	assert_string_equal(output, "to a\n");
	read_all(b[0], output, sizeof(output));
	assert_string_equal(output, "to b\n");
	assert_int_equal(program_wait(pid, WAIT_MS, &status), 1);
	close(a[0]);
	close(b[0]);
}

/* Nothing else of ours gets there, nor do the copies made on the way. */
static void
test_other_descriptors(void **state)
{
	struct program_fd fd;
	char output[256], script[256];
	int ends[2], status, secret;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	secret = fcntl(ends[0], F_DUPFD_CLOEXEC, 200);
	fd = (struct program_fd){ ends[1], 1 };
	snprintf(script, sizeof(script),
	    "test -e /proc/$$/fd/%d && echo secret; "
	    "for i in /proc/$$/fd/*; do readlink $i; done | "
	    "grep -cF \"$(readlink /proc/$$/fd/1)\"",
	    secret);
	pid = start_shell(script, &fd, 1);
	close(ends[1]);
	read_all(ends[0], output, sizeof(output));
	assert_string_equal(output, "1\n");
	assert_int_equal(program_wait(pid, WAIT_MS, &status), 1);
	close(ends[0]);
	close(secret);
}

static void
test_cannot_start(void **state)
{
	static const struct {
		const char *path;
		int wanted;
	} cases[] = {
		{ "/nonexistent/program", ENOENT },
		{ "/etc/passwd", EACCES },
		{ "/", EACCES },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err = { "" };
		char name[] = "program";
		char *argv[] = { name, NULL }, *none[] = { NULL };

		errno = 0;
		assert_int_equal(
		    program_start(cases[i].path, argv, none, NULL, 0, &err),
		    -1);
		if (errno != cases[i].wanted ||
		    strstr(err.text, cases[i].path) == NULL)
			fail_msg("%s: errno %d, '%s'", cases[i].path, errno,
			    err.text);
	}
	{
		struct program_fd bad = { -1, 1 };
		char name[] = "true";
		char *argv[] = { name, NULL }, *none[] = { NULL };

		assert_int_equal(
		    program_start("/bin/true", argv, none, &bad, 1, NULL), -1);
		assert_int_equal(errno, EBADF);
	}
}

/* What does not end is stopped, with what it has started. */
static void
test_stop(void **state)
{
	static const struct {
		const char *name, *script;
	} cases[] = {
		{ "ends when asked", "echo ready; exec sleep 1000" },
		{ "with a child", "sleep 1000 & echo ready; wait" },
		{ "does not listen",
		    "trap '' TERM; echo ready; "
		    "while :; do sleep 1000; done" },
		{ "leaves a child behind",
		    "(trap '' TERM; sleep 1000) & "
		    "echo ready; exit 0" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct program_fd fd;
		char text[16];
		int ends[2], status;
		int64_t start = clock_ms();
		pid_t pid;

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		fd = (struct program_fd){ ends[1], 1 };
		pid = start_shell(cases[i].script, &fd, 1);
		close(ends[1]);
		assert_int_equal(read(ends[0], text, 6), 6); /* ready */
		if (i < 3)
			assert_int_equal(
			    program_wait(pid, SHORT_MS, &status), 0);
		program_stop(pid, SHORT_MS);
		/* all that held the pipe have gone */
		read_all(ends[0], text, sizeof(text));
		if (clock_ms() - start > WAIT_MS)
			fail_msg("%s: took too long", cases[i].name);
		assert_int_equal(waitpid(pid, &status, 0), -1);
		assert_int_equal(errno, ECHILD);
		close(ends[0]);
	}
}

static void
test_wait_errors(void **state)
{
	int status;

	(void)state;
	assert_int_equal(program_wait(getpid(), SHORT_MS, &status), -1);
	assert_int_equal(errno, ECHILD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_crossed_descriptors),
		cmocka_unit_test(test_other_descriptors),
		cmocka_unit_test(test_cannot_start),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_wait_errors),
	};
	sigset_t blocked;

	/* as in a session's thread */
	sigfillset(&blocked);
	pthread_sigmask(SIG_SETMASK, &blocked, NULL);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
