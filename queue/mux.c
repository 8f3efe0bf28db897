/* SPDX-License-Identifier: ISC */
/* The multiplexer. */
#include "queue/mux.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/mem.h"
#include "queue/health.h"

enum {
	REFRESH_MS = 100, /* how long a fitness is believed */
	DOWN_MS = 1000,
	SLOW_US = 2000000
};

/* What makes a queue unfit; a smaller value is preferred. */
enum fitness {
	MUX_HEALTHY,
	MUX_SLOW,
	MUX_WAITING, /* its journal is full: it answers, but perhaps late */
	MUX_DOWN,    /* or said nothing lately */
	MUX_FULL     /* never chosen */
};

struct slot {
	char *path;
	int64_t down_until;
	enum fitness fitness;
};

struct mux {
	unsigned count;
	unsigned slice_ms;
	uint64_t min_free_bytes;
	pthread_mutex_t lock; /* for what follows; nobody waits under it */
	int64_t refreshed_at;
	struct slot *slots;
};

struct mux *
mux_new(const struct mux_collection *collection, unsigned slice_ms,
    uint64_t min_free_bytes, struct error *err)
{
	struct mux *mux;

	if (collection->count == 0 || collection->count > MUX_QUEUES_MAX) {
		error_set(err, "queue count %u is not between 1 and %d",
		    collection->count, MUX_QUEUES_MAX);
		return NULL;
	}
	mux = xcalloc(1, sizeof(*mux));
	mux->count = collection->count;
	mux->slice_ms = slice_ms > 0 ? slice_ms : 1;
	mux->min_free_bytes = min_free_bytes;
	mux->slots = xcalloc(mux->count, sizeof(*mux->slots));
	for (unsigned i = 0; i < mux->count; i++)
		mux->slots[i].path = collection->is_alone
		    ? xstrdup(collection->base)
		    : xasprintf("%s/queue%u", collection->base,
			  collection->start + i);
	pthread_mutex_init(&mux->lock, NULL);
	return mux;
}

void
mux_free(struct mux **mux_in)
{
	struct mux *mux = *mux_in;

	if (mux == NULL)
		return;
	for (unsigned i = 0; i < mux->count; i++)
		free(mux->slots[i].path);
	pthread_mutex_destroy(&mux->lock);
	free(mux->slots);
	free(mux);
	*mux_in = NULL;
}

static bool
is_full(const struct mux *mux, const struct slot *slot)
{
	struct statvfs fs;

	if (mux->min_free_bytes == 0 || statvfs(slot->path, &fs) == -1)
		return false; /* what is wrong shows when it is tried */
	return (uint64_t)fs.f_bavail * fs.f_frsize < mux->min_free_bytes;
}

static enum fitness
judge(const struct mux *mux, const struct slot *slot, int64_t now)
{
	struct health health;
	int64_t age_ms;

	if (is_full(mux, slot))
		return MUX_FULL;
	if (now < slot->down_until)
		return MUX_DOWN;
	health_look(slot->path, &health, &age_ms, NULL);
	if (age_ms > HEALTH_SILENT_MS)
		return MUX_DOWN;
	switch (health.state) {
	case HEALTH_DOWN:
	case HEALTH_STOPPING:
		return MUX_DOWN;
	case HEALTH_STARTING:
	case HEALTH_UP:
		break;
	}
	if (health.is_journal_full)
		return MUX_WAITING;
	if (health.commit_latency_us > SLOW_US)
		return MUX_SLOW;
	return MUX_HEALTHY;
}

unsigned
mux_choose(
    struct mux *mux, int64_t now_ms, const char *paths_out[MUX_QUEUES_MAX])
{
	unsigned healthy = 0, used = 0, first;
	enum fitness fitness;
	int64_t now = clock_ms();

	pthread_mutex_lock(&mux->lock);
	if (mux->refreshed_at == 0 || now >= mux->refreshed_at + REFRESH_MS) {
		mux->refreshed_at = now;
		for (unsigned i = 0; i < mux->count; i++)
			mux->slots[i].fitness = judge(mux, &mux->slots[i], now);
	}
	for (unsigned i = 0; i < mux->count; i++)
		if (mux->slots[i].fitness == MUX_HEALTHY)
			paths_out[healthy++] = mux->slots[i].path;
	if (healthy > 1) {
		/* Turn the list so that the slot's queue is the first. */
		const char *turned[MUX_QUEUES_MAX];

		first = (unsigned)((uint64_t)now_ms / mux->slice_ms % healthy);
		for (unsigned i = 0; i < healthy; i++)
			turned[i] = paths_out[(first + i) % healthy];
		memcpy(paths_out, turned, healthy * sizeof(*turned));
	}
	used = healthy;
	for (fitness = MUX_SLOW; fitness < MUX_FULL; fitness++)
		for (unsigned i = 0; i < mux->count; i++)
			if (mux->slots[i].fitness == fitness)
				paths_out[used++] = mux->slots[i].path;
	pthread_mutex_unlock(&mux->lock);
	return used;
}

void
mux_report_down(struct mux *mux, const char *path)
{
	pthread_mutex_lock(&mux->lock);
	for (unsigned i = 0; i < mux->count; i++)
		if (strcmp(mux->slots[i].path, path) == 0) {
			mux->slots[i].down_until = clock_ms() + DOWN_MS;
			mux->slots[i].fitness = MUX_DOWN;
		}
	pthread_mutex_unlock(&mux->lock);
}
