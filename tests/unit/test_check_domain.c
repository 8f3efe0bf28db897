/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/domain.c. */
#include "svctool/check/domain.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lookupd/store.h"
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
		    "E ~/" DIR ": its mode is 771, which lets others change "
		    "it -- chmod 751 '~/" DIR "'\n" },
		{ 0551,
		    "E ~/" DIR ": its mode is 551, which does not let its "
		    "owner use it -- chmod 751\n" },
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
	    "addresses that are no users waits -- write | vdelivermail '' "
	    "bounce-no-mailbox\n");
	assert_int_equal(chmod(folder_path(DIR), 01751), 0);
	expect("sticky",
	    "W ~/" DIR ": folder '~/" DIR "' is sticky: its .qmail files\n");
	assert_int_equal(chmod(folder_path(DIR), 0751), 0);
	svc_put(DIR "/.qmail-default", "");
	expect("empty",
	    "E ~/" DIR "/.qmail-default: it is empty, so mail for addresses that "
	    "are no users waits -- write | vdelivermail ''\n");
	assert_int_equal(chmod(folder_path(DIR "/.qmail-default"), 0664), 0);
	expect("others' mode",
	    "E ~/" DIR "/.qmail-default: its mode is 664, which lets others "
	    "change it -- chmod 644\n");
	remove(folder_path(DIR "/.qmail-default"));
	expect("missing",
	    "E ~/" DIR "/.qmail-default: No such file or directory: without "
	    "it mail for addresses that are no users waits -- echo \"| "
	    "vdelivermail '' bounce-no-mailbox\" > \n");
}

static void
secrets(void **state)
{
	(void)state;
	assert_int_equal(chmod(folder_path(DIR "/vpasswd"), 0644), 0);
	assert_int_equal(chmod(folder_path(DIR "/vpasswd.cdb"), 0660), 0);
	expect("modes",
	    "E ~/" DIR "/vpasswd.cdb: its mode is 660, which lets others "
	    "change it -- chmod 640\n"
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

static void
expect_at(const char *name, const char *dir, const char *wanted)
{
	struct vpasswd_file *users = check_users_file("al", dir, 0, 0);

	vpasswd_file_free(&users);
	expect(name, wanted);
}

static void
expect_al(const char *name, const char *wanted)
{
	expect_at(name, folder_path("domains/a.test/al"), wanted);
}

#define AL "domains/a.test/al"

static void
user_modes(void **state)
{
	static const struct {
		const char *dir;
		mode_t mode;
		const char *wanted;
	} rows[] = {
		{ AL, 0700, "" },
		{ AL, 0755, "" }, /* .qmail files may be read */
		{ AL, 0775,
		    "E ~/" AL ": its mode is 775, which lets others change it "
		    "-- chmod 755 '~/" AL "'\n" },
		{ AL, 0500,
		    "E ~/" AL ": its mode is 500, so mail for the user waits "
		    "-- chmod 700 '~/" AL "'\n" },
		{ AL "/Maildir", 0700, "" },
		{ AL "/Maildir", 0750,
		    "E ~/" AL "/Maildir: its mode is 750, which lets others "
		    "read it -- chmod 700\n" },
		{ AL "/Maildir/new", 0702,
		    "E ~/" AL "/Maildir/new: its mode is 702, which lets "
		    "others change it -- chmod 700\n" },
		{ AL "/Maildir/cur", 0300,
		    "E ~/" AL "/Maildir/cur: its mode is 300, so mail\n" },
		{ AL "/Maildir/tmp", 0701, "lets others read it\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_users_make(AL);
		assert_int_equal(
		    chmod(folder_path(rows[i].dir), rows[i].mode), 0);
		expect_al(rows[i].dir, rows[i].wanted);
		assert_int_equal(chmod(folder_path(rows[i].dir), 0700), 0);
	}
}

static void
user_folders_that_are_missing(void **state)
{
	struct error err;

	(void)state;
	expect_al("no folder",
	    "E ~/" AL ": the folder of 'al@a.test': No such file or directory, "
	    "so mail for the user waits -- put it back, or 'mkdir -m 700 ~/" AL
	    " && chown\n");
	/* A delivery makes these. */
	check_users_dir(AL, 0700);
	expect_al("no Maildir", "");
	check_users_dir(AL "/Maildir", 0700);
	expect_al("no new", "");
	svc_put(AL "/Maildir/new", "file");
	expect_al("a file",
	    "E ~/" AL "/Maildir/new: it is not a folder, so mail for the user "
	    "waits -- move it away\n");
	assert_int_equal(file_remove_tree(folder_path(AL), &err), 0);
	/* No delivery follows a link. */
	check_users_make("domains/a.test/real");
	assert_int_equal(symlink("real", folder_path(AL)), 0);
	expect_al("a link", "E ~/" AL ": it is not a folder, so mail for\n");
}

static void
user_places(void **state)
{
	(void)state;
	check_users_make("domains/a.test/0/1/al");
	expect_at("levels", folder_path("domains/a.test/0/1/al"), "");
	assert_int_equal(chmod(folder_path("domains/a.test/0"), 0720), 0);
	expect_at("a level that others may change",
	    folder_path("domains/a.test/0/1/al"),
	    "E ~/domains/a.test/0: its mode is 720, which lets others\n");
	check_users_make("domains/b.test/al");
	expect_at("another domain's", folder_path("domains/b.test/al"), "");
	check_users_make("elsewhere/al");
	expect_at("elsewhere", folder_path("elsewhere/al"),
	    "E ~/elsewhere/al: the folder of 'al@a.test' is not below "
	    "'~/domains', so mail for the user waits -- move it below that, "
	    "correct '~/domains/a.test/vpasswd', then vmkpasswd a.test\n");
	check_users_make("domains.old/al");
	expect_at("a name that begins alike", folder_path("domains.old/al"),
	    "is not below '~/domains'\n");
	svc_put("control/homeroots", folder_path("elsewhere"));
	expect_at("in a home root", folder_path("elsewhere/al"), "");
}

/* What the remedy of a folder mends is not said of all below it. */
static void
user_owners(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("not root: cannot give folders away\n");
		skip();
	}
	check_users_make("domains/a.test/0/al");
	assert_int_equal(
	    chown(folder_path("domains/a.test/0/al/Maildir"), 65534, 0), 0);
	expect_at("Maildir", folder_path("domains/a.test/0/al"),
	    "E ~/domains/a.test/0/al/Maildir: it belongs to uid 65534, and "
	    "should to uid 0 -- chown -R 0:0 '~/domains/a.test/0/al/"
	    "Maildir'\n");
	assert_int_equal(chown(folder_path("domains/a.test/0"), 65534, 0), 0);
	expect_at("a level", folder_path("domains/a.test/0/al"),
	    "E ~/domains/a.test/0: it belongs to uid 65534, and should\n");
}

static void
many_user_faults(void **state)
{
	struct check_assign line = check_users_line();
	const struct check_assigns assigns = { .path = "/assign" };
	struct check check = check_begin();
	struct vpasswd_file *users = NULL;

	(void)state;
	for (unsigned i = 0; i < CHECK_CROWD_MAX + 5; i++) {
		char name[16], dir[200];

		vpasswd_file_free(&users);
		snprintf(name, sizeof(name), "u%u", i);
		snprintf(dir, sizeof(dir), "%s/%s", line.home, name);
		users = check_users_file(name, dir, 0, 0);
	}
	check_domain(&check, &assigns, &line);
	assert_int_equal(check.count, CHECK_CROWD_MAX + 1);
	assert_string_equal(check.findings[CHECK_CROWD_MAX].text,
	    "5 more of these are not shown");
	vpasswd_file_free(&users);
	check_release(&check);
}

#define HOME "~/domains/a.test/vpasswd: "

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
		    "is inactive\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vpasswd_file *users = check_users_file(rows[i].name,
		    folder_path(DIR "/postmaster"), rows[i].uid_flags,
		    rows[i].gid_flags);

		expect(rows[i].wanted, rows[i].wanted);
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
		{ ".qmail-postmaster", "&al@elsewhere.test\n", true },
	};
	struct vpasswd_file *users;

	(void)state;
	check_users_make(AL);
	users = check_users_file("al", folder_path(AL), VPASSWD_INACTIVE, 0);
	assert_true(vpasswd_file_remove(users, "postmaster"));
	assert_int_equal(vpasswd_file_save(users, NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "domains/a.test/%s", rows[i].file);
		svc_put("domains/a.test/.qmail-default",
		    "| vdelivermail '' bounce-no-mailbox\n");
		svc_put(path, rows[i].text);
		expect(rows[i].text,
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
		TEST(whole),
		TEST(folder_modes),
		TEST(default_file),
		TEST(secrets),
		TEST(compiled),
		TEST(changed_since),
		TEST(users_and_postmaster),
		TEST(owners),
		TEST(user_modes),
		TEST(user_folders_that_are_missing),
		TEST(user_places),
		TEST(user_owners),
		TEST(many_user_faults),
		TEST(accounts),
		TEST(no_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
