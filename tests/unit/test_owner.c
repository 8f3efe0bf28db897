/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/owner.c; root's rows need root. */
#include "adminsrv/owner.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/child.h"
#include "tests/unit/folder.h"

enum { NOBODY = 65534, GROUP = 65533 };

/* An exit code that says where it failed; for children. */
#define MUST(condition)                            \
	do {                                       \
		if (!(condition))                  \
			_exit(__LINE__ % 250 + 1); \
	} while (0)

static void
act_as_owner(const void *context)
{
	const char *path = context;
	struct error err = { "" };
	gid_t groups[8];
	struct stat st;

	MUST(chmod(folder, 0777) == 0);
	MUST(owner_enter(NOBODY, GROUP, &err) == ADMIN_OK);
	MUST(geteuid() == NOBODY && getegid() == GROUP && getuid() == 0);
	/* No group of root's is left. */
	MUST(getgroups(8, groups) == 1 && groups[0] == GROUP);
	MUST(close(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600)) == 0);
	/* Already somebody, and nobody else. */
	MUST(owner_enter(NOBODY, GROUP, &err) == ADMIN_OK);
	MUST(owner_enter(NOBODY - 1, GROUP, &err) == ADMIN_REFUSED);
	owner_leave();
	MUST(geteuid() == 0 && getegid() == 0);
	MUST(getgroups(8, groups) == 1 && groups[0] == 0);
	MUST(stat(path, &st) == 0 && st.st_uid == NOBODY && st.st_gid == GROUP);
	/* Root's own files need nobody else. */
	MUST(owner_enter(0, 0, &err) == ADMIN_OK && geteuid() == 0);
	owner_leave();
	MUST(geteuid() == 0);
}

static void
root_acts_as_the_owner(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot act as others\n");
		skip();
	}
	assert_int_equal(child_run(act_as_owner, folder_path("made")), 0);
}

static void
be_somebody(const void *context)
{
	struct error err = { "" };

	(void)context;
	if (geteuid() == 0)
		MUST(setgroups(0, NULL) == 0 &&
		    setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		    setresuid(NOBODY, NOBODY, NOBODY) == 0);
	MUST(owner_enter(geteuid(), getegid(), &err) == ADMIN_OK);
	owner_leave();
	MUST(owner_enter(geteuid() + 1, getegid(), &err) == ADMIN_REFUSED);
	MUST(strstr(err.text, "run this as that user or as root") != NULL);
	MUST(owner_enter(0, 0, &err) == ADMIN_REFUSED);
	MUST(strstr(err.text, "uid 0") != NULL);
}

static void
others_are_only_themselves(void **state)
{
	(void)state;
	assert_int_equal(child_run(be_somebody, NULL), 0);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(root_acts_as_the_owner),
		TEST(others_are_only_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
