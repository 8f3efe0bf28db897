/* SPDX-License-Identifier: ISC */
/*
 * The promises of queue/journal.c at random: batches of messages and ends on a
 * disk that fails and lies now and then, and between them power cuts, kills and
 * pages that cannot be read.
 *
 * - No message whose batch was durable is missing, unless its end was asked
 * for, the disk lied, or it cannot be read.
 * - None counts whose end was durable, and none of a batch that failed is said
 * to have ended: its client will ask.
 * - What counts is what was written for this message.
 *
 * MQMAIL_SEED and MQMAIL_ROUNDS make other and longer runs.
 */
#include "queue/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "queue/journal_record.h"
#define FOLDER_IN_MEMORY
#include "tests/unit/bare_queue.h"
#include "tests/unit/journal_disk.h"
#include "tests/unit/journal_found.h"

enum { BATCH = 12, SMALL = 300, LARGE = 20000, AGE = 400 };

enum state {
	NEVER,
	ADDING,      /* in the batch */
	ACCEPTED,    /* must be there */
	UNSURE,      /* accepted; a lie or a bad page may lose it */
	GONE,        /* one did; it may come back */
	ENDING,      /* may be there until its end is durable */
	ENDED,       /* must not be there */
	WITHDRAWING, /* may be there; not accepted */
	WITHDRAWN    /* must not be there, nor be said to have ended */
};

struct message {
	enum state state;
	uint64_t segment;
	bool was_spoilt; /* it, or its end, by a page that can come back */
};

struct world {
	struct queue_dir *dir;
	struct journal *journal;
	struct found found;
	struct message *messages; /* by id */
	uint64_t next, oldest;    /* none before oldest counts */
	bool has_lied;            /* since the last cut */
	unsigned cuts, kills, bad_pages, spoilt, accepted, full, failures, back;
};

/* -- what a message is */

static size_t
size_of(uint64_t id)
{
	return id % 7 == 0 ? id * 7919 % LARGE : id * 31 % SMALL;
}

static void
make_body(uint64_t id, char *body)
{
	size_t size = size_of(id), i;

	for (i = 0; i < size; i++)
		body[i] = (char)(id * 131 + i * (i + id));
}

static struct journal_message
make_message(uint64_t id)
{
	static char record[64], body[LARGE];
	struct journal_message message = { .id = id,
		.uuid = { { (uint8_t)id, (uint8_t)(id >> 8), 9 } },
		.birth_s = (int64_t)id,
		.size_bytes = size_of(id),
		.record = record,
		.body = id % 5 == 0 ? NULL : body };

	message.record_length = (size_t)snprintf(
	    record, sizeof(record), "Fsender%" PRIu64, id);
	make_body(id, body);
	return message;
}

static void
expect_message(const struct found_message *found)
{
	struct journal_message wanted = make_message(found->id);

	if (!uuid_is_equal(&found->uuid, &wanted.uuid))
		fail_msg("%" PRIu64 " has another UUID", found->id);
	if (found->is_over)
		return;
	if (found->record.length != wanted.record_length ||
	    memcmp(found->record.data, wanted.record, wanted.record_length) !=
		0 ||
	    found->size_bytes != wanted.size_bytes ||
	    (found->body.data == NULL) != (wanted.body == NULL) ||
	    (wanted.body != NULL &&
		memcmp(found->body.data, wanted.body, wanted.size_bytes) != 0))
		fail_msg("%" PRIu64 " is another message", found->id);
}

/* -- batches */

static void
add_some(struct world *world)
{
	unsigned count = disk_random(BATCH);

	while (count-- > 0) {
		struct journal_message message = make_message(world->next);

		if (world->next % 1024 == 0 || world->messages == NULL)
			world->messages = xrealloc(world->messages,
			    (world->next + 2048) * sizeof(*world->messages));
		world->messages[world->next] = (struct message){
			.state = NEVER
		};
		if (!journal_add(world->journal, &message)) {
			world->full++;
			return;
		}
		world->messages[world->next++] = (struct message){
			.state = ADDING,
			.segment = journal_segment(world->journal)
		};
	}
}

static void
end_some(struct world *world)
{
	uint64_t wanted = journal_wanted(world->journal), id;

	for (id = world->oldest; id < world->next; id++) {
		struct message *message = &world->messages[id];

		if (message->state != ACCEPTED && message->state != UNSURE)
			continue;
		if (message->segment > wanted && disk_random(4) != 0 &&
		    id + AGE > world->next)
			continue;
		journal_end(world->journal, id);
		message->state = ENDING;
	}
}

/* Those in it that the disk has lied about, and what they have ended. */
static void
settle_batch(struct world *world, int result, uint64_t before)
{
	uint64_t now = journal_segment(world->journal), id;
	bool is_first = now != before, lied = disk.has_lied;

	for (id = world->oldest; id < world->next; id++) {
		struct message *message = &world->messages[id];
		bool is_over = !journal_is_ending(world->journal, id) &&
		    !message->was_spoilt;

		switch (message->state) {
		case ADDING:
			message->state = result == -1 ? WITHDRAWING
			    : lied || world->has_lied ? UNSURE
						      : ACCEPTED;
			world->accepted += result == 0;
			break;
		case ENDING:
			if (is_over && !lied && !world->has_lied)
				message->state = ENDED;
			break;
		case WITHDRAWING:
			if (is_over && !lied && !world->has_lied)
				message->state = WITHDRAWN;
			break;
		case ENDED:
			/* The header that made it so was a lie. */
			if (lied && is_first &&
			    message->segment + JOURNAL_SEGMENTS == now)
				message->state = ENDING;
			break;
		case WITHDRAWN:
			if (lied && is_first &&
			    message->segment + JOURNAL_SEGMENTS == now)
				message->state = WITHDRAWING;
			break;
		case NEVER:
		case ACCEPTED:
		case UNSURE:
		case GONE:
			break;
		}
	}
	world->has_lied |= lied;
	disk.has_lied = false;
	while (world->oldest + 2 * AGE < world->next)
		world->oldest++;
}

static void
run_batch(struct world *world)
{
	uint64_t before = journal_segment(world->journal);
	int result;

	if (disk_random(25) == 0)
		disk.failing = 1 + disk_random(3);
	else if (disk_random(60) == 0)
		disk.lying = 1;
	disk.is_full = disk_random(8) == 0;
	add_some(world);
	end_some(world);
	if (disk_random(3) == 0 && !disk.is_dead) {
		/* The batch before that one has no messages. */
		result = journal_commit(world->journal);
		settle_batch(world, result, before);
		before = journal_segment(world->journal);
		end_some(world);
		journal_write_ends(world->journal);
	}
	result = journal_commit(world->journal);
	world->failures += disk.has_failed;
	disk.has_failed = false;
	settle_batch(world, result, before);
	disk.failing = disk.lying = 0;
}

/* -- what a process that starts now finds */

static const struct found_message *
find_found(const struct world *world, uint64_t id)
{
	size_t i;

	for (i = 0; i < world->found.count; i++)
		if (world->found.messages[i].id == id)
			return &world->found.messages[i];
	return NULL;
}

static void
check_message(struct world *world, uint64_t id)
{
	const struct found_message *found = find_found(world, id);
	struct message *message = &world->messages[id];
	bool is_there = found != NULL && !found->is_over;

	if (found != NULL)
		expect_message(found);
	switch (message->state) {
	case ACCEPTED:
		if (!is_there)
			fail_msg("%" PRIu64 " is lost", id);
		break;
	case NEVER:
	case ENDED:
	case WITHDRAWN:
		if (is_there)
			fail_msg("%" PRIu64 " is there again (%d)", id,
			    message->state);
		break;
	case ADDING:
	case UNSURE:
	case GONE:
	case ENDING:
	case WITHDRAWING:
		break;
	}
	if ((message->state == WITHDRAWING || message->state == WITHDRAWN ||
		message->state == NEVER) &&
	    found != NULL && found->is_over)
		fail_msg("%" PRIu64 " is told to have been accepted", id);
	if (is_there) {
		world->back += message->state != ACCEPTED;
		message->state = world->has_lied || message->was_spoilt
		    ? UNSURE
		    : ACCEPTED;
		message->segment = found->segment;
	} else if (message->state == ADDING)
		message->state = WITHDRAWING;
	else if (message->state == UNSURE)
		message->state = GONE;
}

static void
open_journal(struct world *world)
{
	struct journal_finder finder = found_finder(&world->found);
	struct error err = { "" };

	found_reset(&world->found);
	if (journal_open(world->dir, JOURNAL_SEGMENTS * JOURNAL_SEGMENT_MIN,
		&finder, &world->journal, &err) == -1)
		fail_msg("%s", err.text);
}

static void
start_again(struct world *world)
{
	uint64_t id;

	disk.is_dead = disk.is_full = false;
	disk.dies_after = 0;
	disk_prune(world->dir);
	open_journal(world);
	for (id = world->oldest; id < world->next; id++)
		check_message(world, id);
}

static void
kill_process(struct world *world)
{
	disk.is_dead = true;
	journal_close(&world->journal);
	disk.has_failed = false;
}

/* -- */

/* What the page that is going to be bad has, or the header was for. */
static void
doubt(struct world *world, const char *data, size_t size)
{
	struct journal_cursor cursor;
	struct journal_record record;
	uint64_t generation, first, next_id, id;
	bool is_all, has_first;

	/* The first record says what the header did, if its batch was whole. */
	has_first = journal_get_record(data + JOURNAL_PAGE_BYTES,
			size - JOURNAL_PAGE_BYTES, &first, &record) != 0;
	if (journal_get_header(data, size, &generation, &next_id)) {
		is_all = disk.bad_at == 0 &&
		    (!has_first || first != generation);
	} else if (has_first) { /* the header was a lie */
		generation = first;
		is_all = disk.bad_at == JOURNAL_PAGE_BYTES;
	} else
		return;
	journal_cursor_open(&cursor, data, size, generation);
	while (journal_cursor_next(&cursor, &record)) {
		struct message *message = &world->messages[record.message.id];
		size_t begin = record.type == JOURNAL_NEW
		    ? cursor.at - JOURNAL_NEW_BYTES -
			record.message.record_length -
			(record.message.body == NULL
				? 0
				: record.message.size_bytes)
		    : cursor.at - JOURNAL_END_BYTES;

		if (!is_all &&
		    (begin >= (size_t)disk.bad_at + JOURNAL_PAGE_BYTES ||
			cursor.at <= (size_t)disk.bad_at))
			continue;
		world->spoilt++;
		message->was_spoilt = true;
		if (message->state == ACCEPTED)
			message->state = UNSURE;
		else if (message->state == ENDED)
			message->state = ENDING;
		else if (message->state == WITHDRAWN)
			message->state = WITHDRAWING;
	}
	for (id = world->oldest; disk.bad_at == 0 && id < world->next; id++) {
		struct message *message = &world->messages[id];

		if (message->segment + JOURNAL_SEGMENTS !=
		    journal_count(generation))
			continue;
		if (message->state == ENDED)
			message->state = ENDING;
		else if (message->state == WITHDRAWN)
			message->state = WITHDRAWING;
	}
}

/* A page of some segment cannot be read any more. */
static void
break_page(struct world *world)
{
	char name[32];
	struct stat st;
	char *data;
	int fd;

	snprintf(name, sizeof(name), QUEUE_JOURNAL ".%u", disk_random(4));
	fd = openat(queue_dir_fd(world->dir, QUEUE_LOCK, 0), name,
	    O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return;
	assert_int_equal(fstat(fd, &st), 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* as the next start */
	disk.bad_inode = st.st_ino;
	disk.bad_at = (off_t)disk_random(
			  (unsigned)(st.st_size / JOURNAL_PAGE_BYTES) / 2) *
	    JOURNAL_PAGE_BYTES;
	if (disk_random(3) == 0)
		disk.bad_at = (off_t)disk_random(2) * JOURNAL_PAGE_BYTES;
	data = malloc((size_t)st.st_size);
	disk_read(fd, data, (size_t)st.st_size, 0);
	doubt(world, data, (size_t)st.st_size);
	free(data);
	close(fd);
	world->bad_pages++;
}

static void
next_step(struct world *world)
{
	switch (disk_random(40)) {
	case 0: /* somewhere in a batch */
		disk.dies_after = 1 + disk_random(4);
		run_batch(world);
		kill_process(world);
		disk_cut(world->dir);
		world->cuts++;
		start_again(world);
		world->has_lied = false;
		break;
	case 1:
		disk.dies_after = 1 + disk_random(4);
		run_batch(world);
		kill_process(world);
		world->kills++;
		start_again(world);
		break;
	case 2:
		journal_close(&world->journal);
		start_again(world);
		break;
	case 3:
		journal_close(&world->journal);
		break_page(world);
		start_again(world);
		break;
	default:
		run_batch(world);
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
	world.dir = make_bare_queue("q", 1);
	world.next = world.oldest = 1;
	start_again(&world);
	for (round = 0; round < rounds; round++)
		next_step(&world);
	journal_close(&world.journal);
	queue_dir_close(&world.dir);
	found_reset(&world.found);
	free(world.messages);
	print_message("%u cuts, %u kills, %u bad pages, %u failures, %u times "
		      "full; %u accepted, %u spoilt, %u came back\n",
	    world.cuts, world.kills, world.bad_pages, world.failures,
	    world.full, world.accepted, world.spoilt, world.back);
	/* It was worth it. */
	assert_true(world.cuts > rounds / 100);
	assert_true(world.kills > rounds / 100);
	assert_true(world.bad_pages > rounds / 100);
	assert_true(world.failures > rounds / 50);
	assert_true(world.accepted > rounds);
	assert_true(world.spoilt > 0);
}

/* -- one after the other */

static bool
add(struct world *world, uint64_t id)
{
	struct journal_message message = make_message(id);

	return journal_add(world->journal, &message);
}

static void
begin_world(struct world *world, const char *name)
{
	*world = (struct world){ .next = 1 };
	world->dir = make_bare_queue(name, 1);
}

static void
end_world(struct world *world)
{
	journal_close(&world->journal);
	queue_dir_close(&world->dir);
	found_reset(&world->found);
}

/* Until there is room; the journal does not try all the time. */
static void
add_at_last(struct world *world, uint64_t id)
{
	unsigned turns = 0;

	while (!add(world, id)) {
		if (++turns > 2000)
			fail_msg("no room for %" PRIu64, id);
		usleep(10000);
	}
}

/* On a full disk a queue begins, and takes nothing. */
static void
full_disk(void **state)
{
	struct world world;

	(void)state;
	disk_reset();
	begin_world(&world, "q");
	disk.is_full = true;
	open_journal(&world);
	assert_false(add(&world, 1));
	assert_int_equal(journal_commit(world.journal), 0);
	disk.is_full = false;
	add_at_last(&world, 1);
	assert_int_equal(journal_commit(world.journal), 0);
	journal_close(&world.journal);
	/* The next segment cannot be made, and an end waits for it. */
	disk.is_full = true;
	open_journal(&world);
	assert_string_equal(found_text(&world.found), "1");
	journal_end(world.journal, 1);
	assert_int_equal(journal_commit(world.journal), -1);
	assert_true(journal_is_ending(world.journal, 1));
	disk.is_full = false;
	add_at_last(&world, 2);
	assert_int_equal(journal_commit(world.journal), 0);
	assert_false(journal_is_ending(world.journal, 1));
	end_world(&world);
}

/* The client of a batch that fails asks again, and must not hear that it is. */
static void
failed_batch(void **state)
{
	const struct found_message *found;
	struct world world;
	unsigned turn;
	char name[16];

	(void)state;
	disk_reset();
	for (turn = 0; turn < 20; turn++) {
		snprintf(name, sizeof(name), "q%u", turn);
		begin_world(&world, name);
		open_journal(&world);
		assert_true(add(&world, 1));
		assert_int_equal(journal_commit(world.journal), 0);
		assert_true(add(&world, 2));
		journal_end(world.journal, 1);
		disk.failing = 1;
		assert_int_equal(journal_commit(world.journal), -1);
		assert_int_equal(errno, EIO);
		assert_true(journal_is_ending(world.journal, 1));
		assert_true(journal_is_ending(world.journal, 2));
		assert_int_equal(journal_commit(world.journal), 0);
		assert_false(journal_has_unwritten(world.journal));
		kill_process(&world);
		disk.is_dead = false;
		disk_cut(world.dir);
		open_journal(&world);
		found = find_found(&world, 1);
		assert_true(found != NULL && found->is_over);
		assert_null(find_found(&world, 2));
		end_world(&world);
	}
}

/* Kept once, and also when its place is used again. */
static void
kept_for_people(void **state)
{
	struct world world;
	struct stat st;
	uint64_t id;
	int lock, i;

	(void)state;
	disk_reset();
	begin_world(&world, "q");
	lock = queue_dir_fd(world.dir, QUEUE_LOCK, 0);
	open_journal(&world);
	for (id = 1; id <= 3; id++) {
		assert_true(add(&world, id));
		assert_int_equal(journal_commit(world.journal), 0);
	}
	journal_close(&world.journal);
	assert_int_equal(fstatat(lock, "journal.1", &st, 0), 0);
	disk.bad_inode = st.st_ino;
	disk.bad_at = (off_t)2 * JOURNAL_PAGE_BYTES;
	for (i = 0; i < 3; i++) {
		open_journal(&world);
		assert_string_equal(found_text(&world.found), "1 3");
		journal_close(&world.journal);
		assert_int_equal(
		    faccessat(lock, "journal.damaged.1", F_OK, 0), 0);
		assert_int_equal(
		    faccessat(lock, "journal.damaged.2", F_OK, 0), -1);
	}
	open_journal(&world);
	journal_end(world.journal, 1);
	journal_end(world.journal, 3);
	for (id = 10; journal_segment(world.journal) < 6; id++) {
		assert_true(add(&world, id));
		assert_int_equal(journal_commit(world.journal), 0);
		journal_end(world.journal, id);
	}
	assert_int_equal(fstatat(lock, "journal.damaged.1", &st, 0), 0);
	assert_int_equal(st.st_ino, disk.bad_inode);
	assert_int_equal(st.st_nlink, 1);
	disk.bad_inode = 0;
	end_world(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(full_disk),
		TEST(failed_batch),
		TEST(kept_for_people),
		TEST(at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
