/* SPDX-License-Identifier: ISC */
/* Tests of base/file.c. */
#include "base/file.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The pid of a process that has ended. */
static long
dead_pid(void)
{
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void
what_is_left(void **state)
{
	char folder[] = "/tmp/test_file_sweep.XXXXXX";
	long dead = dead_pid(), alive = getpid();
	const struct {
		const char *prefix;
		long pid;
		const char *suffix;
		bool goes;
	} rows[] = {
		{ "me.tmp.", dead, "", true },
		{ ".qmail-default.tmp.", dead, "", true },
		{ "tcp.smtp.cdb.tmp.", dead, "", true },
		{ "me.tmp.", alive, "", false },
		{ "me.", dead, "", false },
		{ "me.tmp.", dead, "x", false },
		{ "me.tmp.", 0, "", false },
		{ "me.tmp", 0, "", false },
		{ "me", 0, "", false },
	};
	enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
	char path[COUNT][128];
	int gone = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (int i = 0; i < COUNT; i++) {
		int fd;

		snprintf(path[i], sizeof(path[i]), "%s/%s%ld%s", folder,
		    rows[i].prefix, rows[i].pid, rows[i].suffix);
		fd = open(path[i], O_WRONLY | O_CREAT, 0600);
		assert_int_not_equal(fd, -1);
		close(fd);
		gone += rows[i].goes;
	}
	assert_int_equal(file_sweep(folder, NULL), gone);
	for (int i = 0; i < COUNT; i++) {
		if ((access(path[i], F_OK) == -1) != rows[i].goes)
			fail_msg("'%s': wanted gone %d", path[i], rows[i].goes);
		unlink(path[i]);
	}
	assert_int_equal(file_sweep(folder, NULL), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(file_sweep(folder, NULL), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
