/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/proc_socket.c, and of whom a port belongs to. */
#include "svctool/run/proc.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/child.h"
#include "tests/unit/port.h"

struct wanted {
	int fd;
	bool has_grandchild; /* which keeps the descriptor */
};

static bool
drop_descriptor(const void *context)
{
	const struct wanted *wanted = context;

	if (wanted->has_grandchild && fork() == 0)
		child_wait();
	return close(wanted->fd) == 0;
}

/* A child without the descriptor. */
static pid_t
start_child(int fd, bool has_grandchild)
{
	const struct wanted wanted = { fd, has_grandchild };

	return child_start(drop_descriptor, &wanted);
}

static void
holders(void **state)
{
	struct port_address address;
	uint64_t inodes[4];
	int fd = port_take(&address);
	size_t count = port_listeners(&address, inodes, 4);
	pid_t other = start_child(fd, false);
	pid_t parent = start_child(fd, true);
	const struct {
		const char *name;
		pid_t pid;
		size_t count;
		int wanted;
	} rows[] = {
		{ "ourselves", getpid(), count, 1 },
		{ "no socket is asked for", getpid(), 0, 0 },
		{ "a process without it", other, count, 0 },
		{ "one whose child has it", parent, count, 1 },
	};

	(void)state;
	assert_int_equal(count, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int got = proc_holds_socket(rows[i].pid, inodes, rows[i].count);

		if (got != rows[i].wanted)
			fail_msg("%s: got %d, wanted %d", rows[i].name, got,
			    rows[i].wanted);
	}
	kill(other, SIGKILL);
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	assert_true(proc_is_alive(getpid()));
	/* Dead, but not waited for: what supervise shows as up. */
	while (proc_is_alive(other))
		usleep(1000);
	assert_int_equal(proc_holds_socket(other, inodes, count), 0);
	waitpid(other, NULL, 0);
	assert_false(proc_is_alive(other));
	close(fd);
	assert_int_equal(port_listeners(&address, inodes, 4), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
