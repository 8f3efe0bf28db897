/* SPDX-License-Identifier: ISC */
/* Tests of base/user.h; those that need root are skipped without it. */
#include "base/process.h"

#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs a check in a child process, as it cannot be undone. */
static void
in_child(int (*check)(void))
{
	pid_t child = fork();
	int status = 0;

	assert_int_not_equal(child, -1);
	if (child == 0)
		_exit(check());
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("the child's check failed with status %#x",
		    (unsigned)status);
}

static int
check_becomes_nobody(void)
{
	const struct passwd *pw = getpwnam("nobody");
	struct error err;
	gid_t groups[64];
	int i, count;

	if (pw == NULL || user_become("nobody", pw->pw_uid, pw->pw_gid, &err))
		return 1;
	if (getuid() != pw->pw_uid || geteuid() != pw->pw_uid ||
	    getgid() != pw->pw_gid || getegid() != pw->pw_gid)
		return 2;
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
		return 3;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 4;
	count = getgroups(64, groups);
	for (i = 0; i < count; i++)
		if (groups[i] == 0)
			return 5; /* root's group stayed */
	return 0;
}

/* After that, another user's rights are refused, with the reason. */
static int
check_cannot_change_again(void)
{
	struct error err = { "" };

	if (check_becomes_nobody() != 0)
		return 1;
	if (user_become("root", 0, 0, &err) != -1)
		return 2;
	return strstr(err.text, "'root': only root can") == NULL ? 3 : 0;
}

static void
test_root_becomes(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("only root can change its user\n");
		skip();
	}
	in_child(check_becomes_nobody);
	in_child(check_cannot_change_again);
}

static int
check_stays(void)
{
	struct error err;

	if (geteuid() == 0 && check_becomes_nobody() != 0)
		return 1;
	if (user_become("myself", geteuid(), getegid(), &err) == -1)
		return 2;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 3;
}

static int
check_refuses_other(void)
{
	struct error err = { "" };

	if (geteuid() == 0 && check_becomes_nobody() != 0)
		return 1;
	if (user_become("somebody", geteuid() + 1, getegid(), &err) != -1)
		return 2;
	return strstr(err.text, "'somebody': only root can") == NULL ? 3 : 0;
}

static void
test_ordinary_user(void **state)
{
	(void)state;
	in_child(check_stays);
	in_child(check_refuses_other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root_becomes),
		cmocka_unit_test(test_ordinary_user),
	};

	return cmocka_run_group_tests_name("user", tests, NULL, NULL);
}
