/* SPDX-License-Identifier: ISC */
/*
 * Tests of svctool/check/layout.c; rows about owners need root.  What is right
 * of a mode is in test_layout.c, which files place_find() sees in test_place.c.
 */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"
#include "tests/unit/child.h"
#include <string.h>

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_owners(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

/* All one user's: root needs no others then. */
static void
put_services(void)
{
	static const char *const files[] = { "queue1/run", "queue1/log/run",
		"queue1/variables/LISTEN", "own/run", "own/log/run",
		"own/variables/x" };

	if (geteuid() == 0)
		setenv("MQMAIL_USER", "root", 1);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "service/%s", files[i]);
		svc_put(path, "");
		assert_int_equal(chmod(folder_path(path), 0755), 0);
	}
}

static void
run_files(void **state)
{
	(void)state;
	put_services();
	expect("whole", "");
	assert_int_equal(chmod(folder_path("service/queue1/run"), 0644), 0);
	remove(folder_path("service/queue1/log/run"));
	remove(folder_path("service/own/run"));
	expect("they cannot be run",
	    "E ~/service/own/run: No such file or directory -- make it, with "
	    "mode 755\n"
	    "E ~/service/queue1/run: its mode is 644, which does not let its "
	    "owner run it -- chmod 755 '~/service/queue1/run'\n"
	    "E ~/service/queue1/log/run: No such file or directory -- 'svctool "
	    "init' makes it\n");
	unsetenv("MQMAIL_USER");
}

static void
owners(void **state)
{
	struct check check = check_begin();
	uid_t uid;

	(void)state;
	if (geteuid() != 0) {
		check_release(&check);
		print_message("not root: cannot give files away\n");
		skip();
	}
	assert_true(check_owner_uid(&check, "/x", LAYOUT_OURS, &uid));
	assert_int_equal(uid, 0);
	setenv("MQMAIL_USER", "root", 1);
	svc_put("control/me", "x");
	assert_int_equal(chown(folder_path("control/me"), 65534, 0), 0);
	expect("another's",
	    "E ~/control/me: it belongs to uid 65534, and should to uid 0 "
	    "(root) -- chown 0 '~/control/me'\n");
	assert_int_equal(chown(folder_path("control/me"), 0, 0), 0);
	/* One user for all roles, whom the system has. */
	setenv("MQMAIL_USER", "nobody", 1);
	assert_true(check_owner_uid(&check, "/x", LAYOUT_SMTPD, &uid));
	assert_int_equal(uid, 65534);
	expect("the role's",
	    "E ~/domains: it belongs to uid 0, and should to uid 65534 "
	    "(nobody) -- chown 65534 '~/domains'\n"
	    "E ~/run/mta-sts: it belongs to uid 0, and should to uid 65534 "
	    "(nobody) -- chown 65534 '~/run/mta-sts'\n"
	    "E ~/run/tls-report: it belongs to uid 0, and should to uid 65534 "
	    "(nobody) -- chown 65534 '~/run/tls-report'\n"
	    "E ~/run/lookupd: it belongs to uid 0, and should to uid 65534 "
	    "(nobody) -- chown 65534 '~/run/lookupd'\n"
	    "E ~/run/cluster: it belongs to uid 0, and should to uid 65534 "
	    "(nobody) -- chown 65534 '~/run/cluster'\n"
	    "E ~/users/logins: it belongs to uid 0, and should to uid 65534 "
	    "(nobody) -- chown 65534 '~/users/logins'\n"
	    "E ~/run/logins: it belongs to uid 0, and should to uid 65534 "
	    "(nobody) -- chown 65534 '~/run/logins'\n");
	setenv("MQMAIL_USER", "mqmail-no-such-user", 1);
	assert_false(check_owner_uid(&check, "/x", LAYOUT_SMTPD, &uid));
	check_expect(&check, "no such user",
	    "E /x: it cannot be told whose it should be: \n");
	check_release(&check);
	unsetenv("MQMAIL_USER");
}

static void
faults_of_modes(void **state)
{
	(void)state;
	put_services();
	assert_int_equal(chmod(folder_path("control"), 0777), 0);
	assert_int_equal(remove(folder_path("run/mta-sts")), 0);
	assert_int_equal(remove(folder_path("run/tls-report")), 0);
	assert_int_equal(remove(folder_path("run/lookupd")), 0);
	assert_int_equal(remove(folder_path("run/cluster")), 0);
	assert_int_equal(remove(folder_path("run/imap")), 0);
	assert_int_equal(remove(folder_path("run/logins")), 0);
	assert_int_equal(remove(folder_path("run")), 0);
	svc_put("tls/servercert.pem", "key");
	assert_int_equal(chmod(folder_path("service/own/run"), 0775), 0);
	assert_int_equal(chmod(folder_path("service/own/variables"), 0757), 0);
	assert_int_equal(
	    chmod(folder_path("service/own/variables/x"), 0646), 0);
	expect("many faults",
	    "E ~/control: its mode is 777, which lets others change it -- "
	    "chmod 755 '~/control'\n"
	    "E ~/run: No such file or directory -- 'svctool init' makes it\n"
	    "E ~/run/mta-sts: No such file or directory -- 'svctool init' "
	    "makes it\n"
	    "E ~/run/tls-report: No such file or directory -- 'svctool init' "
	    "makes it\n"
	    "E ~/run/lookupd: No such file or directory -- 'svctool init' "
	    "makes it\n"
	    "E ~/run/cluster: No such file or directory -- 'svctool init' "
	    "makes it\n"
	    "E ~/run/imap: No such file or directory -- 'svctool init' "
	    "makes it\n"
	    "E ~/run/logins: No such file or directory -- 'svctool init' "
	    "makes it\n"
	    "E ~/tls/servercert.pem: its mode is 644, which lets others read "
	    "it -- chmod 640 '~/tls/servercert.pem'\n"
	    "E ~/service/own/run: its mode is 775\n"
	    "E ~/service/own/variables: its mode is 757\n"
	    "E ~/service/own/variables/x: its mode is 646\n");
	unsetenv("MQMAIL_USER");
}

static void
expect_place(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_place(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

/* A node that was moved or copied names the place where it was. */
static void
nodes_of_another_place(void **state)
{
	(void)state;
	expect_place("as made", "");
	svc_put("control/global_vars/MQMAIL_HOME", folder);
	expect_place("ours", "");
	svc_put("control/global_vars/MQMAIL_HOME", "/elsewhere\n");
	expect_place("another's",
	    "E ~/control/global_vars/MQMAIL_HOME: it names '/elsewhere', which "
	    "is not of this node (was the node moved or copied?) -- put the "
	    "folder back where it was, or rm "
	    "'~/control/global_vars/MQMAIL_HOME', and 'svctool init --home ~' "
	    "makes it for this place\n");
}

enum { NOBODY = 65534 };

/* Who owns the node's folder and its variables, and what becomes of root. */
struct row {
	const char *name;
	uid_t root_uid, vars_uid;
	uid_t wanted; /* the user that root acts as */
};

/* An exit code that says where it failed. */
static void
look(const void *context)
{
	const struct row *row = context;
	struct check check = { .node = node };
	struct error err = { "" };

	if (chown(folder, row->root_uid, 0) != 0 ||
	    chown(node->global_vars, row->vars_uid, 0) != 0)
		_exit(1);
	if (check_as_owner(&check, &err) != 0)
		_exit(2);
	if (geteuid() != row->wanted)
		_exit(3);
	if (check.warnings != (row->wanted != 0) || check.errors != 0)
		_exit(4);
	if (check.warnings > 0 &&
	    strstr(check.findings[0].text, "the node belongs to user 65534") ==
		NULL)
		_exit(5);
	check_release(&check);
}

static void
root_becomes_the_owner(void **state)
{
	static const struct row rows[] = {
		{ "root's", 0, 0, 0 },
		{ "a user's", NOBODY, NOBODY, NOBODY },
		/* Of a node of root's one folder has another owner. */
		{ "folder only", NOBODY, 0, 0 },
		{ "variables only", 0, NOBODY, 0 },
		{ "two users", NOBODY, NOBODY - 1, 0 },
	};

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot become others\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = child_run(look, &rows[i]);

		if (code != 0)
			fail_msg("%s: step %d", rows[i].name, code);
	}
}

/* What is missing is found later; others stay what they are. */
static void
nothing_to_become(void **state)
{
	struct check check = { .node = node };
	uid_t before = geteuid();
	struct error err;

	(void)state;
	assert_int_equal(
	    file_remove_tree(folder_path("control/global_vars"), &err), 0);
	assert_int_equal(check_as_owner(&check, &err), 0);
	assert_int_equal(geteuid(), before);
	assert_int_equal(check.count, 0);
	check_release(&check);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(run_files),
		SVC_TEST(owners),
		SVC_TEST(faults_of_modes),
		SVC_TEST(nodes_of_another_place),
		SVC_TEST(root_becomes_the_owner),
		SVC_TEST(nothing_to_become),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
