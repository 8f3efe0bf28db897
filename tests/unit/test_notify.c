/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/notify.c. */
#include "adminsrv/notify.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/child.h"
#include "tests/unit/folder.h"

/* The child's name, as /proc/PID/comm has it. */
static bool
take_name(const void *context)
{
	return prctl(PR_SET_NAME, context) == 0;
}

/* How the child ends: by our HUP, or by the KILL that follows it. */
static int
end_of(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WTERMSIG(status);
}

/* HUP ends a program that does not expect it. */
static void
who_is_told(void **state)
{
	static const struct {
		const char *file, *name;
		const char *before, *behind; /* the pid, in the file */
		bool is_told;
	} rows[] = {
		{ "qmail-send.queue1.pid", "qmail-send", "", "\n", true },
		{ "qmail-smtpd.25.pid", "qmail-smtpd", "", "\n", true },
		{ "qmail-smtpd.25.pid", "qmail-smtpd", "", "", true },
		{ "qmail-send.queue1.pid", "qmail-send", "", "\nmore", true },
		{ "qmail-send.queue1.pid", "qmail-smtpd", "", "\n", false },
		{ "qmail-send.queue1.pid", "qmail-sen", "", "\n", false },
		{ "qmail-send.queue1.pid", "qmail-sendx", "", "\n", false },
		{ "qmail-send.queue1.pid", "vi", "", "\n", false },
		{ "qmail-sendx.queue1.pid", "qmail-send", "", "\n", false },
		{ "qmail-sen.pid", "qmail-sen", "", "\n", false },
		{ "qmail-start.queue1.pid", "qmail-start", "", "\n", false },
		{ "qmail-send.queue1.pid~", "qmail-send", "", "\n", false },
		{ "qmail-send.queue1", "qmail-send", "", "\n", false },
		{ "pid", "qmail-send", "", "\n", false },
		{ "qmail-send.queue1.pid", "qmail-send", " ", "\n", false },
		{ "qmail-send.queue1.pid", "qmail-send", "-", "\n", false },
		{ "qmail-send.queue1.pid", "qmail-send", "", " x\n", false },
		{ "qmail-send.queue1.pid", "qmail-send", "999999999999", "\n",
		    false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pid_t pid = child_start(take_name, rows[i].name);
		struct error err = { "" };
		char text[64];
		int result, end;

		snprintf(text, sizeof(text), "%s%ld%s", rows[i].before,
		    (long)pid, rows[i].behind);
		folder_write(rows[i].file, text, strlen(text));
		result = notify_daemons(folder, &err);
		end = end_of(pid);
		if (result != 0 || (end == SIGHUP) != rows[i].is_told)
			fail_msg("row %zu, %s, %s: got %d, signal %d (%s)", i,
			    rows[i].file, rows[i].name, result, end, err.text);
		remove(folder_path(rows[i].file));
	}
}

/* One that is gone, or was never there, keeps none from the others. */
static void
all_of_them(void **state)
{
	pid_t first = child_start(take_name, "qmail-send");
	pid_t second = child_start(take_name, "qmail-smtpd");
	pid_t gone = child_start(take_name, "qmail-send");
	char text[64];

	(void)state;
	assert_int_equal(end_of(gone), SIGKILL);
	snprintf(text, sizeof(text), "%ld\n", (long)gone);
	folder_write("qmail-send.a.pid", text, strlen(text));
	folder_write("qmail-send.empty.pid", "", 0);
	folder_write("qmail-send.init.pid", "1\n", 2);
	assert_int_equal(
	    file_make_dirs(folder_path("qmail-send.dir.pid"), 0700, NULL), 0);
	snprintf(text, sizeof(text), "%ld\n", (long)first);
	folder_write("qmail-send.b.pid", text, strlen(text));
	snprintf(text, sizeof(text), "%ld\n", (long)second);
	folder_write("qmail-smtpd.c.pid", text, strlen(text));
	assert_int_equal(notify_daemons(folder, NULL), 0);
	assert_int_equal(end_of(first), SIGHUP);
	assert_int_equal(end_of(second), SIGHUP);
}

static void
folders(void **state)
{
	struct error err = { "" };

	(void)state;
	assert_int_equal(notify_daemons(folder_path("none"), &err), 0);
	folder_write("file", "", 0);
	assert_int_equal(notify_daemons(folder_path("file"), &err), -1);
	assert_non_null(strstr(err.text, "cannot look into '"));
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_is_told),
		TEST(all_of_them),
		TEST(folders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
