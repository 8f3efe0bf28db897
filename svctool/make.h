/* SPDX-License-Identifier: ISC */
/*
 * Steps that make parts of a node: each says what it did, and leaves alone
 * what is already there.
 */
#ifndef SVCTOOL_MAKE_H
#define SVCTOOL_MAKE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "control/identity.h"
#include "svctool/node.h"

/* Whose a file or folder is: a role's, or (when we are root) root's. */
enum make_owner {
	MAKE_SMTPD = IDENTITY_SMTPD,
	MAKE_QUEUE = IDENTITY_QUEUE,
	MAKE_VIRTUAL = IDENTITY_VIRTUAL,
	MAKE_LOG = IDENTITY_LOG,
	MAKE_OURS
};

struct maker {
	const struct node *node;
	unsigned made;  /* steps that changed something */
	unsigned kept;  /* steps that found it there */
	bool has_users; /* owners can be set: root, users exist */
	bool is_quiet;  /* parts of something that is said as a whole */
};

/* Paths are the node's: node_path() is applied.  0 or -1. */
int make_folder(struct maker *maker, const char *path, mode_t mode,
    enum make_owner owner, struct error *err);
int make_file(struct maker *maker, const char *path, const char *text,
    mode_t mode, enum make_owner owner, struct error *err);

/* The same, but a file with another content is replaced. */
int make_file_again(struct maker *maker, const char *path, const char *text,
    mode_t mode, enum make_owner owner, struct error *err);

/* Sets the owner of something just made, by a real path. */
int make_owned(const struct maker *maker, const char *real_path,
    enum make_owner owner, struct error *err);

/* Prints one step: made, kept, removed ... (what). */
void make_say(const char *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
