/* SPDX-License-Identifier: ISC */
/* How a group of files is made durable. */
#include "mailbox/sync_choice.h"

enum {
	/*
	 * For fewer, a sync of the whole filesystem is not even tried: it may
	 * wait for a lot that others have written.
	 */
	ALL_LEAST = 4,
	ALL_USUAL = 24, /* from here on it is the first guess */
	TRIAL_FIRST = 8,
	TRIAL_MOST = 1024
};

static struct sync_record *
find_sync_record(struct sync_choice *choice, size_t count)
{
	unsigned size = 0;

	while (count > 1 && size < SYNC_CHOICE_SIZES - 1) {
		count /= 2;
		size++;
	}
	return &choice->sizes[size];
}

static enum sync_way
other_way(enum sync_way way)
{
	return way == SYNC_EACH ? SYNC_ALL : SYNC_EACH;
}

/* By what is known; where that is nothing, by the number. */
static enum sync_way
quicker_way(const struct sync_record *record, size_t count)
{
	if (record->us[SYNC_EACH] != 0 && record->us[SYNC_ALL] != 0)
		return record->us[SYNC_ALL] < record->us[SYNC_EACH] ? SYNC_ALL
								    : SYNC_EACH;
	return count >= ALL_USUAL ? SYNC_ALL : SYNC_EACH;
}

enum sync_way
sync_choice_pick(struct sync_choice *choice, size_t count)
{
	struct sync_record *record = find_sync_record(choice, count);
	enum sync_way way;

	if (count < ALL_LEAST)
		return SYNC_EACH;
	if (record->trial_after == 0)
		record->trial_after = TRIAL_FIRST;
	way = quicker_way(record, count);
	record->is_trial = ++record->groups >= record->trial_after;
	if (!record->is_trial)
		return way;
	record->groups = 0;
	return other_way(way);
}

void
sync_choice_learn(struct sync_choice *choice, size_t count, enum sync_way way,
    int64_t took_us)
{
	struct sync_record *record = find_sync_record(choice, count);
	int64_t us = took_us / (int64_t)count + 1;
	int64_t old = record->us[way];

	if (count < ALL_LEAST)
		return;
	record->us[way] = old == 0 ? us : (3 * old + us) / 4;
	if (!record->is_trial)
		return;
	record->is_trial = false;
	if (us <= record->us[other_way(way)])
		record->trial_after = TRIAL_FIRST;
	else if (record->trial_after < TRIAL_MOST)
		record->trial_after *= 2;
}
