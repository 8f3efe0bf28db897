/* SPDX-License-Identifier: ISC */
/*
 * What svctool check looks at.  Each finding is one line: how bad, file (and
 * line), what is wrong, and what to do.
 */
#ifndef SVCTOOL_CHECK_H
#define SVCTOOL_CHECK_H

#include "svctool/node.h"

struct check {
	const struct node *node;
	unsigned errors;
	unsigned warnings; /* do not make the check fail */
};

enum check_level { CHECK_ERROR, CHECK_WARNING };

/* Prints and counts one finding. */
void check_find(struct check *check, enum check_level level, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

void check_settings(struct check *check); /* values and unknown files */
void check_owners(struct check *check);   /* permissions and owners */
void check_queues(struct check *check);   /* folders, the inode rule */
void check_services(struct check *check); /* run files, ports */
void check_compiled(struct check *check); /* cdb files older than sources */
void check_tls(struct check *check);      /* the certificate */

#endif
