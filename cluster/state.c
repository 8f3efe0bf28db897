/* SPDX-License-Identifier: ISC */
/* What clusterd knows, for its threads. */
#include "cluster/state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "control/json_text.h"

const char *
hold_name(enum hold hold)
{
	switch (hold) {
	case HOLD_HELD:
		return "held";
	case HOLD_REFUSED:
		return "refused";
	case HOLD_WAITING:
		break;
	}
	return "waiting";
}

struct state *
state_new(const struct home *home, struct error *err)
{
	struct state *state = xcalloc(1, sizeof(*state));
	pthread_condattr_t attributes;

	state->home = home;
	uuid_make(&state->instance);
	pthread_mutex_init(&state->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&state->files, &attributes);
	pthread_condattr_destroy(&attributes);
	state->lease_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	state->follow_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	state->bus_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (state->lease_fd == -1 || state->follow_fd == -1 ||
	    state->bus_fd == -1) {
		error_sys(err, "cannot make an eventfd");
		state_free(&state);
	} else if (cluster_boot_id(state->boot, err) == -1)
		state_free(&state);
	return state;
}

void
member_release(struct member *member)
{
	free(member->name);
	free(member->host);
	free(member->role);
	free(member->version);
	strlist_release(&member->pins);
	strlist_release(&member->keys);
	message_release(&member->last);
}

void
state_free(struct state **state_in)
{
	struct state *state = *state_in;

	if (state == NULL)
		return;
	for (size_t i = 0; i < state->member_count; i++)
		member_release(&state->members[i]);
	free(state->members);
	for (size_t i = 0; i < state->store_count; i++) {
		free(state->stores[i].name);
		free(state->stores[i].path);
	}
	free(state->stores);
	strlist_release(&state->domains);
	strlist_release(&state->reals);
	json_decref(state->health);
	cluster_identity_release(&state->identity);
	free(state->conninfo);
	free(state->listen_conninfo);
	free(state->bus_address);
	file_close(&state->lease_fd);
	file_close(&state->follow_fd);
	file_close(&state->bus_fd);
	pthread_cond_destroy(&state->files);
	pthread_mutex_destroy(&state->lock);
	free(state);
	*state_in = NULL;
}

void
state_wake(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) == -1)
		return; /* it is awake */
}

void
state_awake(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) == -1)
		return; /* something else woke it */
}

void
state_stop(struct state *state)
{
	state->is_stopping = true;
	state_wake(state->lease_fd);
	state_wake(state->follow_fd);
	state_wake(state->bus_fd);
	pthread_mutex_lock(&state->lock);
	pthread_cond_broadcast(&state->files);
	pthread_mutex_unlock(&state->lock);
}

struct member *
state_find_member(struct state *state, const char *name)
{
	for (size_t i = 0; i < state->member_count; i++)
		if (strcmp(state->members[i].name, name) == 0)
			return &state->members[i];
	return NULL;
}

/* -- who lives */

static bool
is_self(const struct state *state, const struct member *member)
{
	return strcmp(member->name, state->name) == 0;
}

static bool
member_lives(
    const struct state *state, const struct member *member, int64_t now_ms)
{
	int64_t heard_at_ms = member->heard_at_ms != 0 ? member->heard_at_ms
						       : member->known_at_ms;

	if (member->is_revoked)
		return false;
	if (strcmp(member->role, "legacy") == 0)
		return true;
	if (is_self(state, member))
		return state->hold == HOLD_HELD && now_ms < state->deadline_ms;
	if (member->heard_at_ms != 0 &&
	    now_ms - heard_at_ms <=
		test_time_ms("UNHEARD_MS", STATE_UNHEARD_MS))
		return true;
	/* Nothing was heard yet: it may be the one that is not connected. */
	if (member->heard_at_ms == 0 &&
	    now_ms - heard_at_ms <= STATE_UNHEARD_MS)
		return now_ms < member->lease_ends_ms;
	return now_ms < member->lease_ends_ms &&
	    member->renewed_at_ms > heard_at_ms + STATE_RENEWED_MS;
}

bool
state_judge_members(struct state *state, int64_t now_ms)
{
	bool is_news = false;

	for (size_t i = 0; i < state->member_count; i++) {
		struct member *member = &state->members[i];
		bool is_alive = member_lives(state, member, now_ms);

		if (member->is_alive == is_alive)
			continue;
		member->is_alive = is_alive;
		member->changed_at_ms = now_ms;
		is_news = true;
		log_line("node %s is %s", member->name,
		    is_alive ? "here" : member->is_revoked ? "revoked"
							   : "away");
	}
	if (is_news) {
		state->has_new_nodes = true;
		pthread_cond_broadcast(&state->files);
	}
	return is_news;
}

/* -- as JSON */

static json_t *
ago(int64_t now_ms, int64_t at_ms)
{
	return at_ms == 0 ? json_null() : json_integer(now_ms - at_ms);
}

json_t *
state_member_to_json(
    const struct state *state, const struct member *member, int64_t now_ms)
{
	json_t *object = json_pack(
	    "{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:o, s:I, s:o, "
	    "s:I, s:I, s:i, s:i, s:i, s:i}",
	    "name", member->name, "host", member->host, "role", member->role,
	    "version", member->version, "is_self", is_self(state, member),
	    "is_alive", member->is_alive, "is_revoked", member->is_revoked,
	    "is_draining", member->is_draining, "has_lease",
	    member->lease_ends_ms > now_ms, "changed_ms_ago",
	    ago(now_ms, member->changed_at_ms), "epoch",
	    (json_int_t)member->epoch, "heard_ms_ago",
	    ago(now_ms, member->heard_at_ms), "received",
	    (json_int_t)member->received, "missed",
	    (json_int_t)member->missed, "smtp_port", (int)member->smtp_port,
	    "imap_port", (int)member->imap_port, "pop3_port",
	    (int)member->pop3_port, "bus_port", (int)member->bus_port);
	json_t *health = is_self(state, member) ? state->health
						: member->last.health;

	if (health != NULL)
		json_object_set(object, "health", health);
	return object;
}

static json_t *
stores_to_json(const struct state *state, int64_t now_ms)
{
	json_t *stores = json_array();

	for (size_t i = 0; i < state->store_count; i++)
		json_array_append_new(stores,
		    json_pack("{s:s, s:I, s:I, s:o}", "store",
			state->stores[i].name, "epoch",
			(json_int_t)state->stores[i].epoch, "left_ms",
			(json_int_t)(state->deadline_ms - now_ms), "path",
			json_text(state->stores[i].path)));
	return stores;
}

json_t *
state_to_json(struct state *state, int64_t now_ms)
{
	char instance[UUID_TEXT_SIZE];
	json_t *dropped = json_object();

	uuid_format(&state->instance, instance);
	for (int i = MESSAGE_FINE + 1; i < MESSAGE_FAULT_COUNT; i++)
		json_object_set_new(dropped,
		    message_fault_name((enum message_fault)i),
		    json_integer((json_int_t)state->faults[i]));
	return json_pack(
	    "{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:{s:s, s:I, s:o, s:s, s:I},"
	    " s:o, s:I, s:{s:I, s:o, s:o}, s:i}",
	    "node", state->name, "lease", hold_name(state->hold),
	    "instance", instance, "epoch", (json_int_t)state->epoch, "left_ms",
	    state->hold == HOLD_HELD
		? json_integer(state->deadline_ms - now_ms)
		: json_null(),
	    "reason", json_text(state->reason), "stores",
	    stores_to_json(state, now_ms), "database", "state",
	    state->has_database ? "up" : "away", "since_ms",
	    (json_int_t)(now_ms - state->database_since_ms), "reason",
	    json_text(state->database_reason), "host", state->database_host,
	    "clock_ahead_ms", (json_int_t)state->clock_ahead_ms,
	    "rows_ms_ago", ago(now_ms, state->rows_at_ms), "domains",
	    (json_int_t)state->domain_count, "bus", "sent",
	    (json_int_t)state->sent, "reason", json_text(state->bus_reason),
	    "dropped", dropped, "nodes", (int)state->member_count);
}
