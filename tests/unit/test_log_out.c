/* SPDX-License-Identifier: ISC */
/*
 * Tests of base/log.c: a process whose descriptor 2 is a pipe that nobody
 * reads for a while.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum {
	MANY = 60000,   /* lines: more than the buffer holds */
	FEW = 8000,     /* less, but more than a pipe does */
	LINE_BYTES = 64 /* of each */
};

/* Which takes the processor's time, so that one case would disturb another. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

static int go_fd;     /* at its end the reader begins */
static int result_fd; /* how long what the case does took */
static const char *const front = "a line of the tests, to fill the log with";

static void
say(unsigned from, unsigned to)
{
	for (; from < to; from++)
		log_line("%s %0*u", front,
		    (int)(LINE_BYTES - 2 - strlen(front)), from);
}

static void
report_ms(int64_t since)
{
	int64_t took = clock_ms() - since;

	if (write(result_fd, &took, sizeof(took)) != sizeof(took))
		_exit(1);
}

static void
wait_for_reader(void)
{
	char c;

	close(result_fd);
	if (read(go_fd, &c, 1) != 0)
		_exit(1);
}

/* Two bursts while nobody reads; a line when somebody does. */
static void
bursts(void (*burst)(unsigned from, unsigned to))
{
	int64_t start = clock_ms();

	burst(0, MANY);
	report_ms(start);
	start = clock_ms();
	burst(MANY, 2 * MANY);
	report_ms(start);
	wait_for_reader();
	log_finish();
	log_line("after");
}

static void
plain(void)
{
	bursts(say);
}

static void
say_and_flush(unsigned from, unsigned to)
{
	for (; from < to; from += 100) {
		say(from, from + 100);
		log_flush();
	}
}

static void
gathered(void)
{
	log_gather();
	bursts(say_and_flush);
}

static void
say_in_batches(unsigned from, unsigned to)
{
	for (; from < to; from += 20) {
		struct log_batch batch;

		log_batch_begin(&batch);
		say(from, from + 20);
		log_batch_end(&batch);
		if (from % 1000 == 0) {
			log_batches_tick();
			log_batches_tick();
		}
	}
}

static void
batched(void)
{
	bursts(say_in_batches);
}

static void
named(void)
{
	log_open("prog");
	bursts(say);
}

/* As a kernel does that cannot write to a pipe without waiting. */
static void
forbid_nowait(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1)
		_exit(1);
}

static void
old_kernel(void)
{
	forbid_nowait();
	bursts(say);
}

struct child {
	pid_t pid;
	int log_fd, go_fd, result_fd;
};

static struct child
start(void (*run)(void))
{
	int log_ends[2], go_ends[2], result_ends[2];
	struct child child;

	assert_int_equal(pipe(log_ends), 0);
	assert_int_equal(pipe(go_ends), 0);
	assert_int_equal(pipe(result_ends), 0);
	child.pid = fork();
	assert_int_not_equal(child.pid, -1);
	if (child.pid == 0) {
		alarm(60); /* a write that blocks ends nobody's test */
		dup2(log_ends[1], 2);
		go_fd = fcntl(go_ends[0], F_DUPFD, 100);
		result_fd = fcntl(result_ends[1], F_DUPFD, 100);
		close_range(3, 99, 0); /* those of other children, too */
		run();
		exit(0);
	}
	close(log_ends[1]);
	close(go_ends[0]);
	close(result_ends[1]);
	child.log_fd = log_ends[0];
	child.go_fd = go_ends[1];
	child.result_fd = result_ends[0];
	return child;
}

static int64_t
took_ms(const struct child *child)
{
	int64_t took;

	assert_int_equal(
	    read(child->result_fd, &took, sizeof(took)), sizeof(took));
	return took;
}

/* Lets the child go on, and reads its log to the end; to be freed. */
static char *
finish(struct child *child)
{
	enum { ROOM = 16 * 1024 * 1024 };
	char *text = malloc(ROOM);
	size_t used = 0;
	int status;
	ssize_t n;

	assert_non_null(text);
	close(child->go_fd);
	while ((n = read(child->log_fd, text + used, ROOM - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(child->log_fd);
	close(child->result_fd);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	assert_int_equal(status, 0);
	return text;
}

/* How many of our lines, counted from 0, text begins with; moves it on. */
static unsigned
count_lines(const char **text, const char *name)
{
	unsigned count = 0;
	char wanted[200];

	for (;; count++) {
		size_t length = (size_t)snprintf(wanted, sizeof(wanted),
		    "%s%s%s %0*u\n", name, *name != '\0' ? ": " : "", front,
		    (int)(LINE_BYTES - 2 - strlen(front)), count);

		if (strncmp(*text, wanted, length) != 0)
			return count;
		*text += length;
	}
}

static void
a_reader_that_does_not_read_stops_nobody(void **state)
{
	static const struct {
		const char *name;
		void (*run)(void);
		const char *program;
	} cases[] = {
		{ "plain", plain, "" },
		{ "named", named, "prog" },
		{ "gathered", gathered, "" },
		{ "batched", batched, "" },
		{ "old kernel", old_kernel, "" },
	};

	enum { CASES = sizeof(cases) / sizeof(cases[0]) };
	struct child children[CASES];

	(void)state;
	for (size_t i = 0; i < CASES && !IS_SANITIZED; i++)
		children[i] = start(cases[i].run); /* they wait side by side */
	for (size_t i = 0; i < CASES; i++) {
		struct child child = IS_SANITIZED ? start(cases[i].run)
						  : children[i];
		int64_t first = took_ms(&child), second = took_ms(&child);
		char *text = finish(&child), wanted[200];
		const char *rest = text;
		unsigned kept = count_lines(&rest, cases[i].program);
		const char *colon = *cases[i].program != '\0' ? ": " : "";

		/* Two seconds, and what sanitizers on a busy machine take. */
		if (first < 1500 || first > 10000 || second > 1500)
			fail_msg("%s: %lld ms, then %lld ms", cases[i].name,
			    (long long)first, (long long)second);
		if (kept < 1024 * 1024 / 100 || kept >= MANY)
			fail_msg("%s: kept %u", cases[i].name, kept);
		snprintf(wanted, sizeof(wanted),
		    "%s%swarning: %u log lines were dropped: the log's reader "
		    "did not read\n%s%safter\n",
		    cases[i].program, colon, 2 * MANY - kept, cases[i].program,
		    colon);
		if (strcmp(rest, wanted) != 0)
			fail_msg("%s: wanted '%s', got '%.300s'", cases[i].name,
			    wanted, rest);
		free(text);
	}
}

static void
say_few(void)
{
	int64_t begun = clock_ms();

	say(0, FEW);
	report_ms(begun);
	wait_for_reader();
}

static void
say_few_gathered(void)
{
	log_gather();
	say_few();
}

/* Nobody waits and nothing is lost when the reader comes in time. */
static void
what_fits_waits_for_the_reader(void **state)
{
	void (*const ways[])(void) = { say_few, say_few_gathered };

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct child child = start(ways[i]);
		int64_t took = took_ms(&child);
		char *text = finish(&child);
		const char *rest = text;

		if (took > 1500)
			fail_msg("way %zu: %lld ms", i, (long long)took);
		assert_int_equal(count_lines(&rest, ""), FEW);
		assert_string_equal(rest, "");
		free(text);
	}
}

static void
exit_without_reader(void)
{
	say(0, FEW);
	exit(0);
}

/* The end of a process waits a moment for the reader, and not for ever. */
static void
exit_does_not_wait_for_ever(void **state)
{
	int64_t begun = clock_ms(), took;
	struct child child = start(exit_without_reader);
	int status;

	(void)state;
	assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
	took = clock_ms() - begun;
	assert_int_equal(status, 0);
	if (took < 900 || took > 10000)
		fail_msg("%lld ms", (long long)took);
	close(child.log_fd);
	close(child.go_fd);
	close(child.result_fd);
}

enum { THREADS = 8, EACH = 5000 };

static void *
say_in_thread(void *context)
{
	unsigned thread = *(unsigned *)context;
	struct log_batch batch;

	for (unsigned i = 0; i < EACH; i += 50) {
		log_batch_begin(&batch);
		for (unsigned j = i; j < i + 50; j++)
			log_line("thread %u line %u %0100u", thread, j, 0);
		log_batch_end(&batch);
	}
	return NULL;
}

static void
threads(void)
{
	pthread_t ids[THREADS];
	unsigned numbers[THREADS];
	int64_t begun = clock_ms();

	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		if (pthread_create(&ids[i], NULL, say_in_thread, &numbers[i]))
			_exit(1);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(ids[i], NULL);
	report_ms(begun);
	wait_for_reader();
	log_finish();
}

/* All of them wait two seconds together, and each one's lines are in order. */
static void
threads_wait_together(void **state)
{
	struct child child = start(threads);
	int64_t took = took_ms(&child);
	char *text = finish(&child);
	unsigned next[THREADS] = { 0 }, dropped = 0, kept = 0;

	(void)state;
	if (took < 1500 || took > 10000)
		fail_msg("%lld ms", (long long)took);
	for (char *line = text, *end; *line != '\0'; line = end + 1) {
		unsigned thread, number;

		end = strchr(line, '\n');
		assert_non_null(end);
		*end = '\0';
		if (sscanf(line, "warning: %u log lines were", &number) == 1) {
			dropped += number;
			continue;
		}
		assert_int_equal(
		    sscanf(line, "thread %u line %u 0", &thread, &number), 2);
		assert_true(thread < THREADS && number >= next[thread]);
		next[thread] = number + 1;
		kept++;
	}
	assert_true(dropped > 0);
	assert_int_equal(kept + dropped, THREADS * EACH);
	free(text);
}

static void
say_to_full_disk(void)
{
	int64_t begun = clock_ms();
	int full = open("/dev/full", O_WRONLY);

	if (full == -1 || dup2(full, 2) == -1)
		_exit(1);
	say(0, MANY);
	report_ms(begun);
	exit(0);
}

static void
a_full_disk_stops_nobody(void **state)
{
	struct child child = start(say_to_full_disk);

	(void)state;
	assert_true(took_ms(&child) < 1500);
	free(finish(&child));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_that_does_not_read_stops_nobody),
		cmocka_unit_test(what_fits_waits_for_the_reader),
		cmocka_unit_test(exit_does_not_wait_for_ever),
		cmocka_unit_test(threads_wait_together),
		cmocka_unit_test(a_full_disk_stops_nobody),
	};

	return cmocka_run_group_tests_name("log_out", tests, NULL, NULL);
}
