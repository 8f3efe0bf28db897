/* SPDX-License-Identifier: ISC */
/*
 * What the committer answers, at random, and what a process that starts after a
 * kill or a power cut finds: on a disk that fails now and then, or is full.
 *
 * - New mail that was answered is there until its end is posted, with its file.
 * - What failed is never said to have been accepted.
 * - An end that was done is durable.
 *
 * MQMAIL_SEED and MQMAIL_ROUNDS make other and longer runs.
 */
#include "queue/commit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/eventfd.h>

#include "queue/exitcode.h"
#define FOLDER_IN_MEMORY
#include "tests/unit/bare_queue.h"
#include "tests/unit/journal_disk.h"
#include "tests/unit/journal_found.h"

enum { IDS = 200000, WINDOW = 3000, STEPS = 60 };

enum state {
	NEVER,
	POSTED,   /* may be there, or not */
	ACCEPTED, /* must be there */
	REFUSED,  /* may be there; is not over */
	ENDING,   /* may be there */
	ENDED     /* must not be there */
};

struct message {
	enum state state;
	uint64_t segment;
	bool has_file;
};

struct world {
	struct queue_dir *dir;
	struct journal *journal;
	struct committer *committer;
	struct found found;
	int wake_fd;
	uint64_t next, last_done;
	unsigned waiting; /* jobs with a callback */
	unsigned accepted, refused, restarts;
};

static struct message messages[IDS];

static unsigned
chance(unsigned below)
{
	unsigned number;

	pthread_mutex_lock(&disk.lock);
	number = disk_random(below);
	pthread_mutex_unlock(&disk.lock);
	return number;
}

static uint64_t
first_id(const struct world *world)
{
	return world->next > WINDOW ? world->next - WINDOW : 1;
}

/* -- jobs */

static void
new_done(struct commit_job *job, void *context)
{
	struct world *world = context;
	uint64_t id = job->message.id;
	struct message *message = &messages[id];

	assert_true(id > world->last_done); /* in their order */
	world->last_done = id;
	world->waiting--;
	if (job->result == QQ_OK) {
		message->state = ACCEPTED;
		message->segment = job->segment;
		world->accepted++;
	} else {
		message->state = REFUSED;
		world->refused++;
		assert_true(job->err.text[0] != '\0');
	}
	commit_job_free(&job);
}

static void
end_done(struct commit_job *job, void *context)
{
	struct world *world = context;

	world->waiting--;
	if (job->result == QQ_OK)
		messages[job->message.id].state = ENDED;
	commit_job_free(&job);
}

static void
post_new(struct world *world)
{
	uint64_t id = world->next++;
	struct commit_job *job = commit_job_new(COMMIT_NEW, id);

	assert_true(id < IDS);
	buf_addf(&job->record, "Fsender%" PRIu64, id);
	job->has_file = id % 8 == 0;
	messages[id] = (struct message){ .state = POSTED,
		.has_file = job->has_file };
	while (!job->has_file && job->body.length < id * 37 % 9000)
		buf_addf(&job->body, "body of %" PRIu64 "\n", id);
	if (job->has_file) {
		int fd = queue_open_file(
		    world->dir, QUEUE_MESS, id, O_WRONLY | O_CREAT);

		assert_int_not_equal(fd, -1);
		close(fd);
		job->message.size_bytes = id;
	}
	job->done = new_done;
	job->context = world;
	world->waiting++;
	commit_post(world->committer, job);
	commit_flush(world->committer);
}

static void
post_end(struct world *world, uint64_t id)
{
	struct commit_job *job = commit_job_new(COMMIT_END, id);

	job->has_file = messages[id].has_file;
	job->is_waited_for = id % 3 == 0;
	messages[id].state = ENDING;
	if (job->is_waited_for) {
		job->done = end_done;
		job->context = world;
		world->waiting++;
	}
	commit_post(world->committer, job);
	commit_flush(world->committer);
}

/* Those that are wanted away, and many others. */
static void
post_ends(struct world *world)
{
	uint64_t wanted = commit_wanted(world->committer), id;

	for (id = first_id(world); id < world->next; id++)
		if (messages[id].state == ACCEPTED &&
		    (messages[id].segment <= wanted || chance(3) == 0))
			post_end(world, id);
}

/* -- processes */

static void
check_message(struct world *world, uint64_t id)
{
	struct message *message = &messages[id];
	const struct found_message *found = NULL;
	char name[QUEUE_NAME_SIZE], wanted[64];
	bool is_there;
	size_t i;

	for (i = 0; i < world->found.count && found == NULL; i++)
		if (world->found.messages[i].id == id)
			found = &world->found.messages[i];
	is_there = found != NULL && !found->is_over;
	if (message->state == ACCEPTED && !is_there)
		fail_msg("%" PRIu64 " is lost", id);
	if (message->state == ENDED && is_there)
		fail_msg("%" PRIu64 " is there again", id);
	if (message->state == REFUSED && found != NULL && found->is_over)
		fail_msg("%" PRIu64 " is told to have been accepted", id);
	if (!is_there) {
		if (message->state == ENDING)
			message->state = ENDED;
		return;
	}
	queue_name(name, id);
	if (message->has_file &&
	    faccessat(
		queue_dir_fd(world->dir, QUEUE_MESS, id), name, F_OK, 0) == -1)
		fail_msg("the file of %" PRIu64 " is lost", id);
	snprintf(wanted, sizeof(wanted), "Fsender%" PRIu64, id);
	assert_int_equal(found->record.length, strlen(wanted));
	assert_memory_equal(found->record.data, wanted, strlen(wanted));
	message->state = ACCEPTED;
	message->segment = found->segment;
}

static void
start_process(struct world *world)
{
	struct journal_finder finder = found_finder(&world->found);
	struct error err = { "" };
	uint64_t id;

	disk_prune(world->dir);
	found_reset(&world->found);
	if (journal_open(world->dir, JOURNAL_SEGMENTS * JOURNAL_SEGMENT_MIN,
		&finder, &world->journal, &err) == -1)
		fail_msg("%s", err.text);
	for (id = first_id(world); id < world->next; id++)
		check_message(world, id);
	world->committer = committer_new(
	    world->dir, world->journal, world->wake_fd);
}

static void
set_disk(bool is_dead)
{
	pthread_mutex_lock(&disk.lock);
	disk.is_dead = is_dead;
	disk.failing = 0;
	disk.is_full = false;
	pthread_mutex_unlock(&disk.lock);
}

/* It is killed, or ends; nothing was answered that it does not know of. */
static void
end_process(struct world *world)
{
	bool is_killed = chance(3) != 0;

	set_disk(is_killed);
	committer_free(&world->committer);
	assert_int_equal(world->waiting, 0);
	journal_close(&world->journal);
	set_disk(false);
	if (is_killed && chance(2) == 0)
		disk_cut(world->dir);
	world->restarts++;
}

static void
one_step(struct world *world)
{
	struct pollfd in = { .fd = world->wake_fd, .events = POLLIN };
	unsigned count = chance(40);
	uint64_t times;

	pthread_mutex_lock(&disk.lock);
	if (disk_random(15) == 0)
		disk.failing = 1;
	disk.is_full = disk_random(15) == 0;
	pthread_mutex_unlock(&disk.lock);
	while (count-- > 0)
		post_new(world);
	if (poll(&in, 1, (int)chance(4)) == 1)
		assert_int_equal(
		    read(world->wake_fd, &times, sizeof(times)), 8);
	commit_reap(world->committer);
	post_ends(world);
}

static void
at_random(void **state)
{
	const char *seed = getenv("MQMAIL_SEED");
	const char *number = getenv("MQMAIL_ROUNDS");
	unsigned rounds = number == NULL ? 25 : (unsigned)atoi(number);
	struct world world = { .next = 1 };
	unsigned round, step;

	(void)state;
	disk_reset();
	disk.seed = seed == NULL ? 1 : strtoull(seed, NULL, 10);
	world.dir = make_bare_queue("q", 3);
	world.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	start_process(&world);
	for (round = 0; round < rounds; round++) {
		for (step = chance(STEPS); step > 0; step--)
			one_step(&world);
		end_process(&world);
		start_process(&world);
	}
	committer_free(&world.committer);
	journal_close(&world.journal);
	queue_dir_close(&world.dir);
	found_reset(&world.found);
	close(world.wake_fd);
	print_message("%u accepted, %u refused, %u restarts\n", world.accepted,
	    world.refused, world.restarts);
	/* It was worth it. */
	assert_true(world.accepted > 50 * rounds);
	assert_true(world.refused > rounds / 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { TEST(at_random) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
