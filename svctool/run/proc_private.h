/* SPDX-License-Identifier: ISC */
/* What proc.c and proc_socket.c share. */
#ifndef SVCTOOL_RUN_PROC_PRIVATE_H
#define SVCTOOL_RUN_PROC_PRIVATE_H

#include "svctool/run/proc.h"

/* What /proc says of a process; false when it has gone or is a zombie. */
bool proc_read(pid_t pid, struct proc *proc_out);

/* Did ancestor start the process, or what started it, and so on? */
bool proc_descends(const struct proc *proc, pid_t ancestor);

/*
 * Calls visit for every process, without zombies, until it returns true.  0 or
 * -1.
 */
int proc_each(bool (*visit)(const struct proc *proc, void *context),
    void *context, struct error *err);

#endif
