/* SPDX-License-Identifier: ISC */
/*
 * A service that ends with its supervise.  One that outlives it keeps what its
 * successor needs (a port, a queue's lock), and nobody can tell it anything.
 */
#ifndef BASE_PARENT_H
#define BASE_PARENT_H

#include <sys/types.h>

/*
 * The process that started us when it is daemontools' supervise; else 0.  To be
 * asked before the user is changed: what then may be looked at is less.
 */
pid_t parent_supervise(void);

/*
 * Has the kernel send us SIGTERM when that parent ends; at once when it has
 * already.  0: nothing.  A change of user would undo it, so after that.
 */
void parent_end_with(pid_t parent);

#endif
