/* SPDX-License-Identifier: ISC */
/* How far a long command is: a bar on a terminal, nothing elsewhere. */
#ifndef ADMINSRV_PROGRESS_H
#define ADMINSRV_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	const char *what; /* "adding users" */
	size_t total;     /* 0: not known */
	size_t done;
	int64_t begun_ms, shown_ms;
	bool is_terminal; /* descriptor 2 */
};

/* what is borrowed. */
void progress_begin(struct progress *progress, const char *what, size_t total);
/* So many more are done.  progress may be NULL. */
void progress_add(struct progress *progress, size_t count);
/* Removes the bar. */
void progress_end(struct progress *progress);

#endif
