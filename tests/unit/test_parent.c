/* SPDX-License-Identifier: ISC */
/* Tests of base/process.c. */
#include "base/process.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/child.h"

struct family {
	const char *name;
	bool is_late;   /* the parent dies before it is asked about */
	int timeout_ms; /* to wait for the signal */
	int report;     /* where the service says what it got */
};

/* A service; says in one byte whether TERM came with its parent's end. */
static void
serve(const struct family *family, int started)
{
	const struct timespec timeout = {
		.tv_sec = family->timeout_ms / 1000,
		.tv_nsec = family->timeout_ms % 1000 * 1000000L,
	};
	sigset_t term;
	pid_t before = getppid();
	pid_t parent = parent_supervise();
	char byte;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	if (!family->is_late)
		parent_end_with(parent);
	if (write(started, "x", 1) != 1)
		_exit(1);
	while (getppid() == before)
		usleep(1000);
	if (family->is_late)
		parent_end_with(parent);
	byte = sigtimedwait(&term, NULL, &timeout) == SIGTERM ? 'T' : '-';
	_exit(write(family->report, &byte, 1) != 1);
}

/* The parent: named, with a service that is ready. */
static bool
start_service(const void *context)
{
	const struct family *family = context;
	int started[2];
	char byte;

	if (prctl(PR_SET_NAME, family->name) == -1 || pipe(started) == -1)
		return false;
	if (fork() == 0)
		serve(family, started[1]);
	return read(started[0], &byte, 1) == 1;
}

static void
the_end_of_the_parent(void **state)
{
	static const struct {
		const char *name, *parent;
		bool is_late;
		char wanted;
	} rows[] = {
		{ "supervise", "supervise", false, 'T' },
		{ "it died before we asked", "supervise", true, 'T' },
		{ "a shell", "sh", false, '-' },
		{ "another name", "supervised", false, '-' },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct family family = { .name = rows[i].parent,
			.is_late = rows[i].is_late,
			.timeout_ms = rows[i].wanted == 'T' ? 10000 : 50 };
		int report[2];
		char got = 0;
		pid_t pid;

		assert_int_equal(pipe(report), 0);
		family.report = report[1];
		pid = child_start(start_service, &family);
		close(report[1]);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_int_equal(read(report[0], &got, 1), 1);
		close(report[0]);
		if (got != rows[i].wanted)
			fail_msg("%s: got %c, wanted %c", rows[i].name, got,
			    rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_the_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
