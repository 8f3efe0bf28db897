/* SPDX-License-Identifier: ISC */
/* What an administrator may do. */
#ifndef ADMINSRV_SERVER_RIGHTS_H
#define ADMINSRV_SERVER_RIGHTS_H

#include <stdbool.h>

#include "adminsrv/server/command.h"
#include "base/error.h"
#include "base/strlist.h"

struct right {
	char *program; /* its name */
	/* "*": any arguments; else a wildmat (fnmatch(3)), or with the variable
	 * QREGEX a regular expression, that all of them as one line match. */
	char *pattern;
};

struct admin {
	char *name;
	char *hash; /* of the password */
	bool is_active;
	bool is_locked; /* for all nodes */
	struct strlist domains; /* empty: all */
	struct right *rights;
	size_t right_count;
};

void admin_release(struct admin *admin);
void admin_copy(const struct admin *admin, struct admin *copy_out);
void admin_add_right(
    struct admin *admin, const char *program, const char *pattern);

/*
 * May he run it?  What no right names is forbidden.  The line that a pattern is
 * for is that of words_join().
 */
bool admin_may(const struct admin *admin, const struct command *command,
    char *const *argv, struct error *err);

#endif
