/* SPDX-License-Identifier: ISC */
/*
 * A destination: its lines, which of its lanes' jobs they send, and when it is
 * left alone.
 */
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "remote/elsewhere.h"
#include "remote/node.h"
#include "remote/operate.h"
#include "remote/spawner_private.h"

enum {
	JOBS_AHEAD = 2,  /* in hand for each line: one is sent, one waits */
	TRIES_A_JOB = 2, /* a connection that was kept may have gone */
	DESTINATION_IDLE_MS = 60 * 1000 /* then what was learned is forgotten */
};

/* -- the table */

static int
compare_destinations(const void *a, const void *b)
{
	return strcmp(((const struct destination *)a)->key,
	    ((const struct destination *)b)->key);
}

/* An empty one with the plan's key. */
static struct destination *
make_destination(const struct shared_plan *plan)
{
	struct buf key = BUF_INIT;
	struct destination *destination;

	plan_put_key(plan->rules->rules, &plan->plan, &key);
	destination = xcalloc(1, sizeof(*destination) + key.length + 1);
	memcpy(destination->key, key.data, key.length + 1);
	buf_release(&key);
	return destination;
}

struct destination *
destination_find(struct spawner *spawner, const struct shared_plan *plan)
{
	struct destination *wanted = make_destination(plan), **found;

	found = tfind(
	    wanted, &spawner->destinations_by_key, compare_destinations);
	free(wanted);
	return found == NULL ? NULL : *found;
}

static struct destination *
get_destination(struct spawner *spawner, struct shared_plan *plan)
{
	const struct exchange *exchange = &plan->plan.exchange;
	struct destination *destination = make_destination(plan), **found;

	found = tsearch(
	    destination, &spawner->destinations_by_key, compare_destinations);
	if (found == NULL)
		fatal(111, "out of memory");
	if (*found != destination) {
		free(destination);
		return *found;
	}
	destination->spawner = spawner;
	destination->plan = plan;
	destination->exchange = exchange;
	plan->users++;
	destination->idle_since_ms = destination->known_since_ms = clock_ms();
	destination->breakers = xcalloc(
	    exchange->address_count, sizeof(*destination->breakers));
	window_init(&destination->window, spawner->slots);
	TAILQ_INIT(&destination->lines);
	TAILQ_INIT(&destination->lanes);
	TAILQ_INSERT_TAIL(&spawner->destinations, destination, in_spawner);
	return destination;
}

static void
free_destination(struct destination *destination)
{
	struct spawner *spawner = destination->spawner;

	if (!destination->is_retired)
		tdelete(destination, &spawner->destinations_by_key,
		    compare_destinations);
	TAILQ_REMOVE(&spawner->destinations, destination, in_spawner);
	if (destination->is_wanting)
		TAILQ_REMOVE(&spawner->wanting, destination, in_wanting);
	shared_plan_drop(destination->plan);
	free(destination->breakers);
	free(destination->last_text);
	free(destination->last_reply);
	free(destination->last_tls);
	strlist_release(&destination->names);
	free(destination);
}

static void
set_text(char **text, const char *value)
{
	free(*text);
	*text = xstrdup(value);
}

/* -- lines */

static void
count_line(struct line *line, int n)
{
	line->destination->line_count += (unsigned)n;
	line->destination->spawner->line_count += (unsigned)n;
}

static void
free_line(struct line *line)
{
	TAILQ_REMOVE(&line->destination->lines, line, in_destination);
	count_line(line, -1);
	session_result_release(&line->failure);
	free(line);
}

static void
post_line(struct line *line, struct work_pool *pool,
    void (*run)(struct work *work), void (*done)(struct work *work))
{
	line->destination->spawner->underway++;
	work_pool_post(pool, &line->work, run, done);
}

/* In a thread. */
static void
close_session(struct work *work)
{
	session_close(&((struct line *)work)->session);
}

static void
line_closed(struct work *work)
{
	struct line *line = (struct line *)work;
	struct destination *destination = line->destination;

	destination->spawner->underway--;
	free_line(line);
	destination_run(destination);
}

static void
close_line(struct line *line)
{
	line->state = LINE_CLOSING;
	post_line(line, line->destination->spawner->senders, close_session,
	    line_closed);
}

/* In a thread. */
static void
open_session(struct work *work)
{
	struct line *line = (struct line *)work;
	const struct shared_plan *plan = line->destination->plan;

	line->session = plan_open(plan->rules->rules, &plan->plan,
	    line->address, &line->way, &line->failure);
}

static bool
is_resting(const struct destination *destination, int64_t now_ms)
{
	return now_ms < destination->rests_until_ms;
}

/* None of its lanes has anything sent before that. */
static void
rest(struct destination *destination, int64_t until_ms)
{
	int64_t now_ms = clock_ms();
	struct lane_hand *lane;
	char host[DNS_NAME_SIZE], word[REPLY_TEXT_SIZE];

	destination->rests_until_ms = until_ms;
	log_word(host, sizeof(host), destination->exchange->hosts[0].name);
	log_word(word, sizeof(word), destination->last_text);
	log_line("destination %s: rests for %" PRId64 " s: %s", host,
	    (until_ms - now_ms + 999) / 1000, word);
	while ((lane = TAILQ_FIRST(&destination->lanes)) != NULL)
		lane_rest(lane, until_ms - now_ms, destination->last_text);
}

/* No more connections to its address for a while. */
static void
count_failure(struct line *line, enum session_stage stage, const char *text)
{
	struct destination *destination = line->destination;
	int64_t now_ms = clock_ms();

	breaker_failed(
	    &destination->breakers[line->address], now_ms, arc4random());
	/* One of ours is back soon, or is told to be dead. */
	if (destination->plan->plan.node.name != NULL &&
	    destination->breakers[line->address].rests_until_ms >
		now_ms + NODE_REST_MS)
		destination->breakers[line->address].rests_until_ms = now_ms +
		    NODE_REST_MS;
	if (stage > STAGE_CONNECT)
		window_troubled(&destination->window, now_ms);
	free(destination->last_text);
	destination->last_text = xstrdup(text);
}

/* svctool log finds a message's by its UUID; uuid NULL: of a connection. */
static void
log_refusal(const struct line *line, const struct reply *reply,
    const struct reply_judgement *judgement, const struct uuid *uuid)
{
	static const char *const actions[] = {
		[REPLY_ACTION_NONE] = "",
		[REPLY_ACTION_FEWER] = ", fewer connections",
		[REPLY_ACTION_SLOWER] = ", slower",
		[REPLY_ACTION_SUSPEND] = ", suspended",
	};
	const struct exchange *exchange = line->destination->exchange;
	char host[DNS_NAME_SIZE], word[REPLY_TEXT_SIZE], id[UUID_TEXT_SIZE];
	char time[sizeof(" for 4294967295 s")] = "";

	if (reply->code == 0)
		return;
	log_word(host, sizeof(host),
	    exchange->hosts[exchange->addresses[line->address].host].name);
	log_word(word, sizeof(word), reply->text);
	if (uuid != NULL)
		uuid_format(uuid, id);
	if (judgement->action != REPLY_ACTION_NONE)
		snprintf(
		    time, sizeof(time), " for %u s", judgement->action_s);
	log_line("refused %s by %s: %s%s%s: %s",
	    uuid == NULL ? "connection" : id, host,
	    reply_class_name(judgement->class), actions[judgement->action],
	    time, word);
}

/*
 * What a refusal says of the destination, but for how long it is to be left
 * alone.
 */
static void
heed(struct destination *destination, const struct reply *reply,
    const struct reply_judgement *judgement)
{
	int64_t now_ms = clock_ms();

	if (reply->code == 421)
		window_troubled(&destination->window, now_ms);
	if (judgement->action == REPLY_ACTION_FEWER)
		window_cap(&destination->window, now_ms, judgement->action_s);
	if (judgement->action == REPLY_ACTION_SLOWER)
		bucket_limit(&destination->bucket, 1, now_ms,
		    now_ms + (int64_t)judgement->action_s * 1000);
}

static void
line_failed(struct line *line)
{
	struct destination *destination = line->destination;
	int64_t now_ms = clock_ms();
	const struct reply *reply = &line->failure.reply;
	struct reply_judgement judgement = reply_judge(reply);

	log_refusal(line, reply, &judgement, NULL);
	heed(destination, reply, &judgement);
	count_failure(line, line->failure.stage, line->failure.text);
	if (judgement.action == REPLY_ACTION_SUSPEND &&
	    destination->breakers[line->address].rests_until_ms <
		now_ms + (int64_t)judgement.action_s * 1000)
		destination->breakers[line->address].rests_until_ms = now_ms +
		    (int64_t)judgement.action_s * 1000;
	set_text(&destination->last_reply, line->failure.text);
	free_line(line);
}

static void
line_opened(struct work *work)
{
	struct line *line = (struct line *)work;
	struct destination *destination = line->destination;

	destination->spawner->underway--;
	destination->spawner->opening_count--;
	destination->opening_count--;
	plan_note(destination->plan->rules->rules, &destination->plan->plan,
	    line->address, line->session, &line->failure);
	if (line->session == NULL)
		line_failed(line);
	else {
		const char *tls = session_tls_text(line->session);

		breaker_succeeded(&destination->breakers[line->address]);
		set_text(&destination->last_tls, *tls == '\0' ? "plain" : tls);
		destination->has_greeted = true;
		line->state = LINE_IDLE;
		line->idle_since_ms = clock_ms();
	}
	destination_run(destination);
}

static unsigned
preference_of(const struct exchange *exchange, size_t address)
{
	return exchange->hosts[exchange->addresses[address].host].preference;
}

/*
 * Of those that may be tried one of the best preference, with the fewest lines:
 * hosts of one preference share the load (RFC 5321 5.1) all the time, not only
 * when their names are looked up.
 */
static bool
pick_address(struct destination *destination, int64_t now_ms, size_t *at_out)
{
	const struct exchange *exchange = destination->exchange;
	unsigned counts[EXCHANGE_ADDRESSES_MAX] = { 0 };
	size_t best = exchange->address_count, i;
	const struct line *line;

	TAILQ_FOREACH(line, &destination->lines, in_destination)
		counts[line->address]++;
	for (i = 0; i < exchange->address_count; i++) {
		if (best < i &&
		    preference_of(exchange, i) != preference_of(exchange, best))
			break;
		if (!breaker_is_open(&destination->breakers[i], now_ms) &&
		    (best == exchange->address_count ||
			counts[i] < counts[best]))
			best = i;
	}
	if (best == exchange->address_count)
		return false;
	*at_out = best;
	return breaker_try(&destination->breakers[best], now_ms);
}

static void
open_line(struct destination *destination, size_t address)
{
	struct spawner *spawner = destination->spawner;
	struct line *line = xcalloc(1, sizeof(*line));

	line->destination = destination;
	line->address = address;
	line->state = LINE_OPENING;
	TAILQ_INSERT_HEAD(&destination->lines, line, in_destination);
	count_line(line, 1);
	destination->opening_count++;
	spawner->opening_count++;
	post_line(line, spawner->openers, open_session, line_opened);
}

/* -- a job on a line */

/* In a thread. */
static void
send_task(struct work *work)
{
	struct line *line = (struct line *)work;
	struct task *task = line->task;
	const struct shared_plan *plan = line->destination->plan;
	const struct session_message message = task_message(task);

	session_send(line->session, &message, task->results);
	line->has_failed = !session_is_usable(line->session);
	elsewhere_send(plan->rules->rules, &plan->plan, line->address,
	    &message, task->results);
}

/* The connection had gone, or went before the peer had anything of it. */
static bool
has_gone(const struct line *line)
{
	const struct task *task = line->task;

	if (!line->has_failed)
		return false;
	for (size_t i = 0; i < task->job.recipient_count; i++) {
		const struct session_result *its = &task->results[i];

		if (its->stage > STAGE_MAIL ||
		    its->outcome != SESSION_TEMPFAIL ||
		    (its->reply.code != 0 && its->reply.code != 421))
			return false;
	}
	return true;
}

/* For operators. */
static void
count_results(struct destination *destination, const struct task *task)
{
	size_t i;

	destination->counts.messages++;
	for (i = 0; i < task->job.recipient_count; i++)
		switch (task->results[i].outcome) {
		case SESSION_DELIVERED:
			destination->counts.delivered++;
			break;
		case SESSION_TEMPFAIL:
			destination->counts.deferred++;
			break;
		case SESSION_PERMFAIL:
			destination->counts.failed++;
			break;
		}
	set_text(&destination->last_reply, task->results[i - 1].text);
}

/* What the replies say of the destination. */
static void
learn(struct line *line)
{
	struct destination *destination = line->destination;
	const struct task *task = line->task;
	int64_t now_ms = clock_ms();
	const char *logged = "";
	size_t i;

	for (i = 0; i < task->job.recipient_count; i++) {
		const struct session_result *result = &task->results[i];
		struct reply_judgement judgement;

		if (result->outcome == SESSION_DELIVERED)
			continue;
		set_text(&destination->last_text, result->text);
		judgement = reply_judge(&result->reply);
		/* One line for recipients who were answered the same. */
		if (strcmp(result->reply.text, logged) != 0)
			log_refusal(line, &result->reply, &judgement,
			    &task->job.uuid);
		logged = result->reply.text;
		heed(destination, &result->reply, &judgement);
		if (judgement.action == REPLY_ACTION_SUSPEND)
			rest(destination,
			    now_ms + (int64_t)judgement.action_s * 1000);
	}
	if (task->results[0].outcome == SESSION_DELIVERED)
		window_succeeded(&destination->window, now_ms);
}

static void
release_results(struct task *task)
{
	size_t i;

	for (i = 0; i < task->job.recipient_count; i++)
		session_result_release(&task->results[i]);
}

/* The window became smaller: those that end a message go, to this many. */
static bool
has_too_many_lines(const struct destination *destination)
{
	unsigned most = window_size(&destination->window), count = 0;
	const struct line *line;

	if (destination->line_count > most)
		TAILQ_FOREACH(line, &destination->lines, in_destination)
			count += line->state != LINE_CLOSING;
	return count > most;
}

static void
task_sent(struct work *work)
{
	struct line *line = (struct line *)work;
	struct destination *destination = line->destination;
	struct task *task = line->task;
	bool is_gone = has_gone(line);

	destination->spawner->underway--;
	destination->busy_count--;
	/* One that greets and goes is as one that does not greet. */
	if (is_gone && !line->has_sent && task->results[0].reply.code == 0)
		count_failure(line, STAGE_MAIL, task->results[0].text);
	line->has_sent = true;
	if (is_gone && task->lane->destination == destination &&
	    task->tries < TRIES_A_JOB) {
		release_results(task);
		TAILQ_INSERT_HEAD(&task->lane->tasks, task, in_lane);
		destination->waiting_count++;
	} else {
		count_results(destination, task);
		learn(line);
		task_done(task);
	}
	line->task = NULL;
	line->state = LINE_IDLE;
	line->idle_since_ms = clock_ms();
	if (line->has_failed || destination->is_retired ||
	    has_too_many_lines(destination))
		close_line(line);
	destination_run(destination);
}

/* The first task of the lane whose turn it is; there is one. */
static struct task *
next_task(struct destination *destination)
{
	struct lane_hand *lane = TAILQ_FIRST(&destination->lanes);
	struct task *task;

	while (TAILQ_EMPTY(&lane->tasks))
		lane = TAILQ_NEXT(lane, in_place);
	task = TAILQ_FIRST(&lane->tasks);
	TAILQ_REMOVE(&lane->tasks, task, in_lane);
	destination->waiting_count--;
	TAILQ_REMOVE(&destination->lanes, lane, in_place);
	TAILQ_INSERT_TAIL(&destination->lanes, lane, in_place);
	return task;
}

static struct line *
find_idle_line(struct destination *destination)
{
	struct line *line;

	TAILQ_FOREACH(line, &destination->lines, in_destination)
		if (line->state == LINE_IDLE)
			return line;
	return NULL;
}

/* Its host has closed it, or speaks without having been asked. */
static void
drop_line(struct line *line)
{
	const struct exchange *exchange = line->destination->exchange;
	size_t host = exchange->addresses[line->address].host;
	char *text;

	if (!line->has_sent) {
		text = xasprintf("Connected to %s but the connection was of no "
				 "use before a message. (#4.4.2)\n",
		    exchange->hosts[host].name);
		count_failure(line, STAGE_HELO, text);
		free(text);
	}
	close_line(line);
}

/* The same, which can be used; those that cannot are closed. */
static struct line *
find_usable_line(struct destination *destination)
{
	struct line *line;

	while ((line = find_idle_line(destination)) != NULL &&
	    !session_is_usable(line->session))
		drop_line(line);
	return line;
}

static void
assign_tasks(struct destination *destination, int64_t now_ms)
{
	struct line *line;

	while (destination->waiting_count > 0 &&
	    (line = find_usable_line(destination)) != NULL) {
		int64_t wait_ms = bucket_take(&destination->bucket, now_ms);

		if (wait_ms > 0) {
			destination->waits_until_ms = now_ms + wait_ms;
			return;
		}
		line->task = next_task(destination);
		line->task->tries++;
		line->state = LINE_BUSY;
		destination->busy_count++;
		post_line(
		    line, destination->spawner->senders, send_task, task_sent);
	}
}

/* -- what a destination needs */

/* One that has waited longest of what nobody uses, for another destination. */
static void
close_an_idle_line(struct spawner *spawner)
{
	struct destination *destination;
	struct line *line;

	TAILQ_FOREACH(destination, &spawner->destinations, in_spawner) {
		line = destination->waiting_count > 0
		    ? NULL
		    : find_idle_line(destination);
		if (line != NULL) {
			close_line(line);
			return;
		}
	}
}

static bool
has_slot(const struct spawner *spawner)
{
	return spawner->line_count < spawner->slots &&
	    spawner->opening_count < spawner->openings_max;
}

/* May one more connection be made?  If not, it is wanted later. */
static bool
take_slot(struct destination *destination)
{
	struct spawner *spawner = destination->spawner;

	if (has_slot(spawner))
		return true;
	if (spawner->line_count >= spawner->slots)
		close_an_idle_line(spawner);
	if (!destination->is_wanting) {
		destination->is_wanting = true;
		TAILQ_INSERT_TAIL(&spawner->wanting, destination, in_wanting);
	}
	return false;
}

/* As many lines as the window and the work allow. */
static void
open_lines(struct destination *destination, int64_t now_ms)
{
	unsigned most = window_size(&destination->window), wanted;
	size_t address;

	wanted = destination->busy_count + destination->waiting_count;
	if (wanted == 0 && destination->lane_count > 0)
		wanted = 1;
	/* Until one has greeted, one tries. */
	if (!destination->has_greeted || wanted < 1)
		most = 1;
	if (wanted < most)
		most = wanted;
	while (destination->line_count < most &&
	    !destination->spawner->is_stopping) {
		if (!take_slot(destination))
			return;
		if (!pick_address(destination, now_ms, &address))
			return;
		open_line(destination, address);
	}
}

/* When the first of its addresses may be tried again. */
static int64_t
first_rest_ends(const struct destination *destination)
{
	int64_t first = INT64_MAX;
	size_t i;

	for (i = 0; i < destination->exchange->address_count; i++)
		if (destination->breakers[i].rests_until_ms < first)
			first = destination->breakers[i].rests_until_ms;
	return first;
}

static bool
has_address(const struct destination *destination, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < destination->exchange->address_count; i++)
		if (!breaker_is_open(&destination->breakers[i], now_ms))
			return true;
	return false;
}

/* Room for what the lines can send soon, shared by the lanes. */
static void
share_room(struct destination *destination)
{
	unsigned open = destination->line_count - destination->opening_count,
		 most = window_size(&destination->window), share, room;
	struct lane_hand *lane;

	if (open == 0 || destination->lane_count == 0)
		return;
	/* One more than there are: it is opened when there is work for it. */
	share = (open < most ? open + 1 : open) * JOBS_AHEAD;
	share = (share + destination->lane_count - 1) / destination->lane_count;
	for (room = 1; room < share; room *= 2)
		continue; /* told in few steps */
	TAILQ_FOREACH(lane, &destination->lanes, in_place)
		if (lane->room != room)
			lane_give_room(lane, room);
}

/* What was learned of its addresses counts no more. */
static void
try_again(struct destination *destination)
{
	destination->rests_until_ms = 0;
	for (size_t i = 0; i < destination->exchange->address_count; i++)
		if (!destination->breakers[i].is_probing)
			destination->breakers[i] = (struct breaker){ 0 };
}

/* A lane was to be tried while connections that have failed now were opened. */
static bool
take_wish(struct destination *destination)
{
	struct lane_hand *lane;
	bool is_wanted = false;

	TAILQ_FOREACH(lane, &destination->lanes, in_place) {
		is_wanted |= lane->wish != JOB_WISH_NONE;
		lane->wish = JOB_WISH_NONE;
	}
	return is_wanted;
}

void
destination_run(struct destination *destination)
{
	int64_t now_ms = clock_ms();
	struct lane_hand *lane;

	if (is_resting(destination, now_ms)) {
		while ((lane = TAILQ_FIRST(&destination->lanes)) != NULL)
			lane_rest(lane, destination->rests_until_ms - now_ms,
			    destination->last_text);
		return;
	}
	assign_tasks(destination, now_ms);
	open_lines(destination, now_ms);
	if (destination->line_count == 0 && destination->lane_count > 0 &&
	    !destination->is_wanting && !has_address(destination, now_ms)) {
		destination->has_greeted = false;
		window_restart(&destination->window);
		if (take_wish(destination)) {
			try_again(destination);
			destination_run(destination);
			return;
		}
		rest(destination, first_rest_ends(destination));
		return;
	}
	share_room(destination);
}

static void
note_name(struct destination *destination, const char *name)
{
	if (strlist_has(&destination->names, name))
		return;
	if (destination->names.count < OPERATE_DOMAINS_MAX)
		strlist_add(&destination->names, name);
	else
		destination->has_more_names = true;
}

static void
keep_to_limit(struct destination *destination)
{
	const struct destination_limit *limit = &destination->limit;
	struct line *line;

	if (limit->connections != 0)
		window_limit(&destination->window, limit->connections);
	if (limit->per_second != 0)
		bucket_limit(
		    &destination->bucket, limit->per_second, clock_ms(), 0);
	while (has_too_many_lines(destination) &&
	    (line = find_idle_line(destination)) != NULL)
		close_line(line);
}

/* What the operator says of the domain counts for all others, too. */
static void
note_limit(struct destination *destination, const struct domain *domain)
{
	const struct rules *rules = domain->plan->rules->rules;
	const char *line = domain_lines_find(
	    settings_list(rules_settings(rules), SETTING_destinationlimits),
	    domain->name);
	struct destination_limit its, *limit = &destination->limit;

	if (line == NULL || !destination_limit_read(line, &its))
		return;
	if (limit->connections == 0 || its.connections < limit->connections)
		limit->connections = its.connections;
	if (its.per_second != 0 &&
	    (limit->per_second == 0 || its.per_second < limit->per_second))
		limit->per_second = its.per_second;
	keep_to_limit(destination);
}

/* A few short reads and writes, when somebody says so. */
static void
forget_hosts(struct destination *destination)
{
	plan_forget_hosts(
	    destination->plan->rules->rules, &destination->plan->plan);
}

void
destination_reset(struct destination *destination)
{
	window_init(&destination->window, destination->spawner->slots);
	destination->bucket = (struct bucket){ 0 };
	keep_to_limit(destination);
	destination->waits_until_ms = 0;
	try_again(destination);
	forget_hosts(destination);
	destination_run(destination);
}

void
destination_add_lane(struct lane_hand *lane)
{
	struct destination *destination = get_destination(
	    lane->domain->spawner, lane->domain->plan);
	struct task *task;

	lane->destination = destination;
	note_name(destination, lane->domain->name);
	note_limit(destination, lane->domain);
	destination->idle_since_ms = clock_ms();
	if (lane->wish != JOB_WISH_NONE)
		try_again(destination);
	if (lane->wish == JOB_WISH_ANYWAY)
		forget_hosts(destination);
	lane->wish = JOB_WISH_NONE;
	TAILQ_INSERT_TAIL(&destination->lanes, lane, in_place);
	destination->lane_count++;
	TAILQ_FOREACH(task, &lane->tasks, in_lane)
		destination->waiting_count++;
	destination_run(destination);
}

void
destination_remove_lane(struct lane_hand *lane)
{
	struct destination *destination = lane->destination;
	struct task *task;

	TAILQ_FOREACH(task, &lane->tasks, in_lane)
		destination->waiting_count--;
	TAILQ_REMOVE(&destination->lanes, lane, in_place);
	destination->lane_count--;
	lane->destination = NULL;
}

void
destination_count_task(struct destination *destination)
{
	destination->waiting_count++;
	destination_run(destination);
}

/* -- time */

/* Lines without work are closed; of a destination without any, lanes too. */
static void
let_go(struct destination *destination, int64_t now_ms)
{
	int64_t idle_ms = destination->spawner->idle_ms;
	struct lane_hand *lane, *next_lane;
	struct line *line;

	if (now_ms - destination->idle_since_ms >= idle_ms)
		for (lane = TAILQ_FIRST(&destination->lanes); lane != NULL;
		     lane = next_lane) {
			next_lane = TAILQ_NEXT(lane, in_place);
			lane_give_room(lane, 0);
		}
	/* Those that open lanes wait for stay. */
	TAILQ_FOREACH(line, &destination->lines, in_destination)
		if (line->state == LINE_IDLE &&
		    now_ms - line->idle_since_ms >= idle_ms &&
		    (destination->lane_count == 0 ||
			destination->busy_count > 0))
			close_line(line);
}

/* They stay where they are when their names say so again. */
static void
place_old_lanes(struct destination *destination, int64_t now_ms)
{
	struct lane_hand *lane, *next;

	for (lane = TAILQ_FIRST(&destination->lanes); lane != NULL;
	     lane = next) {
		next = TAILQ_NEXT(lane, in_place);
		if (domain_is_old(lane->domain, now_ms)) {
			domain_take_lane(lane);
			domain_place_lane(lane);
		}
	}
}

static void
tick_destination(struct destination *destination, int64_t now_ms)
{
	place_old_lanes(destination, now_ms);
	if (destination->waits_until_ms != 0 &&
	    now_ms >= destination->waits_until_ms) {
		destination->waits_until_ms = 0;
		destination_run(destination);
	}
	if (destination->busy_count + destination->waiting_count +
		destination->opening_count >
	    0)
		destination->idle_since_ms = now_ms;
	let_go(destination, now_ms);
	if (destination->line_count == 0 && destination->lane_count == 0 &&
	    (destination->is_retired ||
		(now_ms >= destination->rests_until_ms &&
		    now_ms - destination->idle_since_ms >=
			DESTINATION_IDLE_MS)))
		free_destination(destination);
}

void
destinations_tick(struct spawner *spawner, int64_t now_ms)
{
	struct destination *destination, *next;

	for (destination = TAILQ_FIRST(&spawner->destinations);
	     destination != NULL; destination = next) {
		next = TAILQ_NEXT(destination, in_spawner);
		tick_destination(destination, now_ms);
	}
}

void
destination_retire(struct destination *destination)
{
	struct line *line;

	if (!destination->is_retired)
		tdelete(destination, &destination->spawner->destinations_by_key,
		    compare_destinations);
	destination->is_retired = true;
	/* At once: nothing that comes now goes by the old rules. */
	place_old_lanes(destination, clock_ms());
	TAILQ_FOREACH(line, &destination->lines, in_destination)
		if (line->state == LINE_IDLE)
			close_line(line);
}

void
destinations_retire(struct spawner *spawner)
{
	struct destination *destination;

	TAILQ_FOREACH(destination, &spawner->destinations, in_spawner)
		destination_retire(destination);
}

/* No more of them than there are slots: the others would only wait again. */
void
destinations_run_wanting(struct spawner *spawner)
{
	struct destination *destination;

	while ((destination = TAILQ_FIRST(&spawner->wanting)) != NULL &&
	    has_slot(spawner)) {
		TAILQ_REMOVE(&spawner->wanting, destination, in_wanting);
		destination->is_wanting = false;
		destination_run(destination);
	}
	if (destination != NULL && spawner->line_count >= spawner->slots)
		close_an_idle_line(spawner);
}

void
destinations_close(struct spawner *spawner)
{
	struct destination *destination;
	struct line *line;

	TAILQ_FOREACH(destination, &spawner->destinations, in_spawner)
		TAILQ_FOREACH(line, &destination->lines, in_destination)
			if (line->state == LINE_IDLE)
				close_line(line);
}
