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
#include "control/layout.h"
#include "svctool/node.h"

struct maker {
	const struct node *node;
	unsigned made;  /* steps that changed something */
	unsigned kept;  /* steps that found it there */
	bool has_users; /* owners can be set: root, users exist */
	bool is_quiet;  /* parts of something that is said as a whole */
};

/*
 * Owner and mode are those of the row.  Paths are the node's: node_path() is
 * applied.  0 or -1.
 */
int make_folder(struct maker *maker, enum layout_id id, const char *path,
    struct error *err);
int make_file(struct maker *maker, enum layout_id id, const char *path,
    const char *text, struct error *err);

/* The same, but a file with another content is replaced. */
int make_file_again(struct maker *maker, enum layout_id id, const char *path,
    const char *text, struct error *err);

/* Sets the owner of something just made, by a real path. */
int make_owned(const struct maker *maker, const char *real_path,
    enum layout_owner owner, struct error *err);

/*
 * Lets the group of its row read a file of ours, by a real path; with
 * MQMAIL_USER that user's group.  Nothing when we are not root.  0 or -1.
 */
int make_readable(enum layout_id id, const char *real_path, struct error *err);

/* Prints one step: made, kept, removed ... (what). */
void make_say(const char *verb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
