/* SPDX-License-Identifier: ISC */
/* The running processes of a node, from /proc. */
#ifndef SVCTOOL_RUN_PROC_H
#define SVCTOOL_RUN_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { PROC_NAME_SIZE = 32 };

struct proc {
	pid_t pid, parent;
	char state; /* as /proc/PID/stat has it: 'T' is stopped by a signal */
	char name[PROC_NAME_SIZE];
};

struct proc_list {
	struct proc *items;
	size_t count;
};

/*
 * The processes of the node at root: svscan, supervise, multilog and the
 * programs of mqmail that work in a folder of it, or were started with it as
 * MQMAIL_HOME.  Processes of other users that we may not look into are not
 * seen.  The caller releases the list.
 */
int proc_find_node(
    const char *root, struct proc_list *list_out, struct error *err);
void proc_list_release(struct proc_list *list);

/* The same of one process, whatever its name. */
bool proc_is_of_node(pid_t pid, const char *root);

/* The svscan that serves this folder; 0: none. */
pid_t proc_find_svscan(const char *service_dir);

/*
 * The process that the supervise of this service folder runs, given the one
 * that its status names (0: none): on a full disk that file stays as it was.
 */
pid_t proc_find_supervised(const char *folder, pid_t said);

/* Is the process, or one that it started, stopped by a signal?  Which? */
bool proc_find_stopped(pid_t pid, struct proc *proc_out);

/* Does it work in a folder that has been removed since? */
bool proc_is_in_removed(pid_t pid);

/* False when there is no such process, or it has ended and is a zombie. */
bool proc_is_alive(pid_t pid);

/*
 * Does the process, or one that it started, hold one of the sockets?  1; 0; -1
 * when we may not look into it.
 */
int proc_holds_socket(pid_t pid, const uint64_t *inodes, size_t count);

/*
 * The process that holds one of the sockets, whosever it is.  1; 0 none that is
 * to be seen; -1 perhaps one that we may not look into.
 */
int proc_find_holder(
    const uint64_t *inodes, size_t count, struct proc *proc_out);

/* Is the name that of a program which services of a node run? */
bool proc_is_ours(const char *name);

#endif
