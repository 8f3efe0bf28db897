/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/place.c; which files are seen is in test_place.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"
#include "tests/unit/child.h"

static void
expect(const char *name, const char *wanted)
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
	expect("as made", "");
	svc_put("control/global_vars/MQMAIL_HOME", folder);
	expect("ours", "");
	svc_put("control/global_vars/MQMAIL_HOME", "/elsewhere\n");
	expect("another's",
	    "E ~/control/global_vars/MQMAIL_HOME: it names '/elsewhere', which "
	    "is not of this node (was the node moved or copied?) -- put the "
	    "folder back where it was, or rm "
	    "'~/control/global_vars/MQMAIL_HOME', and 'svctool init --home ~' "
	    "makes it for this place\n");
}

/* svscan's name, in the node's folder, as a user or as root. */
static bool
be_svscan(const void *context)
{
	uid_t uid = *(const uid_t *)context;

	return setsid() != -1 && chdir(node->home->service) == 0 &&
	    setresuid(uid, uid, uid) == 0 &&
	    /* Changing the user has undone these. */
	    prctl(PR_SET_DUMPABLE, 1) == 0 &&
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
	    prctl(PR_SET_NAME, "svscan") == 0;
}

static void
who_runs_svscan(void **state)
{
	static const struct {
		uid_t uid;
		const char *wanted;
	} rows[] = {
		{ 0, "" },
		{ 65534,
		    ") was started there by user 65534, and not by the node's "
		    "-- svctool stop as that user or root, then svctool "
		    "start\n" },
	};

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot start another's svscan\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pid_t pid = child_start(be_svscan, &rows[i].uid);

		expect(
		    rows[i].uid == 0 ? "root's" : "another's", rows[i].wanted);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(nodes_of_another_place),
		SVC_TEST(who_runs_svscan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
