/* SPDX-License-Identifier: ISC */
/*
 * Tests of base/mem.h; each case is a process with a limit on its memory.
 */
#include "base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { RESERVE = 8 * 1024 * 1024, PIECE = 1024 * 1024, PIECES = 256 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

static void *pieces[PIECES];

/* What malloc still has; how many pieces. */
static size_t
use_all(void)
{
	size_t count = 0;

	while (count < PIECES && (pieces[count] = malloc(PIECE)) != NULL)
		count++;
	return count < PIECES ? count : 0;
}

static int
end_without_reserve(void)
{
	if (use_all() == 0)
		return 1;
	free(xmalloc(PIECE));
	return 2;
}

static int
go_on_with_reserve(void)
{
	void *last;

	mem_set_reserve(RESERVE);
	if (mem_is_short() || use_all() == 0 || mem_is_short())
		return 1;
	last = xmalloc(PIECE);
	if (!mem_is_short())
		return 2;
	usleep(150 * 1000); /* it is tried, and in vain */
	if (!mem_is_short())
		return 3;
	for (size_t i = 0; pieces[i] != NULL; i++)
		free(pieces[i]);
	free(last);
	usleep(150 * 1000);
	return mem_is_short() ? 4 : 0;
}

/* Once the other thread waits for memory. */
static void *
free_later(void *argument)
{
	(void)argument;
	while (!mem_is_short())
		usleep(10 * 1000);
	usleep(200 * 1000);
	for (size_t i = 0; i < 40 && pieces[i] != NULL; i++)
		free(pieces[i]);
	return NULL;
}

/* More than the reserve: it waits until somebody frees. */
static int
wait_for_memory(void)
{
	pthread_t thread;

	mem_set_reserve(PIECE);
	if (pthread_create(&thread, NULL, free_later, NULL) != 0 ||
	    use_all() < 40)
		return 1;
	free(xcalloc(20, PIECE));
	pthread_join(thread, NULL);
	return 0;
}

/* Nobody frees: after some seconds it is over. */
static int
give_up(void)
{
	mem_set_reserve(PIECE);
	if (use_all() == 0)
		return 1;
	free(xmalloc((size_t)20 * PIECE));
	return 2;
}

static void
test_short_of_memory(void **state)
{
	static const struct {
		const char *name;
		int (*run)(void);
		int code;
		const char *log; /* how it begins */
	} cases[] = {
		{ "no reserve", end_without_reserve, 111,
		    "fatal: out of memory\n" },
		{ "reserve", go_on_with_reserve, 0,
		    "warning: memory is short" },
		{ "wait", wait_for_memory, 0, "warning: memory is short" },
		{ "give up", give_up, 111, "warning: memory is short" },
	};
	size_t i;

	(void)state;
	if (IS_SANITIZED) {
		print_message("skipped: a sanitizer needs all addresses\n");
		skip();
	}
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rlimit limit = { 128 << 20, 128 << 20 };
		char text[1024];
		size_t used = 0;
		int ends[2], status;
		ssize_t n;
		pid_t child;

		assert_int_equal(pipe(ends), 0);
		child = fork();
		assert_int_not_equal(child, -1);
		if (child == 0) {
			dup2(ends[1], 2);
			if (setrlimit(RLIMIT_AS, &limit) == -1)
				_exit(99);
			_exit(cases[i].run());
		}
		close(ends[1]);
		while ((n = read(
			    ends[0], text + used, sizeof(text) - 1 - used)) > 0)
			used += (size_t)n;
		text[used] = '\0';
		close(ends[0]);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFEXITED(status) ||
		    WEXITSTATUS(status) != cases[i].code ||
		    strncmp(text, cases[i].log, strlen(cases[i].log)) != 0)
			fail_msg("%s: status %d, log '%s'", cases[i].name,
			    status, text);
	}
}

static void
test_texts(void **state)
{
	char *text = xstrndup("abc", 2), *copy = xstrdup(text);
	char *made = xasprintf("%s-%d", copy, 7);

	(void)state;
	assert_string_equal(text, "ab");
	assert_string_equal(copy, "ab");
	assert_string_equal(made, "ab-7");
	made = xrealloc(made, 0);
	assert_non_null(made);
	free(made);
	free(copy);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_short_of_memory),
	};

	setenv("MQMAIL_TEST_TIMES", "NAPS_MS=2000", 1);
	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
