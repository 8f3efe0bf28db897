/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/session.c. */
#include "svctool/run/session.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>

#include "tests/unit/child.h"
#include "tests/unit/svc_node.h"

/* As svctool start does it, and then one of its services. */
static bool
begin(const void *service_cwd)
{
	struct error err;

	if (session_begin(node, &err) == -1)
		return false;
	if (service_cwd != NULL && fork() == 0) {
		/* Outlives the one that leads. */
		if (chdir(service_cwd) == -1)
			_exit(1);
		alarm(60);
		for (;;)
			pause();
	}
	return true;
}

static void
end_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static size_t
count_processes(void)
{
	struct proc_list list;
	struct error err;
	size_t count;

	if (session_list(node, &list, &err) == -1)
		fail_msg("%s", err.text);
	count = list.count;
	proc_list_release(&list);
	return count;
}

static void
what_was_started(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(count_processes(), 0);
	assert_int_equal(session_svscan(node), 0);
	pid = child_start(begin, NULL);
	assert_int_equal(count_processes(), 1);
	assert_int_equal(session_svscan(node), pid);
	end_child(pid);
	assert_int_equal(count_processes(), 0);
	assert_int_equal(session_svscan(node), 0);
	session_forget(node);
	assert_false(svc_has("run/svscan"));
}

/* Replaces the first old in text. */
static char *
edit(const char *text, const char *old, const char *new)
{
	const char *at = strstr(text, old);
	char *edited;

	assert_non_null(at);
	assert_true(asprintf(&edited, "%.*s%s%s", (int)(at - text), text, new,
			at + strlen(old)) > 0);
	return edited;
}

/* A pid alone is nothing: it has to have begun then, and since this boot. */
static void
records_of_others(void **state)
{
	pid_t pid = child_start(begin, NULL);
	struct buf text = BUF_INIT;
	struct proc proc;
	char started[32], other[32];
	const struct {
		const char *old, *new;
	} rows[] = {
		{ started, other },
		{ "boot ", "boot 0" },
		{ "folder ", "folder 1" },
	};

	(void)state;
	assert_int_equal(
	    file_read(folder_path("run/svscan"), 1000, &text, NULL), 1);
	assert_true(proc_read(pid, &proc));
	snprintf(started, sizeof(started), "started %" PRIu64, proc.started);
	snprintf(other, sizeof(other), "started %" PRIu64, proc.started - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *edited = edit(text.data, rows[i].old, rows[i].new);

		svc_put("run/svscan", edited);
		if (count_processes() != 0 || session_svscan(node) != 0)
			fail_msg("taken for ours: %s", edited);
		free(edited);
	}
	svc_put("run/svscan", text.data);
	assert_int_equal(session_svscan(node), pid);
	end_child(pid);
	buf_release(&text);
}

static void
damaged_records(void **state)
{
	static const char *const rows[] = { "", "pid\n", "pid 5\n",
		"pid five\nstarted 6\n", "\n\n\n" };
	struct proc_list list;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };

		svc_put("run/svscan", rows[i]);
		assert_int_equal(session_list(node, &list, &err), -1);
		assert_non_null(strstr(err.text, "run/svscan' is damaged"));
		proc_list_release(&list);
	}
}

/* Its services are known by their session, if they work in the folder. */
static void
a_killed_svscan(void **state)
{
	static const struct {
		const char *cwd; /* NULL: of the node */
		size_t wanted;
	} rows[] = { { NULL, 1 }, { "/", 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *cwd = rows[i].cwd != NULL ? rows[i].cwd : folder;
		pid_t pid = child_start(begin, cwd);
		struct proc_list list;

		assert_int_equal(session_list(node, &list, NULL), 0);
		assert_int_equal(list.count, 2);
		end_child(pid);
		assert_int_equal(count_processes(), rows[i].wanted);
		assert_int_equal(session_svscan(node), 0);
		/* Who knew the session still knows it. */
		assert_int_equal(session_list_again(&list, NULL), 0);
		assert_int_equal(list.count, 1);
		kill(list.items[0].pid, SIGKILL);
		while (list.count > 0)
			assert_int_equal(session_list_again(&list, NULL), 0);
		proc_list_release(&list);
	}
}

struct wanted {
	const char *cwd;
	bool is_leader;
};

static bool
be_svscan(const void *context)
{
	const struct wanted *wanted = context;

	return prctl(PR_SET_NAME, "svscan") == 0 && chdir(wanted->cwd) == 0 &&
	    (!wanted->is_leader || setsid() != -1);
}

/* By the folder that it works in. */
static void
an_svscan_without_record(void **state)
{
	char service[200];
	struct wanted wanted = { .cwd = service };
	pid_t pid;

	(void)state;
	snprintf(service, sizeof(service), "%s/service", folder);
	pid = child_start(be_svscan, &wanted);
	assert_int_equal(session_svscan(node), pid);
	assert_int_equal(count_processes(), 0); /* a session of others */
	end_child(pid);
	wanted.is_leader = true;
	pid = child_start(be_svscan, &wanted);
	assert_int_equal(session_svscan(node), pid);
	assert_int_equal(count_processes(), 1);
	assert_int_equal(rmdir(service), 0);
	assert_int_equal(mkdir(service, 0755), 0);
	assert_int_equal(session_svscan(node), 0); /* of a removed folder */
	assert_int_equal(count_processes(), 1);
	end_child(pid);
	wanted.cwd = "/";
	pid = child_start(be_svscan, &wanted);
	assert_int_equal(count_processes(), 0);
	end_child(pid);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(what_was_started),
		SVC_TEST(records_of_others),
		SVC_TEST(damaged_records),
		SVC_TEST(a_killed_svscan),
		SVC_TEST(an_svscan_without_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
