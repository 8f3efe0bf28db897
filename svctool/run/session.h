/* SPDX-License-Identifier: ISC */
/*
 * What svctool start has started: svscan, and with it all processes of its
 * session.  The facts are in run/svscan; svctool/README.md says why these.
 */
#ifndef SVCTOOL_RUN_SESSION_H
#define SVCTOOL_RUN_SESSION_H

#include "base/error.h"
#include "svctool/node.h"
#include "svctool/run/proc.h"

/*
 * For the process that is about to become svscan: begins a session and records
 * it, durably.  0 or -1.
 */
int session_begin(const struct node *node, struct error *err);

/*
 * The processes of the node, svscan among them if it lives.  0, or -1; the
 * caller releases the list in both cases.
 */
int session_list(
    const struct node *node, struct proc_list *list_out, struct error *err);

/*
 * What runs now of the sessions of a list that session_list() gave, also when
 * their svscan has ended meanwhile, which was all that told of them.  0 or -1.
 */
int session_list_again(struct proc_list *list, struct error *err);

/*
 * The svscan of the node's folder that there is now, also one that leads no
 * session, which is in no list; 0: none.
 */
pid_t session_svscan(const struct node *node);

/* When none is left.  Not for root in a folder that a user can change. */
void session_forget(const struct node *node);

#endif
