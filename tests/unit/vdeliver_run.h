/* SPDX-License-Identifier: ISC */
/*
 * A vdeliver of a test's own, and messages to users of example.test for it:
 * each is known by the number that it is started with.
 */
#ifndef TESTS_UNIT_VDELIVER_RUN_H
#define TESTS_UNIT_VDELIVER_RUN_H

#include <poll.h>
#include <pthread.h>

#include "delivery/vdeliver.h"
#include "tests/unit/vdomain.h"

enum { RUN_MAX = 200 };

static struct vdeliver *run_vdeliver;
static const char *run_general_program; /* NULL: none */
static char run_outcomes[RUN_MAX]; /* 0: none yet */
static char run_texts[RUN_MAX][VDELIVER_TEXT_SIZE];
static size_t run_answers;

/* Where what a test has put in place of something waits while it is held. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t has_changed;
	bool is_held;
	unsigned came;
} run_gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.has_changed = PTHREAD_COND_INITIALIZER };

static inline void
run_hold(bool is_to_wait)
{
	pthread_mutex_lock(&run_gate.lock);
	run_gate.is_held = is_to_wait;
	pthread_cond_broadcast(&run_gate.has_changed);
	pthread_mutex_unlock(&run_gate.lock);
}

static inline void
run_pass_gate(void)
{
	pthread_mutex_lock(&run_gate.lock);
	run_gate.came++;
	pthread_cond_broadcast(&run_gate.has_changed);
	while (run_gate.is_held)
		pthread_cond_wait(&run_gate.has_changed, &run_gate.lock);
	pthread_mutex_unlock(&run_gate.lock);
}

static inline void
run_wait_at_gate(void)
{
	pthread_mutex_lock(&run_gate.lock);
	while (run_gate.came == 0)
		pthread_cond_wait(&run_gate.has_changed, &run_gate.lock);
	pthread_mutex_unlock(&run_gate.lock);
}

static inline void
run_keep_answer(const struct vdeliver_item *item, void *context)
{
	uint32_t number = item->to->delivery;

	(void)context;
	assert_int_equal(run_outcomes[number], 0);
	run_outcomes[number] = (char)item->outcome;
	memcpy(run_texts[number], item->text, sizeof(item->text));
	run_answers++;
}

static inline void
run_open(const struct vdomain *node, struct store *store)
{
	const struct vdeliver_config config = {
		.store = store,
		.domains = node->domains,
		.host = "host.test",
		.queue = "queue1",
		.cached_maildirs = 8,
		.sync_threads = 2,
		.answer = run_keep_answer,
		.general_program = run_general_program,
		.options = { .separators = "-",
		    .program_timeout_ms = 60 * 1000 },
	};
	struct error err;

	memset(run_outcomes, 0, sizeof(run_outcomes));
	run_answers = 0;
	run_gate.is_held = false;
	run_gate.came = 0;
	run_vdeliver = vdeliver_new(&config, &err);
	assert_non_null(run_vdeliver);
}

/* A message of a text to user. */
static inline void
run_start(const struct vdomain *node, uint32_t number, const char *user,
    const char *text)
{
	struct vdeliver_message *message = vdeliver_message_new(1);

	message->job.recipients[0] = (struct job_recipient){
		.delivery = number,
		.recipient = user,
		.user = "example.test",
		.home = node->dir,
		.dash = "-",
		.extension = user,
	};
	message->job.sender = "";
	message->job.header = "";
	message->job.body = text;
	message->job.size_bytes = strlen(text);
	uuid_make(&message->job.uuid);
	vdeliver_begin(run_vdeliver);
	vdeliver_deliver(run_vdeliver, message);
	vdeliver_end(run_vdeliver);
}

/* Until so many have been answered in all. */
static inline void
run_wait(size_t count)
{
	struct pollfd poll_fd = { .fd = vdeliver_wake_fd(run_vdeliver),
		.events = POLLIN };

	while (run_answers < count) {
		assert_int_equal(poll(&poll_fd, 1, 60000), 1);
		vdeliver_reap(run_vdeliver);
	}
	assert_int_equal(run_answers, count);
}

#endif
