/* SPDX-License-Identifier: ISC */
/*
 * users/assign: which user, folder and extension a local address belongs to
 * (qmail-users(5)), compiled by qmail-newu to users/cdb in qmail's format.
 */
#ifndef CONTROL_ASSIGN_H
#define CONTROL_ASSIGN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "control/cdbmap.h"
#include "control/home.h"

/* Texts point into storage. */
struct assign_entry {
	struct buf storage;
	const char *user;
	uid_t uid;
	gid_t gid;
	const char *home;
	const char *dash;
	const char
	    *extension; /* the row's, with the rest of a wildcard match */
};

/*
 * Looks an address's local part up as qmail-lspawn does: exact, then the
 * longest wildcard.  1, 0 when nothing fits, -1.  After 1 the caller releases
 * the entry.
 */
int assign_find(const struct cdbmap *map, const char *local,
    struct assign_entry *entry_out, struct error *err);
void assign_release(struct assign_entry *entry);

/* A line of the text; texts are valid during the visit. */
struct assign_line {
	unsigned number;
	bool is_wildcard;    /* "+": the address begins so */
	const char *address; /* lower case */
	const char *user;
	uid_t uid;
	gid_t gid;
	const char *home;
	const char *dash;
};

struct assign_visitor {
	void (*line)(const struct assign_line *line, void *context);
	void (*fault)(unsigned number, const char *reason, void *context);
	void *context;
};

/*
 * Goes through the text, also behind bad lines, for who checks it.  1; 0 when
 * there is no such file; -1 with the reason when it cannot be read.
 */
int assign_walk(const char *text_path, const struct assign_visitor *visitor,
    struct error *err);

/*
 * Compiles the text to the cdb.  0, or -1 with errno and the reason, and the
 * old cdb stays.  On a bad line errno is EINVAL, the reason
 * "users/assign:LINE: what is wrong".
 */
int assign_compile(
    const char *text_path, const char *cdb_path, struct error *err);
/* The same of a node's. */
int assign_compile_users(const struct home *home, struct error *err);

#endif
