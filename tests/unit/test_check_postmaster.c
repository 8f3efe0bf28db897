/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/postmaster.c. */
#include "svctool/check/domain.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lookupd/store.h"
#include "tests/unit/check_users.h"

#define HOME "~/domains/a.test/vpasswd: "

static void
expect(const char *name, const struct vpasswd_file *users, const char *wanted)
{
	struct check_assign line = check_users_line();
	struct check check = check_begin();

	check_postmaster(&check, &line, users);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
accounts(void **state)
{
	static const struct {
		const char *name;
		unsigned uid_flags, gid_flags;
		const char *wanted;
	} rows[] = {
		{ "postmaster", 0, 0, "" },
		{ "postmaster", 15, STORE_NO_POP | STORE_POSTMASTER, "" },
		{ "postmaster", VPASSWD_INACTIVE, 0,
		    "E " HOME "'postmaster' is inactive, so mail for "
		    "postmaster@a.test waits -- vmoduser -n "
		    "postmaster@a.test\n" },
		{ "postmaster", 0, STORE_BOUNCE_MAIL,
		    "E " HOME "'postmaster' is marked to bounce, so mail for "
		    "postmaster@a.test waits -- vmoduser -tb "
		    "postmaster@a.test\n" },
		{ "postmaster", VPASSWD_INACTIVE, STORE_BOUNCE_MAIL,
		    "is inactive\nis marked to bounce\n" },
	};

	(void)state;
	svc_dir("domains/a.test");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vpasswd_file *users = check_users_file(rows[i].name,
		    folder_path("domains/a.test/x"), rows[i].uid_flags,
		    rows[i].gid_flags);

		expect(rows[i].wanted, users, rows[i].wanted);
		vpasswd_file_free(&users);
	}
}

/* Without the account the domain's .qmail files may take the mail. */
static void
no_account(void **state)
{
	static const struct {
		const char *file, *text;
		bool is_taken;
	} rows[] = {
		{ ".qmail-default", "| vdelivermail '' bounce-no-mailbox\n",
		    false },
		{ ".qmail-default", "| vdelivermail '' delete\n", false },
		{ ".qmail-default", "| vdelivermail '' al@a.test\n", true },
		{ ".qmail-default", "&al@elsewhere.test\n", true },
		{ ".qmail-postmaster", "&al@elsewhere.test\n", true },
	};
	struct vpasswd_file *users;

	(void)state;
	svc_dir("domains/a.test");
	users = check_users_file(
	    "al", folder_path("domains/a.test/al"), VPASSWD_INACTIVE, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "domains/a.test/%s", rows[i].file);
		svc_put("domains/a.test/.qmail-default",
		    "| vdelivermail '' bounce-no-mailbox\n");
		svc_put(path, rows[i].text);
		expect(rows[i].text, users,
		    rows[i].is_taken ? ""
				     : "E " HOME
				       "there is no 'postmaster', so mail for "
				       "postmaster@a.test waits -- vadduser -n "
				       "postmaster@a.test\n");
	}
	vpasswd_file_free(&users);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(accounts),
		SVC_TEST(no_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
