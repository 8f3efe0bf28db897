/* SPDX-License-Identifier: ISC */
/* Tests of base/log.h; each case is a process whose descriptor 2 is read. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* The clock; or, when that is not 0, a second of its own that stands still. */
static time_t still_s;

int
clock_gettime(clockid_t id, struct timespec *now)
{
	if (still_s == 0)
		return (int)syscall(SYS_clock_gettime, id, now);
	*now = (struct timespec){ .tv_sec = still_s };
	return 0;
}

static void
say_plain(void)
{
	log_line("starting delivery %d: msg %lu", 7, 42UL);
}

static void
say_named(void)
{
	log_open("qmail-smtpd");
	log_line("listening");
}

static void
say_control(void)
{
	/* what a peer puts into a line must not look like two */
	log_line("helo %s", "a\r\nb\tc\033[2J\177\001 \303\244");
}

static void
say_empty(void)
{
	log_line("%s", "");
}

static void
say_gathered(void)
{
	log_gather();
	log_line("one");
	log_line("two");
	if (write(2, "-\n", 2) != 2)
		_exit(1);
	log_flush();
	log_flush(); /* nothing left */
}

/* Lines that follow a write at once wait: for more, a tick, or later lines. */
static void
say_paced(void)
{
	still_s = 1000;
	log_pace();
	log_line("one");
	log_line("two");
	if (write(2, "-\n", 2) != 2)
		_exit(1);
	log_batches_tick();
	log_line("three");
	if (write(2, "-\n", 2) != 2)
		_exit(1);
	still_s++;
	log_line("four");
	if (write(2, "-\n", 2) != 2)
		_exit(1);
	log_line("never written");
}

static void
forget_gathered(void)
{
	log_gather();
	log_line("never flushed");
}

static void
say_in_batch(void)
{
	struct log_batch batch, idle;

	log_batch_begin(&idle);
	log_batch_begin(&batch);
	log_line("one");
	log_line("two");
	if (write(2, "-\n", 2) != 2)
		_exit(1);
	log_batch_end(&batch);
	log_line("direct");
	log_batch_end(&idle);
}

/* What the first tick has seen the second one writes. */
static void
say_slowly_in_batch(void)
{
	struct log_batch batch;

	log_batch_begin(&batch);
	log_line("one");
	log_batches_tick();
	if (write(2, "1\n", 2) != 2)
		_exit(1);
	log_line("two");
	log_batches_tick();
	log_line("three");
	log_batches_tick();
	if (write(2, "2\n", 2) != 2)
		_exit(1);
	log_batches_tick();
	if (write(2, "3\n", 2) != 2)
		_exit(1);
	log_line("four");
	log_batches_flush();
	_exit(0); /* as one whose sessions did not end */
}

/* Longer than the batch: still in order. */
static void
say_much_in_batch(void)
{
	struct log_batch batch;

	log_batch_begin(&batch);
	log_line("a%0500d", 1);
	log_line("b%0500d", 1);
	log_line("c%01500d", 1);
	log_line("d");
	log_batch_end(&batch);
}

static void
end_fatally_in_batch(void)
{
	struct log_batch batch;

	log_batch_begin(&batch);
	log_line("before");
	fatal(111, "cannot");
}

static void
end_fatally(void)
{
	log_open("qmail-send");
	log_gather();
	log_line("before");
	fatal(111, "cannot open '%s'", "x");
}

static void
test_lines(void **state)
{
	static const struct {
		const char *name;
		void (*say)(void);
		int code;
		const char *wanted;
	} cases[] = {
		{ "plain", say_plain, 0, "starting delivery 7: msg 42\n" },
		{ "named", say_named, 0, "qmail-smtpd: listening\n" },
		{ "control", say_control, 0, "helo a??b?c?[2J?? \303\244\n" },
		{ "empty", say_empty, 0, "\n" },
		{ "gathered", say_gathered, 0, "-\none\ntwo\n" },
		{ "paced", say_paced, 0, "one\n-\ntwo\n-\nthree\nfour\n-\n" },
		{ "not flushed", forget_gathered, 0, "" },
		{ "batch", say_in_batch, 0, "-\none\ntwo\ndirect\n" },
		{ "slow batch", say_slowly_in_batch, 0,
		    "1\none\ntwo\n2\nthree\n3\nfour\n" },
		{ "fatal in a batch", end_fatally_in_batch, 111,
		    "before\nfatal: cannot\n" },
		{ "fatal", end_fatally, 111,
		    "qmail-send: before\nqmail-send: fatal: cannot open 'x'\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[4096];
		size_t used = 0;
		int ends[2], status = 0;
		ssize_t n;
		pid_t child;

		assert_int_equal(pipe(ends), 0);
		child = fork();
		assert_int_not_equal(child, -1);
		if (child == 0) {
			dup2(ends[1], 2);
			cases[i].say();
			_exit(0);
		}
		close(ends[1]);
		while (
		    (n = read(ends[0], got + used, sizeof(got) - 1 - used)) > 0)
			used += (size_t)n;
		got[used] = '\0';
		close(ends[0]);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (strcmp(got, cases[i].wanted) != 0)
			fail_msg("%s: wanted '%s', got '%s'", cases[i].name,
			    cases[i].wanted, got);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), cases[i].code);
	}
}

/* Runs say with descriptor 2 on a pipe; returns what came, and its length. */
static size_t
hear(void (*say)(void), char **text_out)
{
	enum { ROOM = 1000000 };
	char *text = malloc(ROOM);
	size_t used = 0;
	int ends[2];
	ssize_t n;
	pid_t child;

	assert_non_null(text);
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		/* as multilog's pipe may be: full, and not waited for */
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
		dup2(ends[1], 2);
		say();
		exit(0); /* with what we were too slow to read */
	}
	close(ends[1]);
	while ((n = read(ends[0], text + used, ROOM - used)) > 0)
		used += (size_t)n;
	close(ends[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	*text_out = text;
	return used;
}

static void
say_long(void)
{
	char text[10000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_open("p");
	log_line("%s", text);
}

/* A line longer than we write is cut, and still one line. */
static void
test_long_line(void **state)
{
	char *text;
	size_t length = hear(say_long, &text);

	(void)state;
	assert_true(length > 4000 && length <= 4096);
	assert_memory_equal(text, "p: xxx", 6);
	assert_ptr_equal(memchr(text, '\n', length), text + length - 1);
	free(text);
}

/* Lines longer than a batch has room for come in their order. */
static void
test_long_batch(void **state)
{
	char *text, wanted[2600];
	size_t length = hear(say_much_in_batch, &text);
	int n = snprintf(
	    wanted, sizeof(wanted), "a%0500d\nb%0500d\nc%01500d\nd\n", 1, 1, 1);

	(void)state;
	assert_int_equal(length, n);
	assert_memory_equal(text, wanted, length);
	free(text);
}

enum { MANY = 20000 };

static void
say_much(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		log_line("line %06d", i);
}

static void
say_much_gathered(void)
{
	log_gather();
	say_much();
	log_flush();
}

/* More than the pipe or the buffer holds: nothing is lost or torn. */
static void
test_much(void **state)
{
	void (*const ways[])(void) = { say_much, say_much_gathered };
	size_t way;

	(void)state;
	for (way = 0; way < 2; way++) {
		char *text, wanted[32];
		size_t length = hear(ways[way], &text);
		int i;

		assert_int_equal(length, MANY * 12);
		for (i = 0; i < MANY; i++) {
			snprintf(wanted, sizeof(wanted), "line %06d\n", i);
			assert_memory_equal(text + i * 12, wanted, 12);
		}
		free(text);
	}
}

static void
say_to_nobody(void)
{
	log_line("x");
	_exit(7);
}

/* A log that has gone does not end the program. */
static void
test_no_reader(void **state)
{
	int ends[2], status = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		signal(SIGPIPE, SIG_IGN);
		dup2(ends[1], 2);
		close(ends[0]);
		say_to_nobody();
	}
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_long_batch),
		cmocka_unit_test(test_much),
		cmocka_unit_test(test_no_reader),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
