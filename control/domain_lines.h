/* SPDX-License-Identifier: ISC */
/*
 * Lists of lines KEY:VALUE, of which the first that fits a domain counts.
 *
 *   KEY   DOMAIN, .SUFFIX (all below it), or * (all)
 */
#ifndef CONTROL_DOMAIN_LINES_H
#define CONTROL_DOMAIN_LINES_H

#include "base/strlist.h"

/*
 * The line's VALUE; NULL: none fits.  What follows a blank behind the domain
 * is not looked at: lanes have a sender there.  U-label and A-label are
 * one domain.
 */
const char *domain_lines_find(const struct strlist *lines, const char *domain);

/* A line of destinationlimits: DOMAIN:CONNECTIONS[:MESSAGES/SECOND]. */
struct destination_limit {
	unsigned connections; /* 0: as many as there may be */
	double per_second;    /* 0: as many as go */
};

enum { DESTINATION_RATE_MAX = 100000 };

/* Reads a VALUE; false when it is none. */
bool destination_limit_read(
    const char *value, struct destination_limit *limit_out);

#endif
