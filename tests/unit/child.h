/* SPDX-License-Identifier: ISC */
/* A child that waits until it is killed.  Include after cmocka.h. */
#ifndef TESTS_UNIT_CHILD_H
#define TESTS_UNIT_CHILD_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends with its parent, also with one that has ended before. */
static inline void
child_wait(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
}

/* When it returns the child has called prepare, which was true. */
static inline pid_t
child_start(bool (*prepare)(const void *context), const void *context)
{
	int ready[2];
	char byte;
	pid_t parent, pid;

	assert_int_equal(pipe(ready), 0);
	parent = getpid();
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		close(ready[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (prepare(context) && write(ready[1], "x", 1) == 1)
			child_wait(parent);
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/*
 * The exit code of a child that calls run, which may end it, with context; 0
 * when it returns, -1 when a signal ends it.  What it says is thrown away.
 */
static inline int
child_run(void (*run)(const void *context), const void *context)
{
	pid_t pid = fork();
	int status;

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		run(context);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
