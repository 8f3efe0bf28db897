/* SPDX-License-Identifier: ISC */
/*
 * Domains whose mail an operator has suspended.  A line of the setting
 * suspended:
 *
 *	DOMAIN UNTIL [REASON]
 *
 * UNTIL is a Unix time, or "-" for ever.
 */
#ifndef CONTROL_SUSPENSIONS_H
#define CONTROL_SUSPENSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strlist.h"
#include "control/idn.h"

struct suspension {
	char domain[IDN_DOMAIN_SIZE]; /* canonical */
	int64_t until_s;              /* Unix time; 0: for ever */
	const char *reason;           /* in the line that was read; or "" */
};

/*
 * Reads a line.  0, or -1 with the reason: what is wrong, and behind "; " what
 * would be right.
 */
int suspension_read(
    const char *line, struct suspension *suspension_out, struct error *err);

/* All lines. */
struct suspensions {
	struct strlist lines; /* their own; texts of the others */
	struct suspension *all;
	size_t count;
};

/* Those of the setting; one that cannot be read is left out. */
void suspensions_init(
    struct suspensions *suspensions, const struct strlist *lines);
void suspensions_release(struct suspensions *suspensions);
/* That of a canonical domain that is not over at now_s; NULL: there is none. */
const struct suspension *suspensions_find(
    const struct suspensions *suspensions, const char *domain, int64_t now_s);

#endif
