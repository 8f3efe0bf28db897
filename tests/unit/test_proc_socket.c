/* SPDX-License-Identifier: ISC */
/* Tests of svctool/proc_socket.c, and of whom a port belongs to. */
#include "svctool/proc.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "svctool/ports.h"

/* A socket that listens on a port of the kernel's choice. */
static int
take_port(struct port_address *address_out)
{
	struct sockaddr_in where = { .sin_family = AF_INET };
	socklen_t size = sizeof(where);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&where, sizeof(where)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &size), 0);
	snprintf(address_out->ip, sizeof(address_out->ip), "127.0.0.1");
	address_out->port = ntohs(where.sin_port);
	return fd;
}

/*
 * A child without the descriptor; with_grandchild: that has started a process
 * which has it.
 */
static pid_t
start_child(int fd, bool with_grandchild)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (with_grandchild && fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		close(fd);
		if (write(ready[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void
holders(void **state)
{
	struct port_address address;
	uint64_t inodes[4];
	int fd = take_port(&address);
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
