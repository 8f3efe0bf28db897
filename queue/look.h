/* SPDX-License-Identifier: ISC */
/*
 * What qmail-qstat and qmail-qread share: which queues they look into, and how
 * they list one while its qmail-send works.
 */
#ifndef QUEUE_LOOK_H
#define QUEUE_LOOK_H

#include <stdint.h>

#include "base/error.h"
#include "queue/dir.h"

/* Paths of queues. */
struct look {
	char **paths;
	unsigned count;
};

/*
 * QUEUEDIR alone when it is set, else the collection of queue_base, queue_start
 * and queue_count.  program names the reader of these settings.  0, and the
 * caller releases; or -1 with the reason.
 */
int look_open(const char *program, struct look *look_out, struct error *err);
void look_release(struct look *look);

/*
 * Opens one queue.  NULL with the reason, which for lack of permission says
 * who may look.
 */
struct queue_dir *look_queue(const char *path, struct error *err);

/*
 * Calls visit for each file of a folder that is called by a number, until it
 * returns something else than 0, which is then the result.  part is for the
 * split folders.  -1 with the reason when the folder cannot be listed.
 */
int look_folder(const struct queue_dir *dir, enum queue_folder folder,
    unsigned part, int (*visit)(uint64_t id, void *context), void *context,
    struct error *err);

#endif
