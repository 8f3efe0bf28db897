/* SPDX-License-Identifier: ISC */
/* Variables that services and rules set, and the queues that they name. */
#ifndef SVCTOOL_CHECK_VARIABLE_H
#define SVCTOOL_CHECK_VARIABLE_H

#include <stdbool.h>

#include "base/vars.h"
#include "control/settings.h"
#include "svctool/check/check.h"

/* Where an assignment stands. */
struct check_place {
	const char *file;
	unsigned line;
	const char *what;   /* in front of the reason: "rule '*@a.example': " */
	const char *remedy; /* what has to be done after the change, or "" */
	/*
	 * An SMTP session's, which takes an empty value for none; else a
	 * process's environment, which does not.
	 */
	bool is_session;
};

/* Is the value one that the settings table, or the program, takes? */
void check_variable(struct check *check, const struct check_place *place,
    const char *name, const char *value);

/*
 * The queues that new mail goes to where these variables are set over the
 * node's settings: notes them in used_queues, and finds one that does not
 * exist.
 */
void check_queue_choice(struct check *check, const struct check_place *place,
    const struct vars *vars);

/* The name among them that chooses queues, or NULL. */
const char *check_queue_chooser(const struct vars *vars);

/* A file of envrules, and a cdb of tcprules; a missing one is fine. */
void check_envrules(struct check *check, const char *path);
void check_access_rules(struct check *check, const char *path);

/* The variable that this name, which nothing reads, resembles; or NULL. */
const char *check_spelling(const char *name);

#endif
