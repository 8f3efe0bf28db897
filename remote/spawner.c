/* SPDX-License-Identifier: ISC */
/* qmail-rspawn's side of its queues: their lanes and jobs. */
#include "remote/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "remote/node.h"
#include "remote/operate.h"
#include "remote/spawner_private.h"

enum {
	/* What one queue may have in hand. */
	TAKE_RECIPIENTS = 20000,
	TAKE_BYTES = 64 * 1024 * 1024,
	NAMES_THREADS = 64,
	OPENING_SHARE = 4, /* a quarter of the slots waits for greetings */
	RESULT_BYTES_MAX = REPLY_TEXT_SIZE + 1024,
	PACKETS_A_TURN = 64,
	UNSENT_MAX = 64, /* packets; then nothing more is taken */
	SWEEP_MS = 60 * 1000,
	TICK_MS = 250
};

/* -- to a queue */

static void
queue_watch(struct queue_hand *queue)
{
	uint32_t events = 0;

	if (queue->outbox.count < UNSENT_MAX)
		events |= EPOLLIN;
	if (queue->outbox.count > 0)
		events |= EPOLLOUT;
	loop_change(queue->spawner->config.loop, &queue->source, events);
}

/* What is put into the outbox is sent at the end of the loop's turn. */
static void
put_task_result(struct queue_hand *queue, const struct job_result *result)
{
	struct buf *last = outbox_last(&queue->outbox);

	if (last == NULL || last->length > PACKET_MAX - RESULT_BYTES_MAX ||
	    last->data[0] != JOB_RESULTS)
		last = outbox_add(&queue->outbox);
	job_put_result(last, result);
}

/* -- lanes */

static int
compare_lanes(const void *a, const void *b)
{
	uintptr_t one = (uintptr_t)((const struct lane_hand *)a)->domain;
	uintptr_t other = (uintptr_t)((const struct lane_hand *)b)->domain;

	return (one > other) - (one < other);
}

/*
 * Its queue does not know of a lane for one recipient, whose jobs come over the
 * lane of the domain.
 */
static bool
is_known_to_queue(const struct lane_hand *lane)
{
	return lane->queue != NULL && lane->domain->recipient == NULL;
}

/* As domain_get(); the lane is made if there is none; loose, then. */
static struct lane_hand *
lane_get_hand(
    struct queue_hand *queue, const char *name, const char *recipient)
{
	struct lane_hand *lane = xcalloc(1, sizeof(*lane)), **found;

	lane->domain = domain_get(queue->spawner, name, recipient);
	found = tsearch(lane, &queue->lanes_by_name, compare_lanes);
	if (found == NULL)
		fatal(111, "out of memory");
	if (*found != lane) {
		free(lane);
		return *found;
	}
	lane->queue = queue;
	lane->domain->lanes++;
	TAILQ_INIT(&lane->tasks);
	LIST_INSERT_HEAD(&queue->lanes, lane, in_queue);
	return lane;
}

bool
lane_is_placed(const struct lane_hand *lane)
{
	return lane->destination != NULL || lane->is_at_domain;
}

static void
lane_leave_queue(struct lane_hand *lane)
{
	tdelete(lane, &lane->queue->lanes_by_name, compare_lanes);
	LIST_REMOVE(lane, in_queue);
	lane->queue = NULL;
}

static void
lane_free_if_over(struct lane_hand *lane)
{
	if (lane_is_placed(lane) || lane->in_hand > 0)
		return;
	if (lane->queue != NULL)
		lane_leave_queue(lane);
	lane->domain->lanes--;
	free(lane);
}

/* As its queue calls it. */
static char *
lane_name(const struct domain *domain)
{
	return xasprintf("%s%s%s%s", domain->name,
	    domain->ignores_tls_policy ? " " JOB_LANE_WITHOUT_TLS_POLICY : "",
	    domain->sender == NULL ? "" : " ",
	    domain->sender == NULL ? "" : domain->sender);
}

void
lane_give_room(struct lane_hand *lane, unsigned room)
{
	OWN_TEXT name = lane_name(lane->domain);
	const struct job_room told = { name, room };

	lane->room = room;
	if (is_known_to_queue(lane))
		job_put_room(outbox_add(&lane->queue->outbox), &told);
	if (room > 0)
		return;
	domain_take_lane(lane);
	lane_free_if_over(lane);
}

void
lane_rest(struct lane_hand *lane, int64_t rest_ms, const char *reason)
{
	OWN_TEXT name = lane_name(lane->domain);
	const struct job_backoff told = { name,
		rest_ms <= 0 ? 1 : (uint32_t)((rest_ms + 999) / 1000), reason };
	struct task *task;

	domain_take_lane(lane);
	lane->room = 0;
	if (is_known_to_queue(lane))
		job_put_backoff(outbox_add(&lane->queue->outbox), &told);
	lane->in_hand++; /* so that it stays meanwhile */
	while ((task = TAILQ_FIRST(&lane->tasks)) != NULL) {
		TAILQ_REMOVE(&lane->tasks, task, in_lane);
		task_done_all(task, SESSION_TEMPFAIL, reason);
	}
	lane->in_hand--;
	lane_free_if_over(lane);
}

/* -- jobs */

static void
task_free(struct task *task)
{
	size_t i;

	for (i = 0; i < task->job.recipient_count; i++)
		session_result_release(&task->results[i]);
	if (task->fd != -1)
		close(task->fd);
	free(task->recipients);
	free(task->to);
	free(task->results);
	free(task->storage);
	free(task);
}

/* text NULL: each of its recipients has a result of its own. */
static void
task_end(struct task *task, enum session_outcome outcome, const char *text)
{
	struct lane_hand *lane = task->lane;

	for (size_t i = 0; lane->queue != NULL && i < task->job.recipient_count;
	     i++) {
		const struct session_result *its = &task->results[i];
		const struct job_result result = {
			.delivery = task->recipients[i].delivery,
			.outcome = (enum job_outcome)(
			    text != NULL ? outcome : its->outcome),
			.text = text != NULL ? text : its->text,
			.is_dsn_passed = text == NULL && its->is_dsn_passed
		};

		put_task_result(lane->queue, &result);
	}
	task_free(task);
	lane->in_hand--;
	lane_free_if_over(lane);
}

void
task_done(struct task *task)
{
	task_end(task, SESSION_TEMPFAIL, NULL);
}

void
task_done_all(struct task *task, enum session_outcome outcome, const char *text)
{
	task_end(task, outcome, text);
}

/* The packet's job, with a copy of it; NULL when it is not one. */
static struct task *
read_task(const char *packet, size_t length, int fd)
{
	struct job_recipient recipients[JOB_RECIPIENTS_MAX];
	struct task *task;
	struct job job;
	char *copy = xmalloc(length);
	size_t i;

	memcpy(copy, packet, length);
	if (!job_get(copy, length, recipients, &job) ||
	    (job.body == NULL) != (fd != -1)) {
		free(copy);
		return NULL;
	}
	task = xcalloc(1, sizeof(*task));
	task->storage = copy;
	task->fd = fd;
	task->job = job;
	task->recipients = xcalloc(job.recipient_count, sizeof(*recipients));
	task->to = xcalloc(job.recipient_count, sizeof(*task->to));
	task->results = xcalloc(job.recipient_count, sizeof(*task->results));
	task->job.recipients = task->recipients;
	for (i = 0; i < job.recipient_count; i++) {
		task->recipients[i] = recipients[i];
		task->to[i] = (struct session_recipient){
			.address = recipients[i].recipient,
			.dsn = recipients[i].dsn
		};
	}
	return task;
}

struct session_message
task_message(const struct task *task)
{
	return (struct session_message){ .sender = task->job.sender,
		.dsn = task->job.dsn,
		.header = task->job.header,
		.body = task->job.body,
		.fd = task->fd,
		.size_bytes = task->job.size_bytes,
		.requires_tls = task->job.needs_tls,
		.uuid = task->job.uuid,
		.recipients = task->to,
		.recipient_count = task->job.recipient_count };
}

static void
take_task(struct queue_hand *queue, struct task *task, bool asks_recipient)
{
	const struct rules *rules = queue->spawner->rules->rules;
	const char *name = task->job.lane;
	char *with_sender = NULL;
	struct lane_hand *lane;

	/* One that its queue made before it heard of lanes by sender. */
	if (!node_is_lane(name) && rules_program(rules) == NULL &&
	    rules_ask_sender(rules) && !domain_lane_has_sender(name))
		name = with_sender = xasprintf("%s %s", name, task->job.sender);
	lane = lane_get_hand(queue, name,
	    asks_recipient ? task->recipients[0].recipient : NULL);
	free(with_sender);
	task->lane = lane;
	lane->in_hand++;
	TAILQ_INSERT_TAIL(&lane->tasks, task, in_lane);
	if (lane->destination != NULL)
		destination_count_task(lane->destination);
	else if (lane->is_at_domain)
		domain_run_lane(lane);
	else
		domain_place_lane(lane);
}

/* -- recipients that go ways of their own */

static void
keep_recipient(struct task *task, size_t i)
{
	task->recipients[0] = task->recipients[i];
	task->to[0] = task->to[i];
	task->job.recipient_count = 1;
}

/* The job of the packet for one recipient alone; fd is its body, or -1. */
static void
take_for_recipient(struct queue_hand *queue, const struct task *whole,
    const char *packet, size_t length, size_t i)
{
	int copy = whole->fd == -1 ? -1 : fcntl(whole->fd, F_DUPFD_CLOEXEC, 0);
	struct task *task;

	if (copy == -1 && whole->fd != -1) {
		const struct job_result result = {
			.delivery = whole->recipients[i].delivery,
			.outcome = JOB_TEMPFAIL,
			.text = "Too many files are open here. (#4.3.1)\n"
		};

		put_task_result(queue, &result);
		return;
	}
	task = read_task(packet, length, copy);
	keep_recipient(task, i);
	take_task(queue, task, true);
}

static void
take_job(struct queue_hand *queue, struct task *task, const char *packet,
    size_t length)
{
	const struct rules *rules = queue->spawner->rules->rules;
	bool asks_recipient = rules_program(rules) == NULL &&
	    rules_ask_recipient(rules, task->job.lane);

	if (asks_recipient) {
		for (size_t i = 1; i < task->job.recipient_count; i++)
			take_for_recipient(queue, task, packet, length, i);
		keep_recipient(task, 0);
	}
	take_task(queue, task, asks_recipient);
}

/* -- queues */

static bool
take_packet(struct queue_hand *queue, const char *packet, size_t length, int fd)
{
	struct task *task;
	struct lane_hand *lane;
	const char *name;
	enum job_wish wish;

	if (job_packet_type(packet, length) == JOB_ASK && fd == -1) {
		if (!job_get_ask(packet, length, &name, &wish))
			return false;
		lane = lane_get_hand(queue, name, NULL);
		lane->wish = wish;
		if (!lane_is_placed(lane))
			domain_place_lane(lane);
		else if (lane->room > 0) /* the queue has forgotten it */
			lane_give_room(lane, lane->room);
		return true;
	}
	if (operate_packet_type(packet, length) == OPERATE_REQUEST && fd == -1)
		return operate_take(queue, packet, length);
	task = read_task(packet, length, fd);
	if (task == NULL) {
		if (fd != -1)
			close(fd);
		return false;
	}
	take_job(queue, task, packet, length);
	return true;
}

/* What it has given us waits no more, and what is being sent has nobody. */
static void
queue_leave(struct queue_hand *queue)
{
	struct lane_hand *lane;
	struct task *task;

	if (queue->is_gone)
		return;
	queue->is_gone = true;
	loop_remove(queue->spawner->config.loop, &queue->source);
	close(queue->source.fd);
	while ((lane = LIST_FIRST(&queue->lanes)) != NULL) {
		lane_leave_queue(lane);
		domain_take_lane(lane);
		while ((task = TAILQ_FIRST(&lane->tasks)) != NULL) {
			TAILQ_REMOVE(&lane->tasks, task, in_lane);
			lane->in_hand--;
			task_free(task);
		}
		lane_free_if_over(lane);
	}
}

static void
queue_ready(uint32_t events, void *context)
{
	static char packet[PACKET_MAX]; /* the loop has one thread */
	struct queue_hand *queue = context;
	int turn, fd;

	(void)events;
	for (turn = 0; turn < PACKETS_A_TURN && !queue->is_gone &&
	     queue->outbox.count < UNSENT_MAX;
	     turn++) {
		ssize_t n = packet_receive(queue->source.fd, packet,
		    sizeof(packet), &fd, MSG_DONTWAIT);

		if (n == -1 && errno == EAGAIN)
			return;
		if (n > 0 && take_packet(queue, packet, (size_t)n, fd))
			continue;
		if (n > 0)
			log_line("warning: a qmail-send sent a packet that is "
				 "not of version %d: restart all services, so "
				 "that they are of one release",
			    JOB_VERSION);
		queue_leave(queue);
	}
}

static void
put_take(struct queue_hand *queue)
{
	const struct job_take take = { TAKE_RECIPIENTS, TAKE_BYTES,
		rules_ask_sender(queue->spawner->rules->rules) };

	job_put_take(outbox_add(&queue->outbox), &take);
}

static void
queue_connected(struct spawner *spawner, int fd, uid_t uid)
{
	struct queue_hand *queue = xcalloc(1, sizeof(*queue));
	const struct job_hello hello = { JOB_VERSION, JOB_REMOTE };
	struct error err;

	queue->spawner = spawner;
	queue->uid = uid;
	queue->source = (struct loop_source){ fd, queue_ready, queue };
	outbox_init(&queue->outbox);
	LIST_INIT(&queue->lanes);
	if (loop_add(spawner->config.loop, &queue->source, EPOLLIN, &err) ==
	    -1) {
		log_line("warning: cannot serve a queue: %s", err.text);
		close(fd);
		free(queue);
		return;
	}
	LIST_INSERT_HEAD(&spawner->queues, queue, in_spawner);
	job_put_hello(outbox_add(&queue->outbox), &hello);
	put_take(queue);
}

void
queues_wake(struct spawner *spawner, const char *domain)
{
	struct queue_hand *queue;

	LIST_FOREACH(queue, &spawner->queues, in_spawner)
		if (!queue->is_operator && !queue->is_gone)
			job_put_wake(outbox_add(&queue->outbox), domain);
}

static void
listen_ready(uint32_t events, void *context)
{
	struct spawner *spawner = context;
	int fd = accept4(spawner->listen_source.fd, NULL, NULL,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
	uid_t uid;
	pid_t pid;

	(void)events;
	if (fd == -1)
		return;
	if (packet_peer(fd, &uid, &pid) == 0 &&
	    (uid == 0 || uid == geteuid() || uid == spawner->config.queue_uid))
		queue_connected(spawner, fd, uid);
	else
		close(fd);
}

/* Sends what was put for the queues, and frees those that have gone. */
static void
send_packets(struct spawner *spawner)
{
	struct queue_hand *queue, *next;

	for (queue = LIST_FIRST(&spawner->queues); queue != NULL;
	     queue = next) {
		next = LIST_NEXT(queue, in_spawner);
		if (!queue->is_gone &&
		    !outbox_send(&queue->outbox, queue->source.fd))
			queue_leave(queue);
		if (!queue->is_gone) {
			queue_watch(queue);
			continue;
		}
		outbox_release(&queue->outbox);
		LIST_REMOVE(queue, in_spawner);
		free(queue);
	}
}

/* -- all of it */

static const char stopping[] =
    "The process for remote mail is being restarted. (#4.3.2)\n";

void
rules_drop(struct rules_in_use *rules)
{
	if (--rules->users > 0)
		return;
	rules_free(&rules->rules);
	free(rules);
}

static void
set_rules(struct spawner *spawner, struct rules *rules)
{
	const struct settings *settings = rules_settings(rules);

	spawner->rules = xcalloc(1, sizeof(*spawner->rules));
	spawner->rules->users = 1;
	spawner->rules->rules = rules;
	spawner->idle_ms = (int64_t)settings_number(
			       settings, SETTING_remoteidle) *
	    1000;
}

void
spawner_set_rules(struct spawner *spawner, struct rules *rules)
{
	struct queue_hand *queue;

	rules_drop(spawner->rules);
	set_rules(spawner, rules);
	LIST_FOREACH(queue, &spawner->queues, in_spawner)
		if (!queue->is_operator && !queue->is_gone)
			put_take(queue);
}

struct spawner *
spawner_new(
    const struct spawner_config *config, struct rules *rules, struct error *err)
{
	struct spawner *spawner = xcalloc(1, sizeof(*spawner));

	spawner->config = *config;
	LIST_INIT(&spawner->queues);
	TAILQ_INIT(&spawner->destinations);
	TAILQ_INIT(&spawner->wanting);
	spawner->listen_source = (struct loop_source){ config->listen_fd,
		listen_ready, spawner };
	if (loop_add(config->loop, &spawner->listen_source, EPOLLIN, err) ==
	    -1) {
		free(spawner);
		return NULL;
	}
	spawner->nodes = cluster_nodes_new(config->home);
	SLIST_INIT(&spawner->seen_nodes);
	set_rules(spawner, rules);
	operate_use_suspensions(
	    spawner, settings_list(rules_settings(rules), SETTING_suspended));
	spawner->slots = (unsigned)settings_number(
	    rules_settings(rules), SETTING_remoteslots);
	spawner->openings_max = spawner->slots < OPENING_SHARE
	    ? 1
	    : spawner->slots / OPENING_SHARE;
	spawner->names = work_pool_new(NAMES_THREADS, config->wake_fd);
	spawner->openers = work_pool_new(
	    spawner->openings_max, config->wake_fd);
	spawner->senders = work_pool_new(spawner->slots, config->wake_fd);
	return spawner;
}

void
spawner_use(struct spawner *spawner, struct rules *rules)
{
	spawner_set_rules(spawner, rules);
	operate_use_suspensions(
	    spawner, settings_list(rules_settings(rules), SETTING_suspended));
	domains_forget(spawner);
	destinations_retire(spawner);
	domains_sweep(spawner, clock_ms());
	queues_wake(spawner, "");
}

int
spawner_run(struct spawner *spawner)
{
	int64_t now_ms = clock_ms();

	work_pool_reap(spawner->names);
	work_pool_reap(spawner->openers);
	work_pool_reap(spawner->senders);
	destinations_run_wanting(spawner);
	if (now_ms - spawner->ticked_ms >= TICK_MS) {
		spawner->ticked_ms = now_ms;
		nodes_tick(spawner);
		destinations_tick(spawner, now_ms);
	}
	if (now_ms - spawner->swept_ms >= SWEEP_MS) {
		spawner->swept_ms = now_ms;
		domains_sweep(spawner, now_ms);
	}
	send_packets(spawner);
	return TICK_MS;
}

/* What waits is put back, to be asked for again. */
static void
stop_queue(struct queue_hand *queue)
{
	struct lane_hand *lane, *next;

	for (lane = LIST_FIRST(&queue->lanes); lane != NULL; lane = next) {
		next = LIST_NEXT(lane, in_queue);
		if (lane_is_placed(lane))
			lane_rest(lane, 1000, stopping);
	}
}

bool
spawner_stop(struct spawner *spawner)
{
	struct queue_hand *queue;
	bool is_heard = true;

	spawner->is_stopping = true;
	LIST_FOREACH(queue, &spawner->queues, in_spawner) {
		stop_queue(queue);
		is_heard = is_heard && queue->outbox.count == 0;
	}
	destinations_close(spawner);
	return spawner->underway == 0 && is_heard;
}
