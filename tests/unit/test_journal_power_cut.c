/* SPDX-License-Identifier: ISC */
/*
 * The promises of queue/journal.c at random: batches of envelopes and ends on a
 * disk that fails now and then, and between them power cuts, kills and stops.
 *
 * - No envelope whose sync succeeded is missing, unless its end was asked for.
 * - None counts whose end was durable.
 * - What counts is what was written for this message, and not for another one
 *   that had its number.
 *
 * MQMAIL_SEED and MQMAIL_ROUNDS make other and longer runs.
 */
#include "queue/journal.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>

#include "base/clock.h"
#include "queue/journal_view.h"
#include "tests/unit/journal_disk.h"
#include "tests/unit/queue_folder.h"

enum { IDS = 60, BATCH = 12, TEXT_MAX = JOURNAL_ENVELOPE_MAX };

enum state {
	FREE,   /* nothing of it counts: the number may be used again */
	ADDING, /* not durable yet: it may count, or not */
	QUEUED, /* accepted */
	ENDING  /* may count until the end is durable */
};

struct message {
	enum state state;
	unsigned life;
	size_t length;
};

struct world {
	struct queue_dir *dir;
	struct journal *journal;
	struct message messages[IDS + 1]; /* by id */
	unsigned lives, cuts, found, failures;
};

/* The envelope of this life, and of no other one. */
static void
make_text(uint64_t id, const struct message *message, char text[TEXT_MAX])
{
	memset(text, 'a' + message->life % 26, message->length);
	snprintf(text, message->length, "%" PRIu64 ".%u.", id, message->life);
}

static bool
is_text(
    uint64_t id, const struct message *message, const char *data, size_t length)
{
	char wanted[TEXT_MAX];

	make_text(id, message, wanted);
	return length == message->length && memcmp(data, wanted, length) == 0;
}

/* Is it, whole, in todo/? */
static bool
is_in_todo(struct world *world, uint64_t id)
{
	int fd = queue_open_file(world->dir, QUEUE_TODO, id, O_RDONLY);
	struct buf content = BUF_INIT;
	bool result;

	if (fd == -1)
		return false;
	assert_int_equal(queue_read(fd, &content), 0);
	close(fd);
	result = is_text(
	    id, &world->messages[id], content.data, content.length);
	buf_release(&content);
	return result;
}

/* -- the committer's part */

static int
sync_journal(struct journal *journal)
{
	int result = journal_write(journal);

	if (result == 0 && journal_begin_sync(journal)) {
		result = fdatasync(journal_fd(journal));
		journal_synced(journal, result == 0 ? 0 : errno);
	}
	return result;
}

static void
end(struct world *world, uint64_t id)
{
	enum journal_place place = journal_find(world->journal, id);

	journal_end(world->journal, id);
	if (place != JOURNAL_HERE)
		queue_unlink(world->dir, QUEUE_TODO, id);
	world->messages[id].state = ENDING;
}

static void
add(struct world *world, uint64_t id)
{
	struct message *message = &world->messages[id];
	char text[TEXT_MAX];
	struct journal_record record = { .id = id, .envelope = text };

	message->length = 16 + disk_random(TEXT_MAX - 16);
	if (disk_random(4) == 0)
		message->length = 16 + disk_random(100);
	if (!journal_reserve(world->journal, message->length))
		return;
	message->life = ++world->lives;
	make_text(id, message, text);
	record.length = message->length;
	journal_add(world->journal, &record);
	message->state = ADDING;
}

static void
batch(struct world *world)
{
	bool is_late = disk_random(20) == 0, is_durable;
	uint64_t id;
	int i;

	if (disk_random(15) == 0)
		disk.failing_syncs = 1 + disk_random(3);
	if (disk_random(30) == 0)
		disk.failing_writes = 1 + disk_random(3);
	world->failures += disk.failing_syncs > 0 || disk.failing_writes > 0;
	journal_tend(
	    world->journal, clock_ms() + (is_late ? 2 * JOURNAL_STAY_MS : 0));
	for (i = 0; i < BATCH; i++) {
		id = 1 + disk_random(IDS);
		if (world->messages[id].state == FREE)
			add(world, id);
		else if (world->messages[id].state == QUEUED)
			end(world, id);
	}
	is_durable = sync_journal(world->journal) == 0;
	for (id = 1; id <= IDS; id++) {
		struct message *message = &world->messages[id];

		if (message->state == ADDING && is_durable)
			message->state = QUEUED;
		else if (message->state == ADDING)
			end(world, id);
		else if (message->state == ENDING && is_durable)
			message->state = FREE;
	}
	journal_write(world->journal);
	disk.failing_syncs = disk.failing_writes = 0;
}

/* -- what a process that starts now finds */

static void
check_found(struct world *world, const struct journal_view *view)
{
	bool is_found[IDS + 1] = { false };

	for (size_t i = 0; i < view->count; i++) {
		const struct journal_record *record = &view->records[i];
		const struct message *message = &world->messages[record->id];

		if (record->id > IDS || is_found[record->id])
			fail_msg("%" PRIu64 " is there twice", record->id);
		is_found[record->id] = true;
		if (message->state == FREE)
			fail_msg("%" PRIu64 " is over", record->id);
		if (!is_text(
			record->id, message, record->envelope, record->length))
			fail_msg("%" PRIu64 " is of another", record->id);
	}
	world->found += view->count;
	for (uint64_t id = 1; id <= IDS; id++)
		if (world->messages[id].state == QUEUED && !is_found[id] &&
		    !is_in_todo(world, id))
			fail_msg("%" PRIu64 " is lost", id);
}

/* The next process: what it found is in todo/, and so queued. */
static void
start_again(struct world *world)
{
	struct journal_view view;
	struct error err;

	assert_int_equal(journal_view_open(world->dir, &view, &err), 0);
	check_found(world, &view);
	world->journal = disk_open_journal(world->dir);
	for (size_t i = 0; i < view.count; i++)
		world->messages[view.records[i].id].state = QUEUED;
	journal_view_release(&view);
	for (uint64_t id = 1; id <= IDS; id++) {
		struct message *message = &world->messages[id];

		if (message->state == QUEUED)
			assert_true(is_in_todo(world, id));
		else
			message->state = FREE;
	}
}

static void
next_step(struct world *world)
{
	switch (disk_random(40)) {
	case 0:
		disk_kill(&world->journal);
		disk_cut(world->dir);
		world->cuts++;
		start_again(world);
		break;
	case 1:
		disk_kill(&world->journal);
		disk_drop_pages(world->dir);
		start_again(world);
		break;
	case 2:
		journal_close(&world->journal);
		start_again(world);
		break;
	default:
		batch(world);
		break;
	}
}

static uint64_t
setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void
at_random(void **state)
{
	static struct world world;
	uint64_t rounds = setting("MQMAIL_ROUNDS", 3000), round;

	(void)state;
	disk_reset();
	disk.seed = setting("MQMAIL_SEED", 1);
	world.dir = make_queue("q", 3);
	world.journal = disk_open_journal(world.dir);
	for (round = 0; round < rounds; round++)
		next_step(&world);
	journal_close(&world.journal);
	queue_dir_close(&world.dir);
	/* It was worth it. */
	assert_true(world.cuts > rounds / 100);
	assert_true(world.found > rounds / 10);
	assert_true(world.failures > rounds / 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { TEST(at_random) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
