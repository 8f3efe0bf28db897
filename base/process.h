/* SPDX-License-Identifier: ISC */
/* How a process of ours lives: whose it is, what it ends with, its share. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Becomes the user for good: groups, real, effective and saved ids, and no
 * set-user-id program gives anything back (no_new_privs).  That it cannot be
 * undone is tried.  For a process that is this user already, and not root,
 * only no_new_privs is set.
 *
 * Returns 0, or -1 with the reason; then the process may be half changed and
 * must end.  For all threads, so best called before there are any.
 */
int user_become(const char *name, uid_t uid, gid_t gid, struct error *err);
/* The same, as a member of the group more_gid too. */
int user_become_in(const char *name, uid_t uid, gid_t gid, gid_t more_gid,
    struct error *err);

/*
 * Raises the limit of open files to most, or as near as it may.  How many there
 * may be then; 0 with errno when that cannot be told or set.
 */
uint64_t files_raise(uint64_t most);

/*
 * A service ends with its supervise.  One that outlives it keeps what its
 * successor needs (a port, a queue's lock), and nobody can tell it anything.
 *
 * parent_supervise: the process that started us when it is daemontools'
 * supervise; else 0.  To be asked before the user is changed: what then may be
 * looked at is less.
 */
pid_t parent_supervise(void);

/*
 * Has the kernel send us SIGTERM when that parent ends; at once when it has
 * already.  0: nothing.  A change of user would undo it, so after that.
 */
void parent_end_with(pid_t parent);

/*
 * From now on this thread, and what it starts, is scheduled as SCHED_BATCH
 * (sched(7)): it gets its share as ever, but does not break into the turn of
 * another when it wakes.  The daemons wake each other several times a message;
 * on busy processors each such interruption costs more than the wait.  Called
 * before the first thread.  Where it is not allowed nothing changes.
 */
void batch_policy_set(void);

#endif
