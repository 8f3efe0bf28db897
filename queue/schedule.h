/* SPDX-License-Identifier: ISC */
/*
 * What is due when: a heap of (time, id), 16 bytes an entry; and the times at
 * which a message is tried again.
 */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct schedule_entry {
	time_t due;
	uint64_t id;
};

/* Zeroed storage is an empty schedule. */
struct schedule {
	struct schedule_entry *entries; /* a heap: the first is due first */
	size_t count, size;
};

void schedule_release(struct schedule *schedule);
void schedule_add(struct schedule *schedule, uint64_t id, time_t due);

/* The first that is due at now.  False when none is. */
bool schedule_take(struct schedule *schedule, time_t now, uint64_t *id_out);

/* When the first is due; 0 when there is none. */
time_t schedule_next(const struct schedule *schedule);

/* What becomes of one that waits. */
enum schedule_verdict { SCHEDULE_STAYS, SCHEDULE_NOW, SCHEDULE_TAKEN };

/* Asks once for each; SCHEDULE_TAKEN ones are there no more.  True when one
 * did not stay as it was. */
bool schedule_judge(struct schedule *schedule,
    enum schedule_verdict (*judge)(uint64_t id, void *context), void *context);

/* Everything is due now (ALRM). */
void schedule_all_now(struct schedule *schedule);

/*
 * The next try of a message born at birth whose try at now was deferred: the
 * quadratic schedule, birth + (n + step)^2 where n^2 is its age; step is 10 for
 * local and 20 for remote recipients (reference: the schedule table).  A birth
 * in the future counts as now.
 */
time_t schedule_retry(time_t birth, time_t now, unsigned step);

/*
 * For times that are read from files, which a clock that was ahead may have
 * made.  A birth in the future becomes now.  A due time that no try up to now
 * can have been given becomes now, too; one step more than the schedule has is
 * believed, so that a clock which is set back by seconds changes nothing.
 */
time_t schedule_sane_birth(time_t birth, time_t now);
time_t schedule_sane_due(time_t birth, time_t due, time_t now, unsigned step);

#endif
