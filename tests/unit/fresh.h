/* SPDX-License-Identifier: ISC */
/*
 * Fresh messages, as a qmail-send leaves them that is killed.  Include after
 * cmocka.h.
 */
#ifndef TESTS_UNIT_FRESH_H
#define TESTS_UNIT_FRESH_H

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/journal.h"

enum { FRESH_JOURNAL_BYTES = 4 * JOURNAL_SEGMENT_MIN };

#define FRESH_UUID "0190163d-8694-739b-aea5-966c26f8ad91"

enum { FRESH_MAX = 16 };

/* What the process that is killed will have written; texts are borrowed. */
static struct {
	struct journal_message messages[FRESH_MAX];
	unsigned count;
	uint64_t ended[FRESH_MAX];
	unsigned ended_count;
} fresh;

static inline int
write_fresh(const struct queue_dir *dir)
{
	static const struct journal_finder finder = { .message = NULL };
	struct journal *journal;

	if (journal_open(dir, FRESH_JOURNAL_BYTES, &finder, &journal, NULL) ==
	    -1)
		return 1;
	for (unsigned i = 0; i < fresh.count; i++)
		if (!journal_add(journal, &fresh.messages[i]))
			return 2;
	if (journal_commit(journal) == -1)
		return 3;
	for (unsigned i = 0; i < fresh.ended_count; i++)
		journal_end(journal, fresh.ended[i]);
	return fresh.ended_count == 0 || journal_commit(journal) == 0 ? 0 : 4;
}

/* body NULL: it is in mess/ID already, and has size_bytes. */
static inline void
put_fresh(uint64_t id, const char *record, size_t record_length,
    const char *body, uint64_t size_bytes)
{
	struct journal_message *message = &fresh.messages[fresh.count++];

	*message = (struct journal_message){ .id = id,
		.birth_s = 1764000000,
		.size_bytes = body == NULL ? size_bytes : strlen(body),
		.record = record,
		.record_length = record_length,
		.body = body };
	assert_true(uuid_parse(FRESH_UUID, &message->uuid));
}

#define PUT_FRESH(id, record, body) \
	put_fresh(id, record, sizeof(record) - 1, body, 0)

static inline void
end_fresh(uint64_t id)
{
	fresh.ended[fresh.ended_count++] = id;
}

/* A process writes all that was put, and ends without closing the journal. */
static inline void
kill_fresh(const struct queue_dir *dir)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(write_fresh(dir));
	assert_int_not_equal(pid, -1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fresh.count = fresh.ended_count = 0;
}

#endif
