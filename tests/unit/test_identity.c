/* SPDX-License-Identifier: ISC */
/* Tests of control/identity.c. */
#include "control/identity.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void
names(void **state)
{
	static const struct {
		enum identity_role role;
		const char *variable;
		const char *wanted;
	} rows[] = {
		{ IDENTITY_SMTPD, NULL, "qmaild" },
		{ IDENTITY_QUEUE, NULL, "qmailq" },
		{ IDENTITY_VIRTUAL, NULL, "vmail" },
		{ IDENTITY_LOG, NULL, "qmaill" },
		{ IDENTITY_LOG, "", "qmaill" },
		{ IDENTITY_REMOTE, NULL, "qmailr" },
		{ IDENTITY_RESOLVER, NULL, "mqresolve" },
		{ IDENTITY_LOOKUP, NULL, "mqlookup" },
		{ IDENTITY_CLUSTER, NULL, "mqcluster" },
		{ IDENTITY_ADMIN, NULL, "mqadmin" },
		{ IDENTITY_PROXY, NULL, "mqproxy" },
		{ IDENTITY_QUEUE, "nobody", "nobody" },
		{ IDENTITY_VIRTUAL, "nobody", "nobody" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].variable == NULL)
			unsetenv("MQMAIL_USER");
		else
			setenv("MQMAIL_USER", rows[i].variable, 1);
		assert_string_equal(
		    identity_name(rows[i].role), rows[i].wanted);
	}
	unsetenv("MQMAIL_USER");
}

/* What find says of a name: as root the system's answer, else who we are. */
static void
find(void **state)
{
	static const struct {
		const char *user;
		int wanted_as_root;
	} rows[] = {
		{ "root", 1 },
		{ "nobody", 1 },
		{ "no-such-user-here", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct identity identity;
		struct error err = { .text = "" };
		int wanted = geteuid() == 0 ? rows[i].wanted_as_root : 1;

		setenv("MQMAIL_USER", rows[i].user, 1);
		assert_int_equal(
		    identity_find(IDENTITY_SMTPD, &identity, &err), wanted);
		assert_string_equal(identity.name, rows[i].user);
		if (geteuid() != 0)
			assert_int_equal(identity.uid, geteuid());
		if (wanted == 0)
			assert_non_null(strstr(err.text, rows[i].user));
	}
	unsetenv("MQMAIL_USER");
}

/* Runs in a child: 0 when it became, for good, who it should. */
static int
become_in_child(void)
{
	struct error err;
	struct identity identity;
	uid_t before = geteuid();

	setenv("MQMAIL_USER", "nobody", 1);
	if (identity_find(IDENTITY_QUEUE, &identity, &err) != 1)
		return 1;
	if (identity_become(IDENTITY_QUEUE, &err) == -1)
		return 2;
	if (getuid() != identity.uid || geteuid() != identity.uid ||
	    getegid() != identity.gid)
		return 3;
	if (before == 0 && setuid(0) == 0)
		return 4;
	return 0;
}

static void
become(void **state)
{
	pid_t child = fork();
	int status = 0;

	(void)state;
	assert_int_not_equal(child, -1);
	if (child == 0)
		_exit(become_in_child());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The peers of a process of one user are that user. */
static void
peers(void **state)
{
	static const struct {
		const char *user;
	} rows[] = {
		{ "root" },
		{ "nobody" },
		{ "no-such-user-here" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setenv("MQMAIL_USER", rows[i].user, 1);
		assert_int_equal(
		    identity_peer(IDENTITY_QUEUE, IDENTITY_VIRTUAL), geteuid());
	}
	unsetenv("MQMAIL_USER");
	assert_int_equal(
	    identity_peer(IDENTITY_QUEUE, IDENTITY_VIRTUAL), geteuid());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(find),
		cmocka_unit_test(peers),
		cmocka_unit_test(become),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
