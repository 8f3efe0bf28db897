/* SPDX-License-Identifier: ISC */
/* The system users and groups of a node that root starts. */
#include "svctool/init/init.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "svctool/make.h"
#include "svctool/run/spawn.h"

static const char *const groups[] = { "qmail", "nofiles", "vmail", "qcerts",
	"mqlookup", "mqcluster", "mqadmin" };

static const struct {
	const char *name, *group, *more_groups, *purpose;
} users[] = {
	{ "qmaild", "nofiles", "qcerts,vmail", "mqmail SMTP server" },
	{ "qmailq", "qmail", "", "mqmail queues" },
	{ "vmail", "vmail", "", "mqmail virtual users" },
	{ "qmaill", "nofiles", "", "mqmail logs" },
	{ "qmailr", "qmail", "", "mqmail remote delivery" },
	{ "mqresolve", "nofiles", "", "mqmail resolver" },
	{ "mqlookup", "mqlookup", "", "mqmail lookups of users" },
	{ "mqcluster", "mqcluster", "", "mqmail cluster" },
	{ "mqadmin", "mqadmin", "mqlookup", "mqmail administration" },
	{ "mqproxy", "nofiles", "qcerts", "mqmail proxies" },
};

enum {
	GROUP_COUNT = sizeof(groups) / sizeof(groups[0]),
	USER_COUNT = sizeof(users) / sizeof(users[0])
};

/* The lookups' way to say "absent"; anything else is trouble. */
static bool
is_absent(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH ||
	    error == EBADF || error == EPERM;
}

/* 1 there, 0 absent, -1.  The groups come first, then the users. */
static int
has_account(size_t i, struct error *err)
{
	bool is_group = i < GROUP_COUNT;
	const char *name = is_group ? groups[i] : users[i - GROUP_COUNT].name;
	bool is_there;

	errno = 0;
	is_there = is_group ? getgrnam(name) != NULL : getpwnam(name) != NULL;
	if (is_there || is_absent(errno))
		return is_there;
	return error_sys(err, "cannot look up the %s '%s'",
	    is_group ? "group" : "user", name);
}

int
users_missing(struct error *err)
{
	int missing = 0;

	for (size_t i = 0; i < GROUP_COUNT + USER_COUNT; i++) {
		int found = has_account(i, err);

		if (found == -1)
			return -1;
		missing += found == 0;
	}
	return missing;
}

/* Says a command, and runs it unless is_dry. */
static int
step(const char *const argv[], bool is_dry, struct error *err)
{
	printf("%s", is_dry ? " " : "run     ");
	for (size_t i = 0; argv[i] != NULL; i++) {
		const char *quote = *argv[i] == '\0' ||
			strchr(argv[i], ' ') != NULL
		    ? "'"
		    : "";

		printf(" %s%s%s", quote, argv[i], quote);
	}
	putchar('\n');
	fflush(stdout);
	return is_dry ? 0 : spawn_wait(argv, NULL, err);
}

int
users_create(bool is_dry, struct error *err)
{
	for (size_t i = 0; i < GROUP_COUNT; i++) {
		const char *argv[] = { "groupadd", "--system", groups[i],
			NULL };
		int found = has_account(i, err);

		if (found == -1 ||
		    (found == 0 && step(argv, is_dry, err) == -1))
			return -1;
	}
	for (size_t i = 0; i < USER_COUNT; i++) {
		const char *argv[] = { "useradd", "--system", "--gid",
			users[i].group, "--groups", users[i].more_groups,
			"--home-dir", "/nonexistent", "--no-create-home",
			"--shell", "/usr/sbin/nologin", "--comment",
			users[i].purpose, users[i].name, NULL };
		int found = has_account(GROUP_COUNT + i, err);

		if (found == -1 ||
		    (found == 0 && step(argv, is_dry, err) == -1))
			return -1;
	}
	return 0;
}
