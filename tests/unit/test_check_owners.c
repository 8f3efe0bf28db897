/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/owners.c; rows about owners need root. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"

static void
modes(void **state)
{
	static const struct {
		mode_t mode, forbidden;
		const char *wanted;
	} rows[] = {
		{ 0755, 0022, "" },
		{ 0644, 0022, "" },
		{ 0664, 0022,
		    "E ~/f: its mode is 664, which lets others change it -- "
		    "chmod 644 '~/f'\n" },
		{ 0646, 0022,
		    "its mode is 646, which lets others change it -- "
		    "chmod 644\n" },
		{ 0640, 0027, "" },
		{ 0644, 0027,
		    "its mode is 644, which lets others read it -- chmod 640\n" },
		{ 0641, 0027, "which lets others read it -- chmod 640\n" },
		{ 0666, 0027, "which lets others change it -- chmod 640\n" },
		{ 01777, 0022,
		    "its mode is 1777, which lets others change it "
		    "-- chmod 1755\n" },
		{ 0000, 0027, "" },
	};

	(void)state;
	svc_put("f", "x");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check check = check_begin();
		char name[32];

		assert_int_equal(chmod(folder_path("f"), rows[i].mode), 0);
		check_path(
		    &check, folder_path("f"), MAKE_OURS, rows[i].forbidden);
		snprintf(name, sizeof(name), "%03o", rows[i].mode);
		check_expect(&check, name, rows[i].wanted);
		check_release(&check);
	}
}

static void
missing(void **state)
{
	struct check check = check_begin();

	(void)state;
	check_path(&check, folder_path("none"), MAKE_OURS, 0022);
	check_expect(&check, "missing",
	    "E ~/none: No such file or directory -- 'svctool init' makes "
	    "it\n");
	check_release(&check);
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
	assert_true(check_owner_uid(&check, "/x", MAKE_OURS, &uid));
	assert_int_equal(uid, 0);
	svc_put("f", "x");
	assert_int_equal(chown(folder_path("f"), 65534, 0), 0);
	check_path(&check, folder_path("f"), MAKE_OURS, 0022);
	check_expect(&check, "another's",
	    "E ~/f: it belongs to uid 65534, and should to uid 0 (root) -- "
	    "chown 0 '~/f'\n");
	check_release(&check);
	/* One user for all roles, whom the system has. */
	setenv("MQMAIL_USER", "nobody", 1);
	check = check_begin();
	assert_true(check_owner_uid(&check, "/x", MAKE_SMTPD, &uid));
	assert_int_equal(uid, 65534);
	check_path(&check, folder_path("f"), MAKE_QUEUE, 0022);
	check_expect(&check, "the role's", "");
	check_release(&check);
	/* A link is looked at itself. */
	check = check_begin();
	assert_int_equal(symlink("f", folder_path("link")), 0);
	check_path(&check, folder_path("link"), MAKE_QUEUE, 0);
	check_expect(&check, "link",
	    "E ~/link: it belongs to uid 0, and should to uid 65534 "
	    "(nobody)\n");
	check_release(&check);
	setenv("MQMAIL_USER", "mqmail-no-such-user", 1);
	check = check_begin();
	assert_false(check_owner_uid(&check, "/x", MAKE_SMTPD, &uid));
	check_expect(&check, "no such user",
	    "E /x: it cannot be told whose it should be: \n");
	check_release(&check);
	unsetenv("MQMAIL_USER");
}

/* All that a service runs or reads, and the folders above. */
static void
whole_nodes(void **state)
{
	static const char *const files[] = { "run", "log/run",
		"variables/LISTEN" };
	struct check check;
	char wanted[400] = "";

	(void)state;
	/* All one user's: root needs no others then. */
	if (geteuid() == 0)
		setenv("MQMAIL_USER", "root", 1);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "service/s/%s", files[i]);
		svc_put(path, "");
	}
	check = check_begin();
	check_owners(&check);
	check_expect(&check, "as made", "");
	check_release(&check);

	assert_int_equal(chmod(folder_path("control"), 0777), 0);
	assert_int_equal(remove(folder_path("run")), 0);
	svc_put("tls/servercert.pem", "key");
	assert_int_equal(chmod(folder_path("service/s/run"), 0775), 0);
	assert_int_equal(chmod(folder_path("service/s/log/run"), 0757), 0);
	assert_int_equal(chmod(folder_path("service/s/variables"), 0757), 0);
	check = check_begin();
	check_owners(&check);
	snprintf(wanted, sizeof(wanted),
	    "E ~/control: its mode is 777, which lets others change it\n"
	    "E ~/run: No such file or directory\n"
	    "E ~/tls/servercert.pem: its mode is 644, which lets others read "
	    "it -- chmod 640 '~/tls/servercert.pem'\n"
	    "E ~/service/s/run: its mode is 775\n"
	    "E ~/service/s/log/run: its mode is 757\n"
	    "E ~/service/s/variables: its mode is 757\n");
	check_expect(&check, "many faults", wanted);
	check_release(&check);
	unsetenv("MQMAIL_USER");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(modes),
		SVC_TEST(missing),
		SVC_TEST(owners),
		SVC_TEST(whole_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
