/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/proc.c. */
#include "svctool/run/proc.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/child.h"

static void
names(void **state)
{
	static const struct {
		const char *name;
		bool wanted;
	} rows[] = {
		{ "svscan", true },
		{ "supervise", true },
		{ "multilog", true },
		{ "qmail-smtpd", true },
		{ "qmail-vdeliver", true },
		{ "bash", false },
		{ "qmail", false },
		{ "qmail-smtpd2", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (proc_is_ours(rows[i].name) != rows[i].wanted)
			fail_msg(
			    "'%s': wanted %d", rows[i].name, rows[i].wanted);
}

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

/* Only ours, and only those in the node's folder, are the node's. */
static void
find_node(void **state)
{
	char base[] = "/tmp/test_proc.XXXXXX";
	char inside[64], beside[64];
	struct proc_list list;
	struct error err;
	pid_t ours, other_name, other_node;

	(void)state;
	assert_non_null(mkdtemp(base));
	snprintf(inside, sizeof(inside), "%s/n", base);
	snprintf(beside, sizeof(beside), "%s/n2", base);
	assert_int_equal(mkdir(inside, 0755), 0);
	assert_int_equal(mkdir(beside, 0755), 0);
	ours = start_child("qmail-send", inside);
	other_name = start_child("vi", inside);
	other_node = start_child("qmail-send", beside);

	assert_int_equal(proc_find_node(inside, &list, &err), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.items[0].pid, ours);
	assert_string_equal(list.items[0].name, "qmail-send");
	proc_list_release(&list);

	end_child(ours);
	end_child(other_name);
	end_child(other_node);
	assert_int_equal(proc_find_node(inside, &list, &err), 0);
	assert_int_equal(list.count, 0);
	proc_list_release(&list);
	rmdir(inside);
	rmdir(beside);
	rmdir(base);
}

static void
find_svscan(void **state)
{
	char folder[] = "/tmp/test_proc.XXXXXX";
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(proc_find_svscan(folder), 0);
	pid = start_child("svscan", folder);
	assert_int_equal(proc_find_svscan(folder), pid);
	assert_int_equal(proc_find_svscan("/tmp"), 0);
	assert_int_equal(proc_find_svscan("/tmp/does/not/exist"), 0);
	end_child(pid);
	assert_int_equal(proc_find_svscan(folder), 0);
	rmdir(folder);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(find_node),
		cmocka_unit_test(find_svscan),
		cmocka_unit_test(find_supervised),
		cmocka_unit_test(find_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
