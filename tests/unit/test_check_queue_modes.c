/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/queue_modes.c. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "svctool/check/queue.h"
#include "tests/unit/check_node.h"
#include "tests/unit/queue_folder.h"

static int
set_up(void **state)
{
	struct error err;

	if (svc_setup(state) != 0)
		return -1;
	/* All one user's: root needs no others then. */
	if (geteuid() == 0)
		setenv("MQMAIL_USER", "root", 1);
	return quiet_fix(folder_path("queue/q"), 3, false, &err) == -1 ? -1 : 0;
}

static int
tear_down(void **state)
{
	unsetenv("MQMAIL_USER");
	return svc_teardown(state);
}

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_queue_modes(&check, "q");
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
modes(void **state)
{
	static const struct {
		const char *path;
		mode_t good, bad;
	} rows[] = {
		{ "", 0755, 0777 },
		{ "/pid", 0700, 0755 },
		{ "/mess", 0700, 0750 },
		{ "/mess/0", 0700, 0750 },
		{ "/mess/2", 0700, 0701 },
		{ "/info/1", 0700, 0740 },
		{ "/local/1", 0700, 0740 },
		{ "/remote/2", 0700, 0740 },
		{ "/todo", 0700, 0710 },
		{ "/intd", 0700, 0710 },
		{ "/bounce", 0700, 0710 },
		{ "/lock", 0755, 0700 },
		{ "/lock/sendmutex", 0600, 0644 },
		{ "/lock/tcpto", 0644, 0600 },
		{ "/lock/trigger", 0622, 0600 },
	};

	(void)state;
	expect("as made", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[64], wanted[160];

		snprintf(path, sizeof(path), "queue/q%s", rows[i].path);
		assert_int_equal(chmod(folder_path(path), rows[i].bad), 0);
		snprintf(wanted, sizeof(wanted),
		    "E ~/%s: its mode is %03o, and should be %03o -- svctool "
		    "queue fix q\n",
		    path, rows[i].bad, rows[i].good);
		expect(rows[i].path, wanted);
		assert_int_equal(chmod(folder_path(path), rows[i].good), 0);
	}
}

static void
what_is_not_there(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(
	    file_remove_tree(folder_path("queue/q/todo"), &err), 0);
	remove(folder_path("queue/q/lock/trigger"));
	folder_write("queue/q/lock/trigger", "", 0);
	remove(folder_path("queue/q/info/2"));
	svc_dir("queue/q/intd/0");
	expect("several",
	    "E ~/queue/q/info/2: No such file or directory\n"
	    "E ~/queue/q/todo: No such file or directory -- svctool\n"
	    "E ~/queue/q/intd/0: the folder is split, as another system's, "
	    "and the mail in it waits\n"
	    "E ~/queue/q/lock/trigger: it is not a named pipe -- svctool\n");
	assert_int_equal(file_remove_tree(folder_path("queue/q"), &err), 0);
	expect("no queue", "E ~/queue/q: No such file or directory -- svc\n");
}

static void
types(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(
	    file_remove_tree(folder_path("queue/q/bounce"), &err), 0);
	assert_int_equal(symlink("mess", folder_path("queue/q/bounce")), 0);
	remove(folder_path("queue/q/lock/tcpto"));
	svc_dir("queue/q/lock/tcpto");
	expect("others",
	    "E ~/queue/q/bounce: it is not a folder\n"
	    "E ~/queue/q/lock/tcpto: it is not a file\n");
}

static void
owners(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot give files away\n");
		skip();
	}
	assert_int_equal(chown(folder_path("queue/q/mess/1"), 65534, 0), 0);
	expect("another's",
	    "E ~/queue/q/mess/1: it belongs to uid 65534, and should to uid "
	    "0\n");
}

#define QUEUE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(modes),
		QUEUE_TEST(what_is_not_there),
		QUEUE_TEST(types),
		QUEUE_TEST(owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
