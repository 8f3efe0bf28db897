/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/proc.c. */
#include "svctool/run/proc.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/child.h"
#include "tests/unit/port.h"

struct wanted {
	const char *name, *folder;
};

static bool
take_name(const void *context)
{
	const struct wanted *wanted = context;

	return prctl(PR_SET_NAME, wanted->name) == 0 &&
	    chdir(wanted->folder) == 0;
}

/* A child that is called name and works in folder. */
static pid_t
start_child(const char *name, const char *folder)
{
	const struct wanted wanted = { name, folder };

	return child_start(take_name, &wanted);
}

static void
end_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
reading(void **state)
{
	struct proc self, child, gone;
	pid_t pid = start_child("a (b) c", "/");

	(void)state;
	assert_true(proc_read(getpid(), &self));
	assert_int_equal(self.parent, getppid());
	assert_int_equal(self.session, getsid(0));
	assert_int_equal(self.uid, geteuid());
	assert_string_equal(self.name, "test_proc");
	assert_true(proc_read(pid, &child));
	assert_string_equal(child.name, "a (b) c");
	assert_int_equal(child.parent, getpid());
	assert_int_equal(child.session, self.session);
	assert_true(child.started >= self.started && self.started > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* Dead, but not waited for: what supervise shows as up. */
	while (proc_is_alive(pid))
		usleep(1000);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(proc_read(pid, &gone));
}

static void
listing(void **state)
{
	struct proc_list all;
	pid_t pid = start_child("other", "/");

	(void)state;
	assert_int_equal(proc_list_all(&all, NULL), 0);
	assert_non_null(proc_list_find(&all, getpid()));
	assert_string_equal(proc_list_find(&all, pid)->name, "other");
	proc_list_release(&all);
	assert_null(proc_list_find(&all, pid));
	end_child(pid);
}

/* Also in a folder that was removed, as the kernel says it. */
static void
working_folders(void **state)
{
	char base[] = "/tmp/test_proc.XXXXXX";
	char inside[64], beside[64];
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(base));
	snprintf(inside, sizeof(inside), "%s/n", base);
	snprintf(beside, sizeof(beside), "%s/n 2", base);
	assert_int_equal(mkdir(inside, 0755), 0);
	assert_int_equal(mkdir(beside, 0755), 0);
	pid = start_child("vi", inside);
	assert_true(proc_works_in(pid, inside));
	assert_true(proc_works_in(pid, base));
	assert_false(proc_works_in(pid, beside));
	rmdir(inside);
	assert_true(proc_works_in(pid, inside));
	end_child(pid);
	assert_false(proc_works_in(pid, inside));
	pid = start_child("vi", beside);
	assert_false(proc_works_in(pid, inside));
	end_child(pid);
	rmdir(beside);
	rmdir(base);
}

static bool
work_in(const void *folder)
{
	return chdir(folder) == 0;
}

/* The supervise of a folder, and a service that it runs. */
static bool
supervise(const void *context)
{
	return prctl(PR_SET_NAME, "supervise") == 0 && work_in(context) &&
	    child_start(work_in, context) > 0;
}

/* On a full disk the status of supervise names who ran before. */
static void
find_supervised(void **state)
{
	char folder[] = "/tmp/test_proc.XXXXXX";
	pid_t parent, service, other;

	(void)state;
	assert_non_null(mkdtemp(folder));
	other = start_child("qmail-smtpd", folder);
	assert_int_equal(proc_find_supervised(folder, 0), 0);
	assert_int_equal(proc_find_supervised(folder, other), other);
	parent = child_start(supervise, folder);
	service = proc_find_supervised(folder, 0);
	assert_int_not_equal(service, 0);
	assert_int_not_equal(service, other);
	assert_true(proc_is_alive(service));
	assert_int_equal(proc_find_supervised(folder, other), service);
	assert_int_equal(proc_find_supervised(folder, service), service);
	assert_int_equal(proc_find_supervised("/tmp", other), other);
	assert_int_equal(proc_find_supervised("/no/such", other), other);
	end_child(parent);
	end_child(other);
	rmdir(folder);
}

static void
find_stopped(void **state)
{
	char folder[] = "/tmp/test_proc.XXXXXX";
	pid_t parent, service;
	struct proc proc;

	(void)state;
	assert_non_null(mkdtemp(folder));
	parent = child_start(supervise, folder);
	service = proc_find_supervised(folder, 0);
	assert_false(proc_find_stopped(parent, &proc));
	assert_int_equal(kill(service, SIGSTOP), 0);
	while (!proc_find_stopped(service, &proc))
		usleep(1000);
	assert_int_equal(proc.pid, service);
	assert_true(proc_find_stopped(parent, &proc));
	assert_int_equal(proc.pid, service);
	assert_int_equal(kill(service, SIGCONT), 0);
	while (proc_find_stopped(parent, &proc))
		usleep(1000);
	end_child(parent);
	rmdir(folder);
}

struct holding {
	int fd;
	bool has_grandchild; /* which keeps the descriptor */
};

static bool
drop_descriptor(const void *context)
{
	const struct holding *holding = context;
	pid_t parent = getpid();

	if (holding->has_grandchild && fork() == 0) {
		child_wait(parent);
		_exit(0);
	}
	return close(holding->fd) == 0;
}

/* A child without the descriptor. */
static pid_t
start_holding(int fd, bool has_grandchild)
{
	const struct holding holding = { fd, has_grandchild };

	return child_start(drop_descriptor, &holding);
}

static void
holders(void **state)
{
	struct port_address address;
	uint64_t inodes[4];
	int fd = port_take(&address);
	size_t count = port_listeners(&address, inodes, 4);
	pid_t other = start_holding(fd, false);
	pid_t parent = start_holding(fd, true);
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
	end_child(other);
	end_child(parent);
	assert_int_equal(proc_holds_socket(other, inodes, count), 0);
	close(fd);
	/* The child of one of them holds it until it has heard. */
	while (port_listeners(&address, inodes, 4) != 0)
		usleep(1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),
		cmocka_unit_test(listing),
		cmocka_unit_test(working_folders),
		cmocka_unit_test(find_supervised),
		cmocka_unit_test(find_stopped),
		cmocka_unit_test(holders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
