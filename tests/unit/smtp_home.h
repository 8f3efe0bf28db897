/* SPDX-License-Identifier: ISC */
/* A node's home for tests of the SMTP server: control files, no queues. */
#ifndef TESTS_UNIT_SMTP_HOME_H
#define TESTS_UNIT_SMTP_HOME_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "control/home.h"
#include "tests/unit/tempdir.h"

static inline void
smtp_home_write(const char *root, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", root, name);

	if (file_replace(path, text, strlen(text), 0644, NULL) == -1)
		abort();
	free(path);
}

/* The path; tempdir_remove() ends it.  MQMAIL_HOME names it, too. */
static inline char *
smtp_home_make(void)
{
	static const char *const folders[] = { "control", "users", "tls",
		"domains", "run" };
	char *root = tempdir_make();
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		char *path = xasprintf("%s/%s", root, folders[i]);

		if (mkdir(path, 0755) == -1)
			abort();
		free(path);
	}
	smtp_home_write(root, "control/me", "mail.example.test\n");
	smtp_home_write(root, "control/rcpthosts", "example.test\n");
	smtp_home_write(root, "run/logins", "");
	setenv("MQMAIL_HOME", root, 1);
	return root;
}

#endif
