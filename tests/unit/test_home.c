/* SPDX-License-Identifier: ISC */
/* Tests of control/home.c. */
#include "control/home.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const variables[] = { "MQMAIL_HOME", "CONTROLDIR",
	"ASSIGNDIR", "DOMAINDIR", "CERTDIR" };

static int
clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	return 0;
}

static void
standard_folders(void **state)
{
	struct home *home = home_new();

	(void)state;
	assert_string_equal(home->root, "/var/mqmail");
	assert_string_equal(home->control, "/var/mqmail/control");
	assert_string_equal(home->users, "/var/mqmail/users");
	assert_string_equal(home->domains, "/var/mqmail/domains");
	assert_string_equal(home->queue, "/var/mqmail/queue");
	assert_string_equal(home->service, "/var/mqmail/service");
	assert_string_equal(home->run, "/var/mqmail/run");
	assert_string_equal(home->log, "/var/mqmail/log");
	assert_string_equal(home->tls, "/var/mqmail/tls");
	assert_string_equal(home->alias, "/var/mqmail/alias");
	home_free(&home);
	assert_null(home);
	home_free(&home);
}

static void
roots(void **state)
{
	static const struct {
		const char *name, *variable, *root, *wanted;
	} rows[] = {
		{ "variable", "/srv/a", NULL, "/srv/a" },
		{ "empty variable", "", NULL, "/var/mqmail" },
		{ "end slashes", "/srv/a//", NULL, "/srv/a" },
		{ "root folder", "/", NULL, "/" },
		{ "argument wins", "/srv/a", "/srv/b", "/srv/b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct home *home;

		setenv("MQMAIL_HOME", rows[i].variable, 1);
		home = rows[i].root != NULL ? home_at(rows[i].root)
					    : home_new();
		if (strcmp(home->root, rows[i].wanted) != 0)
			fail_msg("%s: got '%s', wanted '%s'", rows[i].name,
			    home->root, rows[i].wanted);
		home_free(&home);
	}
}

static void
folder_variables(void **state)
{
	struct home *home;

	(void)state;
	setenv("MQMAIL_HOME", "/", 1);
	setenv("CONTROLDIR", "etc/control/", 1);
	setenv("ASSIGNDIR", "/etc/users", 1);
	setenv("DOMAINDIR", "/mail", 1);
	setenv("CERTDIR", "certs", 1);
	home = home_new();
	assert_string_equal(home->control, "/etc/control");
	assert_string_equal(home->users, "/etc/users");
	assert_string_equal(home->domains, "/mail");
	assert_string_equal(home->tls, "/certs");
	assert_string_equal(home->queue, "/queue");
	home_free(&home);
}

static void
relative_root_is_made_absolute(void **state)
{
	char folder[PATH_MAX], wanted[PATH_MAX + 16];
	struct home *home = home_at("node");

	(void)state;
	assert_non_null(getcwd(folder, sizeof(folder)));
	snprintf(wanted, sizeof(wanted), "%s/node/run", folder);
	assert_string_equal(home->run, wanted);
	home_free(&home);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(standard_folders, clean),
		cmocka_unit_test_setup(roots, clean),
		cmocka_unit_test_setup(folder_variables, clean),
		cmocka_unit_test_setup(relative_root_is_made_absolute, clean),
	};

	return cmocka_run_group_tests(tests, NULL, clean);
}
