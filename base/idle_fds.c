/* SPDX-License-Identifier: ISC */
/* A client's connections that wait for nothing. */
#include "base/idle_fds.h"

#include <stdbool.h>
#include <unistd.h>

void
idle_fds_init(struct idle_fds *idle)
{
	idle->count = 0;
	pthread_mutex_init(&idle->lock, NULL);
}

void
idle_fds_release(struct idle_fds *idle)
{
	while (idle->count > 0)
		close(idle->fds[--idle->count]);
	pthread_mutex_destroy(&idle->lock);
}

int
idle_fds_take(struct idle_fds *idle)
{
	int fd = -1;

	pthread_mutex_lock(&idle->lock);
	if (idle->count > 0)
		fd = idle->fds[--idle->count];
	pthread_mutex_unlock(&idle->lock);
	return fd;
}

void
idle_fds_keep(struct idle_fds *idle, int fd)
{
	bool is_kept;

	pthread_mutex_lock(&idle->lock);
	is_kept = idle->count < IDLE_FDS_MAX;
	if (is_kept)
		idle->fds[idle->count++] = fd;
	pthread_mutex_unlock(&idle->lock);
	if (!is_kept)
		close(fd);
}
