/* SPDX-License-Identifier: ISC */
/*
 * Rules that set session variables by address: from.envrules, domainqueue.
 * A line is pattern:VAR=value,VAR2=,... (reference, 8: file formats).
 */
#ifndef CONTROL_ENVRULES_H
#define CONTROL_ENVRULES_H

#include "base/error.h"
#include "base/vars.h"

/* Read-only after it is made; threads may share it. */
struct envrules;

/*
 * 1 and *rules_out; 0 (and NULL) when there is no such file; -1 with file, line
 * and what is wrong.
 */
int envrules_load(
    const char *path, struct envrules **rules_out, struct error *err);
void envrules_free(struct envrules **rules);

/* What a walk tells; texts are valid until it returns. */
struct envrules_visitor {
	void (*rule)(unsigned line, const char *pattern,
	    const struct vars *assignments, void *context);
	void (*fault)(unsigned line, const char *reason, void *context);
	void *context;
};

/*
 * Goes through a file's lines, also behind bad ones, for who checks it.  1; 0
 * when there is no such file; -1 with the reason when it cannot be read.
 */
int envrules_walk(const char *path, const struct envrules_visitor *visitor,
    struct error *err);

/*
 * Applies every line whose pattern (fnmatch(3), without case) matches subject:
 * the whole address, or the domain for domainqueue; the null sender is "".
 * Later lines win.  Returns how many lines matched.  rules may be NULL.
 */
unsigned envrules_apply(
    const struct envrules *rules, const char *subject, struct vars *vars);

#endif
