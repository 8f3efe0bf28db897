/* SPDX-License-Identifier: ISC */
/* Tests of svctool/init/identity.c; some rows need root. */
#include "svctool/init/init.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pwd.h>

#include "tests/unit/child.h"
#include "tests/unit/svc_node.h"

static void
expect(const char *name, const char *user, const char *reason)
{
	struct error err = { "" };
	int result = init_check_identity(node, user, &err);

	if (result != (*reason == '\0' ? 0 : -1) ||
	    strstr(err.text, reason) == NULL)
		fail_msg("%s: got %d '%s', wanted '%s'", name, result, err.text,
		    reason);
}

static void
a_new_node(void **state)
{
	const struct passwd *pw = getpwuid(geteuid());
	struct error err;

	(void)state;
	assert_int_equal(file_remove_tree(folder_path("queue"), &err), 0);
	expect("one for each kind", NULL, "");
	if (pw != NULL)
		expect("ourselves", pw->pw_name, "");
	expect("nobody known", "mqmail-no-such-user",
	    "no system user 'mqmail-no-such-user' (--user, or MQMAIL_USER)");
	if (geteuid() == 0)
		expect("another", "nobody", "");
	else
		expect("another", "root", "only root can make a node that");
}

/* Init changes no owners: who it is for stays as it was. */
static void
a_node_that_is_there(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("not root: no other identity to try\n");
		skip();
	}
	expect("as it was", NULL, "");
	expect("one user now", "nobody",
	    "runs with one user for each kind of process, and init changes no "
	    "owners: leave 'nobody' (--user, MQMAIL_USER) away");
	svc_put("control/global_vars/MQMAIL_USER", "nobody\n");
	expect("as it was", "nobody", "");
	expect("not said again", NULL, "");
	expect("another now", "daemon", "runs as 'nobody' (");
}

static void
look_as_stranger(const void *context)
{
	struct error err = { "" };

	(void)context;
	if (setresgid(65534, 65534, 65534) != 0 ||
	    setresuid(65534, 65534, 65534) != 0)
		_exit(1);
	if (init_check_identity(node, NULL, &err) != -1)
		_exit(2);
	if (strstr(err.text, "' is that of user 0 (") == NULL)
		_exit(3);
}

static void
strangers(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot be a stranger\n");
		skip();
	}
	assert_int_equal(child_run(look_as_stranger, NULL), 0);
	assert_int_equal(
	    chown(folder_path("control/global_vars"), 65534, 0), 0);
	expect("root at another's", NULL, "is that of user 65534 ('");
}

/* Who is not root needs no users; one user for all needs no others. */
static void
users_that_are_needed(void **state)
{
	const struct init_options options = { .user = "nobody" };
	struct maker maker = { .node = node };
	struct error err;

	(void)state;
	assert_int_equal(init_prepare_users(&options, &maker, &err), 0);
	assert_int_equal(maker.has_users, geteuid() == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(a_new_node),
		SVC_TEST(a_node_that_is_there),
		SVC_TEST(strangers),
		SVC_TEST(users_that_are_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
