/* SPDX-License-Identifier: ISC */
/*
 * Access rules in a cdb made by tcprules (ucspi-tcp): who may connect, and
 * the variables of the session.
 */
#ifndef CONTROL_ACCESS_H
#define CONTROL_ACCESS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/vars.h"
#include "control/cdbmap.h"

/*
 * Finds the rule for an address in tcpserver's order, and follows the first:
 * the address; "=host" when host is not NULL; prefixes of the address that end
 * in '.' (or ':' for IPv6); "=.suffix" of the host, and "="; the empty rule.
 * ip is text as inet_ntop() writes it.  *is_allowed_out is true unless the rule
 * says deny; its variables go into vars.  1 when a rule was found, 0 when none
 * (allowed), -1 when the file is damaged (the caller refuses for now).
 */
int access_check(const struct cdbmap *map, const char *ip, const char *host,
    struct vars *vars, bool *is_allowed_out, struct error *err);

/* What a walk tells; texts are valid until it returns. */
struct access_visitor {
	/* The line of the source, where that has the rule; else 0, of the cdb.
	 */
	void (*rule)(const char *file, unsigned line, const char *key,
	    const struct vars *vars, void *context);
	/* is_useless: it stands for no connection, and does no harm. */
	void (*fault)(const char *file, unsigned line, bool is_useless,
	    const char *reason, void *context);
	void *context;
	bool has_names; /* listeners ask for names (clientnames) */
};

/*
 * Goes through the rules of a cdb and those of them that never count, for who
 * checks them.  The source is its name without ".cdb".  1; 0 when there is no
 * such file; -1 with what is wrong with it.
 */
int access_walk(const char *cdb_path, const struct access_visitor *visitor,
    struct error *err);

/* Which connections to a listener may have a rule of this key? */
enum access_key {
	ACCESS_KEY_ADDRESS, /* of an address, a prefix of addresses, or all */
	ACCESS_KEY_NAME,    /* none: hosts' and users' names are not known */
	ACCESS_KEY_NONE     /* none: no address is written so */
};

enum access_key access_judge_key(const char *key);

#endif
