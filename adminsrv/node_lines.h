/* SPDX-License-Identifier: ISC */
/*
 * A virtual domain's lines in the node's files: users/assign (and its cdb),
 * control/virtualdomains, control/locals, control/rcpthosts or morercpthosts
 * (and its cdb).
 *
 * Each function changes one file, as one durable step, and does nothing when
 * it is already as it should be.  Whoever calls them holds the node's lock.
 * All return 0, or -1 with the reason, unless said otherwise.
 */
#ifndef ADMINSRV_NODE_LINES_H
#define ADMINSRV_NODE_LINES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/strlist.h"
#include "control/home.h"

/* What the files say of a name.  node_state_release() frees. */
struct node_state {
	char *assign_user; /* the real domain; NULL: no line in users/assign */
	char *assign_dir;
	uid_t assign_uid;
	gid_t assign_gid;
	bool is_in_cdb;       /* users/cdb has the line, too */
	char *virtual_to;     /* virtualdomains' prefix; NULL: no line */
	bool is_in_rcpthosts; /* or in morercpthosts.cdb */
	bool is_in_locals;    /* also as control/me when there is no locals */
};

int node_state_read(const struct home *home, const char *domain,
    struct node_state *state_out, struct error *err);
void node_state_release(struct node_state *state);

/*
 * +DOMAIN-:REAL:UID:GID:DIR:-:: and the cdb, made again in any case.  A line
 * that there is stays with add, and is replaced with set.
 */
int node_lines_set_assign(const struct home *home, const char *domain,
    const char *real, uid_t uid, gid_t gid, const char *dir, struct error *err);
int node_lines_add_assign(const struct home *home, const char *domain,
    const char *real, uid_t uid, gid_t gid, const char *dir, struct error *err);
int node_lines_remove_assign(
    const struct home *home, const char *domain, struct error *err);

int node_lines_add_virtual(
    const struct home *home, const char *domain, struct error *err);
int node_lines_remove_virtual(
    const struct home *home, const char *domain, struct error *err);

/* A domain in locals would never be looked up as a virtual domain. */
int node_lines_remove_local(
    const struct home *home, const char *domain, struct error *err);

/* Into rcpthosts; into morercpthosts when rcpthosts has its 50 lines. */
int node_lines_add_rcpthost(
    const struct home *home, const char *domain, struct error *err);
int node_lines_remove_rcpthost(
    const struct home *home, const char *domain, struct error *err);

/* Adds the alias domains of a real domain. */
int node_lines_aliases(const struct home *home, const char *real,
    struct strlist *aliases, struct error *err);

/* Adds the real domains that mail is delivered to. */
int node_lines_domains(
    const struct home *home, struct strlist *domains, struct error *err);

#endif
