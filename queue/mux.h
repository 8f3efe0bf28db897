/* SPDX-License-Identifier: ISC */
/*
 * The multiplexer: which queue of a collection takes the next message.
 *
 * The clock is cut into slices, and in one slice all new mail goes to one
 * queue, slot = (clock / slice) mod count over the healthy queues.  A queue
 * is healthy when its qmail-send publishes health, is up, has free space and
 * room in its journal, and commits in reasonable time.  One that is held
 * (holdlocal, holdremote) takes its share: that is about deliveries alone.
 *
 * A mux may be used by any thread.
 */
#ifndef QUEUE_MUX_H
#define QUEUE_MUX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { MUX_QUEUES_MAX = 128 };

/*
 * A collection: base/queue<start> ... base/queue<start + count - 1>; or
 * is_alone: the one queue base.
 */
struct mux_collection {
	const char *base;
	unsigned start;
	unsigned count;
	bool is_alone;
};

struct mux;

/* base is copied.  NULL with the reason when count is 0 or too many. */
struct mux *mux_new(const struct mux_collection *collection, unsigned slice_ms,
    uint64_t min_free_bytes, struct error *err);
void mux_free(struct mux **mux);

/*
 * The paths to try, best first: the slot's healthy queue, the other healthy
 * ones, then the unfit (slow, with a full journal, down), never those without
 * free space.  paths_out has room for MUX_QUEUES_MAX pointers, valid as long as
 * the mux.  Returns how many; 0 means that every queue is full.  now_ms is the
 * wall clock in milliseconds.
 */
unsigned mux_choose(
    struct mux *mux, int64_t now_ms, const char *paths_out[MUX_QUEUES_MAX]);

/* A queue did not answer: for a second it counts as down. */
void mux_report_down(struct mux *mux, const char *path);

#endif
