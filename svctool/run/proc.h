/* SPDX-License-Identifier: ISC */
/* Running processes, as /proc has them; those of other users in part. */
#ifndef SVCTOOL_RUN_PROC_H
#define SVCTOOL_RUN_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { PROC_NAME_SIZE = 32 };

struct proc {
	pid_t pid, parent, session;
	uint64_t
	    started; /* ticks from boot: no two with one pid have the same */
	uid_t uid;
	char state; /* as /proc/PID/stat has it: 'T' is stopped by a signal */
	char name[PROC_NAME_SIZE];
};

/* Zero is an empty list. */
struct proc_list {
	struct proc *items;
	size_t count;
};

/* False when there is no such process, or it has ended and is a zombie. */
bool proc_read(pid_t pid, struct proc *proc_out);
bool proc_is_alive(pid_t pid);

/* All processes.  0, or -1; the caller releases the list in both cases. */
int proc_list_all(struct proc_list *list_out, struct error *err);
void proc_list_add(struct proc_list *list, const struct proc *proc);
void proc_list_release(struct proc_list *list);

/* NULL: it is not in the list. */
const struct proc *proc_list_find(const struct proc_list *list, pid_t pid);
/*
 * One that holds one of the sockets.  1; 0 none; -1 none that we may look into,
 * and there are others.
 */
int proc_list_holder(const struct proc_list *list, const uint64_t *inodes,
    size_t count, struct proc *holder_out);

/* Is the process, or one that it started, stopped by a signal?  Which? */
bool proc_find_stopped(pid_t pid, struct proc *proc_out);
/* As proc_list_holder(), of the process and those that it started. */
int proc_holds_socket(pid_t pid, const uint64_t *inodes, size_t count);

/*
 * Its working folder; false when there is no such process or it is another
 * user's.  " (deleted)" is behind the name of one that was removed.
 */
bool proc_cwd(pid_t pid, char *cwd_out, size_t size);
/* Is it folder, or below it, also when it was removed? */
bool proc_works_in(pid_t pid, const char *folder);

/*
 * The process that the supervise of this service folder runs, given the one
 * that its status names (0: none): on a full disk that file stays as it was.
 */
pid_t proc_find_supervised(const char *folder, pid_t said);

#endif
