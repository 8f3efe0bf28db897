/* SPDX-License-Identifier: ISC */
/* When to try a message again. */
#include "queue/schedule.h"

#include <stdlib.h>

#include "base/mem.h"

void
schedule_release(struct schedule *schedule)
{
	free(schedule->entries);
	*schedule = (struct schedule){ .entries = NULL };
}

static void
resize_schedule(struct schedule *schedule, size_t size)
{
	schedule->size = size;
	schedule->entries = xrealloc(
	    schedule->entries, size * sizeof(*schedule->entries));
}

void
schedule_add(struct schedule *schedule, uint64_t id, time_t due)
{
	size_t at = schedule->count++;

	if (schedule->count > schedule->size)
		resize_schedule(
		    schedule, schedule->size + schedule->size / 4 + 1);
	while (at > 0 && schedule->entries[(at - 1) / 2].due > due) {
		schedule->entries[at] = schedule->entries[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	schedule->entries[at] = (struct schedule_entry){ .due = due, .id = id };
}

bool
schedule_take(struct schedule *schedule, time_t now, uint64_t *id_out)
{
	struct schedule_entry last;
	size_t at = 0, child;

	if (schedule->count == 0 || schedule->entries[0].due > now)
		return false;
	*id_out = schedule->entries[0].id;
	last = schedule->entries[--schedule->count];
	while ((child = at * 2 + 1) < schedule->count) {
		if (child + 1 < schedule->count &&
		    schedule->entries[child + 1].due <
			schedule->entries[child].due)
			child++;
		if (schedule->entries[child].due >= last.due)
			break;
		schedule->entries[at] = schedule->entries[child];
		at = child;
	}
	schedule->entries[at] = last;
	if (schedule->size > 1024 && schedule->count < schedule->size / 4)
		resize_schedule(schedule, schedule->size / 2);
	return true;
}

time_t
schedule_next(const struct schedule *schedule)
{
	return schedule->count == 0 ? 0 : schedule->entries[0].due;
}

bool
schedule_judge(struct schedule *schedule,
    enum schedule_verdict (*judge)(uint64_t id, void *context), void *context)
{
	struct schedule old = *schedule;
	bool has_changed = false;
	size_t i;

	schedule->count = 0;
	for (i = 0; i < old.count; i++) {
		struct schedule_entry entry = old.entries[i];
		enum schedule_verdict verdict = judge(entry.id, context);

		has_changed |= verdict != SCHEDULE_STAYS;
		/* Into the places of those that were asked already. */
		if (verdict != SCHEDULE_TAKEN)
			schedule_add(schedule, entry.id,
			    verdict == SCHEDULE_NOW ? 0 : entry.due);
	}
	return has_changed;
}

void
schedule_all_now(struct schedule *schedule)
{
	for (size_t i = 0; i < schedule->count; i++)
		schedule->entries[i].due = 0; /* still a heap */
}

static time_t
square_root(time_t value)
{
	time_t low = 0, high = 1 << 20; /* 2^40 seconds are enough */

	while (low + 1 < high) {
		time_t middle = (low + high) / 2;

		if (middle * middle <= value)
			low = middle;
		else
			high = middle;
	}
	return low;
}

time_t
schedule_retry(time_t birth, time_t now, unsigned step)
{
	time_t n;

	birth = schedule_sane_birth(birth, now);
	n = square_root(now - birth) + step;
	return birth + n * n;
}

time_t
schedule_sane_birth(time_t birth, time_t now)
{
	return birth > now ? now : birth;
}

time_t
schedule_sane_due(time_t birth, time_t due, time_t now, unsigned step)
{
	return due > schedule_retry(birth, now, 2 * step) ? now : due;
}
