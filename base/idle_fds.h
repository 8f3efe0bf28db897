/* SPDX-License-Identifier: ISC */
/* A client's connections that wait for nothing, to be used again; any thread. */
#ifndef BASE_IDLE_FDS_H
#define BASE_IDLE_FDS_H

#include <pthread.h>
#include <stddef.h>

enum { IDLE_FDS_MAX = 64 };

struct idle_fds {
	pthread_mutex_t lock; /* for what follows */
	int fds[IDLE_FDS_MAX];
	size_t count;
};

void idle_fds_init(struct idle_fds *idle);
/* Closes them all. */
void idle_fds_release(struct idle_fds *idle);

/* The one that was used last, which is the caller's; -1 when there is none. */
int idle_fds_take(struct idle_fds *idle);
/* Takes fd; closes it when there are enough. */
void idle_fds_keep(struct idle_fds *idle, int fd);

#endif
