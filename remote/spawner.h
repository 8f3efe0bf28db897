/* SPDX-License-Identifier: ISC */
/*
 * qmail-rspawn: gives the mail of all queues to the hosts it is for
 * (docs/remote.md).
 *
 * The functions are for one thread, that of the loop, which never blocks: names
 * are found, connections made and messages sent by threads.
 */
#ifndef REMOTE_SPAWNER_H
#define REMOTE_SPAWNER_H

#include <sys/types.h>

#include "base/loop.h"
#include "control/home.h"
#include "remote/rules.h"

struct spawner;

/* Borrowed for the life of the process. */
struct spawner_config {
	struct loop *loop;
	int wake_fd;     /* an eventfd of the loop's, for its threads */
	int listen_fd;   /* run/remote */
	uid_t queue_uid; /* whose queues are served, besides root's and ours */
	const struct home *home;
	/* The rules as settings and files say now; NULL with the reason. */
	struct rules *(*read_rules)(void *context, struct error *err);
	void *context;
};

/* Takes the rules.  How many slots there are is said by the first ones. */
struct spawner *spawner_new(const struct spawner_config *config,
    struct rules *rules, struct error *err);
/*
 * From now on these rules count; what was learned is learned again, and queues
 * are told, so that what rests is tried.
 */
void spawner_use(struct spawner *spawner, struct rules *rules);

/* In each turn of the loop; returns in how many ms it is wanted again. */
int spawner_run(struct spawner *spawner);

/* Nothing new is begun; true when nothing is under way any more, and all queues
 * have got their results. */
bool spawner_stop(struct spawner *spawner);

#endif
