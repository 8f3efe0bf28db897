/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/domain.c. */
#include "svctool/check/domain.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_users.h"

#define DIR "domains/a.test"

/* A domain as vadddomain leaves it. */
static int
set_up(void **state)
{
	struct vpasswd_file *users;

	if (svc_setup(state) != 0)
		return -1;
	/* All one user's: root needs no others then. */
	if (geteuid() == 0)
		setenv("MQMAIL_USER", "root", 1);
	check_users_dir(DIR, 0751);
	svc_put(DIR "/.qmail-default", "| vdelivermail '' bounce-no-mailbox\n");
	check_users_make(DIR "/postmaster");
	users = check_users_file(
	    "postmaster", folder_path(DIR "/postmaster"), 0, 0);
	vpasswd_file_free(&users);
	return 0;
}

static int
tear_down(void **state)
{
	unsetenv("MQMAIL_USER");
	return svc_teardown(state);
}

static void
expect_line(
    const char *name, const struct check_assign *line, const char *wanted)
{
	const struct check_assigns assigns = { .path = "/assign" };
	struct check check = check_begin();

	check_domain(&check, &assigns, line);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
expect(const char *name, const char *wanted)
{
	struct check_assign line = check_users_line();

	expect_line(name, &line, wanted);
}

static void
whole(void **state)
{
	struct error err;

	(void)state;
	expect("whole", "");
	/* The line's own fault, found there. */
	assert_int_equal(file_remove_tree(folder_path(DIR), &err), 0);
	expect("missing", "");
	svc_put(DIR, "file");
	expect("a file", "");
}

static void
folder_modes(void **state)
{
	static const struct {
		mode_t mode;
		const char *wanted;
	} rows[] = {
		{ 0751, "" },
		{ 0755, "" },
		{ 0700, "" }, /* nobody else reads it here */
		{ 0771,
		    "E ~/" DIR ": its mode is 771: others may change it -- "
		    "chmod 751 '~/" DIR "'\n" },
		{ 0551,
		    "E ~/" DIR ": its mode is 551: its owner may not write "
		    "it -- chmod 751\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[16];

		snprintf(name, sizeof(name), "%03o", rows[i].mode);
		assert_int_equal(chmod(folder_path(DIR), rows[i].mode), 0);
		expect(name, rows[i].wanted);
		assert_int_equal(chmod(folder_path(DIR), 0751), 0);
	}
}

static void
default_file(void **state)
{
	(void)state;
	svc_put(DIR "/.qmail-default",
	    "# all\r\n| vdelivermail '' bounce-no-mailbox\r\n");
	expect("from another system", "");
	svc_put(DIR "/.qmail-default",
	    "# all\n| vdelivermail '' bounce-no-mailbx\n");
	expect("a typo",
	    "E ~/" DIR "/.qmail-default:2: 'bounce-no-mailbx' is not an action "
	    "(bounce-no-mailbox, delete, /FOLDER or USER@DOMAIN), so mail for "
	    "all users of the domain waits -- write | vdelivermail '' "
	    "bounce-no-mailbox\n");
	assert_int_equal(chmod(folder_path(DIR), 01751), 0);
	expect("sticky",
	    "W ~/" DIR ": folder '~/" DIR "' is sticky: its .qmail files\n");
	assert_int_equal(chmod(folder_path(DIR), 0751), 0);
	svc_put(DIR "/.qmail-default", "");
	expect("empty",
	    "E ~/" DIR "/.qmail-default: it is empty, so mail for all users of "
	    "the domain waits -- write | vdelivermail ''\n");
	assert_int_equal(chmod(folder_path(DIR "/.qmail-default"), 0664), 0);
	expect("others' mode",
	    "E ~/" DIR "/.qmail-default: its mode is 664, which lets others "
	    "change it -- chmod 644\n");
	remove(folder_path(DIR "/.qmail-default"));
	expect("missing",
	    "E ~/" DIR "/.qmail-default: No such file or directory: without "
	    "it mail for the domain's users is not delivered -- echo \"| "
	    "vdelivermail '' bounce-no-mailbox\" > \n");
}

static void
secrets(void **state)
{
	(void)state;
	assert_int_equal(chmod(folder_path(DIR "/vpasswd"), 0644), 0);
	assert_int_equal(chmod(folder_path(DIR "/vpasswd.cdb"), 0660), 0);
	expect("modes",
	    "E ~/" DIR "/vpasswd.cdb: its mode is 660, which lets others read "
	    "password hashes or change them -- chmod 640\n"
	    "E ~/" DIR "/vpasswd: its mode is 644, which lets others\n");
	assert_int_equal(chmod(folder_path(DIR "/vpasswd"), 0640), 0);
	assert_int_equal(chmod(folder_path(DIR "/vpasswd.cdb"), 0640), 0);
	expect("group", "");
}

static void
compiled(void **state)
{
	(void)state;
	remove(folder_path(DIR "/vpasswd.cdb"));
	expect("no cdb",
	    "E ~/" DIR "/vpasswd.cdb: it is missing, so mail for the domain "
	    "waits -- vmkpasswd a.test\n");
	folder_write(DIR "/vpasswd.cdb", "junk", 4);
	assert_int_equal(chmod(folder_path(DIR "/vpasswd.cdb"), 0640), 0);
	expect("damaged", "E ~/" DIR "/vpasswd.cdb: \n");
}

static void
changed_since(void **state)
{
	struct vpasswd_file *users;
	char line[256];
	struct error err;

	(void)state;
	check_users_make(DIR "/bo");
	snprintf(line, sizeof(line),
	    "postmaster:*:0:0::%s/postmaster:NOQUOTA\nbo:*:0:0::%s/bo:"
	    "NOQUOTA\n",
	    folder_path(DIR), folder_path(DIR));
	folder_write(DIR "/vpasswd", line, strlen(line));
	expect("text is newer",
	    "E ~/" DIR "/vpasswd.cdb: it was not made from 'vpasswd' as that "
	    "is now, so the last changes do not count -- vmkpasswd a.test\n");
	assert_int_equal(vpasswd_file_load(folder_path(DIR), &users, &err), 1);
	assert_int_equal(vpasswd_file_compile(users, &err), 0);
	vpasswd_file_free(&users);
	expect("mended", "");
	folder_write(DIR "/vpasswd", "nonsense\n", 9);
	expect("a bad line", "E ~/" DIR "/vpasswd:1: \n");
	remove(folder_path(DIR "/vpasswd"));
	expect("no text",
	    "E ~/" DIR "/vpasswd: it is missing: is its disk mounted? -- put "
	    "it back, or vadddomain a.test for a new one\n");
}

/* The parts that have files of their own are looked at. */
static void
users_and_postmaster(void **state)
{
	struct vpasswd_file *users;

	(void)state;
	users = check_users_file(
	    "postmaster", folder_path(DIR "/postmaster"), VPASSWD_INACTIVE, 0);
	vpasswd_file_free(&users);
	assert_int_equal(chmod(folder_path(DIR "/postmaster"), 0777), 0);
	expect("both",
	    "E ~/" DIR "/vpasswd: 'postmaster' is inactive\n"
	    "E ~/" DIR "/postmaster: its mode is 777\n");
}

static void
owners(void **state)
{
	struct check_assign line = check_users_line();

	(void)state;
	line.uid++;
	expect_line("the line's uid", &line,
	    "E /assign:3: the domain 'a.test' has uid \n"
	    "E ~/" DIR ": it belongs to uid \n"
	    "E ~/" DIR "/vpasswd.cdb: it belongs to uid \n"
	    "E ~/" DIR "/vpasswd: it belongs to uid \n"
	    "E ~/" DIR "/postmaster: it belongs to uid \n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whole),
		TEST(folder_modes),
		TEST(default_file),
		TEST(secrets),
		TEST(compiled),
		TEST(changed_since),
		TEST(users_and_postmaster),
		TEST(owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
