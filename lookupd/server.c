/* SPDX-License-Identifier: ISC */
/* lookupd's loop. */
#include "lookupd/server.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/packet_server.h"
#include "lookupd/cache.h"

enum {
	CLIENTS_MAX = 4096,
	/* Of one client, unanswered; then nothing more is taken from it. */
	QUESTIONS_MAX = 1024,
	UNSENT_BYTES_MAX = 4 * 1024 * 1024,
	TICK_MS = 50,
	/* What is known from before need not wait longer for the database. */
	STALE_WAIT_MS = 250,
	PENDING_BUCKETS = 4096,
	LATENCY_BUCKETS = 24 /* below 1, 2, 4, ... us */
};

struct client {
	struct packet_client base; /* first; each unanswered request holds it */
	size_t questions;          /* in them */
	bool may_ask_passwords;
};

/* Somebody who waits for an answer. */
struct waiter {
	LIST_ENTRY(waiter) in_miss;
	struct request *request;
	size_t index;
	struct miss *miss; /* NULL: answered */
};

/* A client's request that could not be answered at once. */
struct request {
	TAILQ_ENTRY(request) in_server;
	struct client *client;
	uint32_t id;
	int64_t began_us;
	int64_t deadline_ms, give_up_ms, stale_ms;
	size_t count, left;
	struct query_answer *answers; /* with records of their own */
	struct waiter *waiters;
	struct query *queries; /* texts in storage */
	struct buf storage;
};

/* A question that is asked of the database, for all who wait for it. */
struct miss {
	struct fetch fetch; /* first: it comes back */
	LIST_ENTRY(miss) in_bucket;
	LIST_ENTRY(miss) in_server;
	LIST_HEAD(, waiter) waiters;
	struct cache_key key;
	uint32_t generation;
	bool is_listed; /* in a bucket: others may join */
	bool is_void;   /* the key changed meanwhile: not to be remembered */
	struct buf storage; /* of the query's texts */
};

struct figures {
	uint64_t packets; /* requests: what clients waited for */
	uint64_t queries[QUERY_KIND_COUNT];
	uint64_t hits, misses, joined, stale, snapshot, unknown, expired;
	uint64_t latency[LATENCY_BUCKETS];
};

struct lookup_server {
	struct packet_server clients; /* first: they lead back to it */
	struct database *database;
	struct lookup_server_options options;
	char *folder;
	struct loop_source database_source;
	struct cache *cache;
	struct snapshot *snapshot; /* or NULL */
	TAILQ_HEAD(, request) requests; /* in the order in which they came */
	LIST_HEAD(, miss) misses;
	LIST_HEAD(, miss) pending[PENDING_BUCKETS];
	int64_t began_ms;
	struct figures figures;
	struct query_request asked;  /* the packet in hand */
	struct query_answer answers[QUERY_COUNT_MAX];
	struct buf records[QUERY_COUNT_MAX]; /* those from the snapshot */
	char packet[PACKET_MAX];
};

/* -- what is known without the database */

static int64_t
ttl_ms(const struct lookup_server *server, enum query_state state)
{
	int64_t found_ms = server->options.ttl_ms;
	int64_t absent_ms = server->options.absent_ttl_ms;

	if (state == QUERY_FOUND && database_is_followed(server->database))
		return found_ms;
	if (state == QUERY_FOUND)
		return found_ms < absent_ms ? found_ms : absent_ms;
	/* Who was added unseen is not absent. */
	return database_is_followed(server->database) ? absent_ms : 0;
}

static void
set_answer(struct query_answer *answer, enum query_state state,
    enum query_source source, uint64_t age_ms, const char *record,
    size_t length)
{
	*answer = (struct query_answer){ state, source, age_ms, record,
		length };
}

/* A question of the cache: true when it knows, and may be believed. */
static bool
answer_from_cache(struct lookup_server *server, const struct cache_key *key,
    struct query_answer *answer)
{
	struct cache_found found;

	if (!cache_find(server->cache, key, clock_ms(), &found) ||
	    found.is_stale ||
	    (int64_t)found.age_ms >= ttl_ms(server, found.state))
		return false;
	set_answer(answer, found.state, QUERY_FROM_CACHE, found.age_ms,
	    found.record, found.length);
	return true;
}

/*
 * A user's filters that the snapshot does not have: it has the user, who had
 * none then.  Where mail is sorted to may be of that time, too.
 */
static bool
is_without_filters(const struct snapshot *snapshot, const struct query *query,
    struct buf *storage)
{
	struct error ignored;

	return query->kind == QUERY_FILTERS &&
	    snapshot_find(snapshot, QUERY_USER, query->local, query->domain,
		storage, &ignored) == 1;
}

/*
 * While the database does not answer: what was known of it.  Never "absent" of
 * what may have come meanwhile.  storage may be where the record lies.
 */
static bool
answer_from_before(struct lookup_server *server, const struct query *query,
    const struct cache_key *key, struct buf *storage,
    struct query_answer *answer)
{
	struct cache_found found;
	enum query_state state;
	struct error ignored;
	int64_t age_s;

	if (cache_find(server->cache, key, clock_ms(), &found) &&
	    found.state == QUERY_FOUND) {
		server->figures.stale++;
		set_answer(answer, QUERY_FOUND, QUERY_FROM_CACHE,
		    found.age_ms, found.record, found.length);
		return true;
	}
	if (server->snapshot == NULL)
		return false;
	age_s = time(NULL) - snapshot_at_s(server->snapshot);
	buf_reset(storage);
	if (snapshot_find(server->snapshot, query->kind, query->local,
		query->domain, storage, &ignored) == 1) {
		if (storage->length > QUERY_RECORD_MAX)
			return false;
		state = QUERY_FOUND;
	} else if (is_without_filters(server->snapshot, query, storage)) {
		buf_reset(storage);
		state = QUERY_ABSENT;
	} else
		return false;
	server->figures.snapshot++;
	set_answer(answer, state, QUERY_FROM_SNAPSHOT,
	    age_s > 0 ? (uint64_t)age_s * 1000 : 0, storage->data,
	    storage->length);
	return true;
}

static void
set_unknown_answer(struct query_answer *answer, const char *reason)
{
	set_answer(answer, QUERY_UNKNOWN, QUERY_FROM_NOWHERE, 0, reason,
	    strnlen(reason, QUERY_RECORD_MAX));
}

/* -- clients */

static struct lookup_server *
server_of(const struct client *client)
{
	return (struct lookup_server *)client->base.server;
}

static void
client_watch(struct client *client)
{
	packet_client_watch(&client->base, client->questions < QUESTIONS_MAX);
}

static void
note_latency(struct lookup_server *server, int64_t began_us, size_t count)
{
	int64_t took_us = clock_us() - began_us;
	unsigned bucket = 0;

	while (bucket < LATENCY_BUCKETS - 1 && took_us >= (INT64_C(1) << bucket))
		bucket++;
	server->figures.latency[bucket] += count;
}

static void
send_answers(struct client *client, uint32_t id,
    const struct query_answer *answers, size_t count)
{
	for (size_t first = 0; first < count;)
		first += query_put_answers(
		    outbox_add(&client->base.outbox), id, first, answers, count);
}

/* False: the client has gone, or takes nothing. */
static bool
flush_client(struct client *client)
{
	return outbox_send(&client->base.outbox, client->base.source.fd) &&
	    outbox_bytes(&client->base.outbox) <= UNSENT_BYTES_MAX;
}

/* -- requests that wait */

static void
request_free(struct request *request)
{
	for (size_t i = 0; i < request->count; i++) {
		if (request->waiters[i].miss != NULL)
			LIST_REMOVE(&request->waiters[i], in_miss);
		free((void *)(uintptr_t)request->answers[i].record);
	}
	TAILQ_REMOVE(&server_of(request->client)->requests, request, in_server);
	free(request->answers);
	free(request->waiters);
	free(request->queries);
	buf_release(&request->storage);
	free(request);
}

/* All is known, or the rest need not be; nothing of it is left. */
static void
request_end(struct request *request, bool is_answered)
{
	struct client *client = request->client;
	bool is_well = true;

	client->base.holds--;
	client->questions -= request->count;
	if (is_answered && !client->base.is_gone) {
		send_answers(
		    client, request->id, request->answers, request->count);
		note_latency(
		    server_of(client), request->began_us, request->count);
		is_well = flush_client(client);
	}
	request_free(request);
	if (client->base.is_gone || !is_well)
		packet_client_leave(&client->base);
	else
		client_watch(client);
}

/* Copies an answer to where it waits for the others. */
static void
keep_answer(
    struct request *request, size_t index, const struct query_answer *answer)
{
	struct waiter *waiter = &request->waiters[index];
	char *record = xmalloc(answer->length + 1);

	memcpy(record, answer->record, answer->length);
	request->answers[index] = *answer;
	request->answers[index].record = record;
	if (waiter->miss != NULL)
		LIST_REMOVE(waiter, in_miss);
	waiter->miss = NULL;
	request->left--;
	if (answer->state == QUERY_UNKNOWN)
		server_of(request->client)->figures.unknown++;
}

/* -- questions to the database */

static const char *
copy_text(struct buf *storage, const char *text)
{
	const char *copy = storage->data + storage->length;

	buf_add(storage, text, strlen(text) + 1);
	return copy;
}

/* The query with texts of its own, all in storage. */
static void
copy_query(
    struct buf *storage, const struct query *query, struct query *copy_out)
{
	buf_reserve(storage,
	    strlen(query->local) + strlen(query->domain) + strlen(query->ip) +
		strlen(query->service) + 4);
	*copy_out = *query;
	copy_out->local = copy_text(storage, query->local);
	copy_out->domain = copy_text(storage, query->domain);
	copy_out->ip = copy_text(storage, query->ip);
	copy_out->service = copy_text(storage, query->service);
}

static struct miss *
find_miss(struct lookup_server *server, const struct cache_key *key)
{
	struct miss *miss;

	LIST_FOREACH(
	    miss, &server->pending[key->hash % PENDING_BUCKETS], in_bucket)
		if (miss->key.length == key->length &&
		    memcmp(miss->key.bytes, key->bytes, key->length) == 0)
			break;
	return miss;
}

static struct miss *
miss_new(struct lookup_server *server, const struct query *query,
    const struct cache_key *key)
{
	struct miss *miss = xcalloc(1, sizeof(*miss));

	LIST_INIT(&miss->waiters);
	buf_init(&miss->storage);
	buf_init(&miss->fetch.record);
	copy_query(&miss->storage, query, &miss->fetch.query);
	miss->key = *key;
	miss->generation = cache_generation(server->cache);
	LIST_INSERT_HEAD(&server->misses, miss, in_server);
	miss->is_listed = query_kind_is_kept(query->kind);
	if (miss->is_listed)
		LIST_INSERT_HEAD(
		    &server->pending[key->hash % PENDING_BUCKETS], miss,
		    in_bucket);
	if (query->kind == QUERY_LOGIN && miss->fetch.query.number == 0)
		miss->fetch.query.number = (uint64_t)time(NULL);
	return miss;
}

static void
miss_unlist(struct miss *miss)
{
	if (miss->is_listed)
		LIST_REMOVE(miss, in_bucket);
	miss->is_listed = false;
}

static void
miss_free(struct miss *miss)
{
	assert(LIST_EMPTY(&miss->waiters));
	miss_unlist(miss);
	LIST_REMOVE(miss, in_server);
	if (miss->fetch.record.data != NULL)
		explicit_bzero(
		    miss->fetch.record.data, miss->fetch.record.length);
	buf_release(&miss->fetch.record);
	buf_release(&miss->storage);
	free(miss);
}

/* The waiter's question is asked, or is already. */
static void
wait_for_database(struct lookup_server *server, struct waiter *waiter,
    const struct query *query, const struct cache_key *key)
{
	struct miss *miss = query_kind_is_kept(query->kind)
	    ? find_miss(server, key)
	    : NULL;

	server->figures.misses++;
	if (miss != NULL)
		server->figures.joined++;
	else {
		miss = miss_new(server, query, key);
		database_post(server->database, &miss->fetch);
	}
	waiter->miss = miss;
	LIST_INSERT_HEAD(&miss->waiters, waiter, in_miss);
}

/* Answers one of those who wait, and what was waiting for it alone. */
static void
answer_waiter(struct waiter *waiter, const struct query_answer *answer)
{
	struct request *request = waiter->request;

	keep_answer(request, waiter->index, answer);
	if (request->left == 0)
		request_end(request, true);
}

/* It came back from the database. */
static void
miss_done(struct lookup_server *server, struct miss *miss)
{
	struct fetch *fetch = &miss->fetch;
	struct query_answer answer;
	struct waiter *waiter;
	AUTO(buf_release) struct buf storage = BUF_INIT;

	miss_unlist(miss);
	if (fetch->record.length > QUERY_RECORD_MAX) {
		fetch->state = QUERY_UNKNOWN;
		buf_reset(&fetch->record);
		buf_adds(&fetch->record, "too large an answer");
	}
	set_answer(&answer, fetch->state, fetch->source, 0,
	    fetch->record.data == NULL ? "" : fetch->record.data,
	    fetch->record.length);
	if (fetch->state != QUERY_UNKNOWN && !miss->is_void &&
	    !fetch->is_behind && query_kind_is_kept(fetch->query.kind))
		cache_put(server->cache, &miss->key, miss->generation,
		    fetch->state, answer.record, answer.length,
		    fetch->read_at_ms);
	if (fetch->state == QUERY_UNKNOWN &&
	    query_kind_is_kept(fetch->query.kind))
		answer_from_before(
		    server, &fetch->query, &miss->key, &storage, &answer);
	while ((waiter = LIST_FIRST(&miss->waiters)) != NULL)
		answer_waiter(waiter, &answer);
	miss_free(miss);
}

/* -- a packet */

/*
 * Answers at once; false: the database is to be asked.  storage is for what the
 * snapshot has.
 */
static bool
answer_now(struct lookup_server *server, const struct client *client,
    const struct query *query, const struct cache_key *key,
    struct buf *storage, struct query_answer *answer)
{
	server->figures.queries[query->kind]++;
	if (query->kind == QUERY_STATS) {
		buf_reset(storage);
		lookup_server_stats(server, storage);
		set_answer(answer, QUERY_FOUND, QUERY_FROM_CACHE, 0,
		    storage->data, storage->length);
		return true;
	}
	if (query->kind == QUERY_PASSWORD && !client->may_ask_passwords) {
		set_unknown_answer(answer, "not for this user");
		return true;
	}
	if (query->kind == QUERY_LOGIN && !client->may_ask_passwords) {
		set_unknown_answer(answer, "not for this user");
		return true;
	}
	if (!query_kind_is_kept(query->kind)) {
		if (query->kind == QUERY_LOGIN ||
		    database_health(server->database) != DATABASE_AWAY)
			return false;
		set_unknown_answer(answer, "the database is away");
		return true;
	}
	if (answer_from_cache(server, key, answer)) {
		server->figures.hits++;
		return true;
	}
	switch (database_health(server->database)) {
	case DATABASE_UP:
		return false;
	case DATABASE_STARTING:
		return answer_from_before(server, query, key, storage, answer);
	case DATABASE_AWAY:
		if (!answer_from_before(server, query, key, storage, answer)) {
			set_unknown_answer(answer, "the database is away");
			server->figures.unknown++;
		}
		return true;
	}
	return false;
}

static struct request *
request_new(struct client *client, const struct query_request *asked,
    int64_t began_us)
{
	struct lookup_server *server = server_of(client);
	struct request *request = xcalloc(1, sizeof(*request));
	int64_t now_ms = clock_ms();
	size_t bytes = 0;

	request->client = client;
	request->id = asked->id;
	request->began_us = began_us;
	request->deadline_ms = (int64_t)asked->deadline_ms;
	request->give_up_ms = now_ms + server->options.wait_ms;
	request->stale_ms = now_ms + STALE_WAIT_MS;
	request->count = request->left = asked->count;
	request->answers = xcalloc(asked->count, sizeof(*request->answers));
	request->waiters = xcalloc(asked->count, sizeof(*request->waiters));
	request->queries = xcalloc(asked->count, sizeof(*request->queries));
	for (size_t i = 0; i < asked->count; i++)
		bytes += strlen(asked->queries[i].local) +
		    strlen(asked->queries[i].domain) +
		    strlen(asked->queries[i].ip) +
		    strlen(asked->queries[i].service) + 4;
	buf_init(&request->storage);
	buf_reserve(&request->storage, bytes); /* it must not move */
	for (size_t i = 0; i < asked->count; i++) {
		request->waiters[i].request = request;
		request->waiters[i].index = i;
		copy_query(&request->storage, &asked->queries[i],
		    &request->queries[i]);
	}
	TAILQ_INSERT_TAIL(&server->requests, request, in_server);
	client->base.holds++;
	client->questions += request->count;
	return request;
}

/* Some of the questions are for the database. */
static void
begin_request(struct client *client, const bool *is_known, int64_t began_us)
{
	struct lookup_server *server = server_of(client);
	struct request *request = request_new(
	    client, &server->asked, began_us);

	for (size_t i = 0; i < request->count; i++)
		if (is_known[i])
			keep_answer(request, i, &server->answers[i]);
	for (size_t i = 0; i < request->count; i++) {
		const struct query *query = &request->queries[i];
		struct cache_key key;

		if (is_known[i])
			continue;
		cache_key_set(&key, query->kind, query->local, query->domain);
		wait_for_database(server, &request->waiters[i], query, &key);
	}
}

/* False when the packet is none of ours. */
static bool
take_packet(struct client *client, const char *packet, size_t length)
{
	struct lookup_server *server = server_of(client);
	struct query_request *asked = &server->asked;
	bool is_known[QUERY_COUNT_MAX];
	int64_t began_us = clock_us();
	size_t known = 0;

	if (!query_get_request(packet, length, asked))
		return false;
	server->figures.packets++;
	if (asked->deadline_ms != 0 &&
	    (int64_t)asked->deadline_ms <= began_us / 1000) {
		server->figures.expired += asked->count;
		return true; /* nobody waits any more */
	}
	for (size_t i = 0; i < asked->count; i++) {
		const struct query *query = &asked->queries[i];
		struct cache_key key;

		cache_key_set(&key, query->kind, query->local, query->domain);
		is_known[i] = answer_now(server, client, query, &key,
		    &server->records[i], &server->answers[i]);
		known += is_known[i];
	}
	if (known < asked->count)
		begin_request(client, is_known, began_us);
	else {
		send_answers(client, asked->id, server->answers, asked->count);
		note_latency(server, began_us, asked->count);
	}
	return true;
}

static void
client_ready(uint32_t events, void *context)
{
	struct client *client = context;
	struct lookup_server *server = server_of(client);
	int passed_fd;
	ssize_t n = -1;
	bool is_well = true;

	if ((events & ~(uint32_t)EPOLLOUT) != 0) {
		/* Another one that waits makes the loop come back. */
		n = packet_receive(client->base.source.fd, server->packet,
		    sizeof(server->packet), &passed_fd, MSG_DONTWAIT);
		if (n > 0 && passed_fd != -1)
			close(passed_fd);
		if (n > 0)
			is_well = take_packet(
			    client, server->packet, (size_t)n);
		else
			is_well = n == -1 && errno == EAGAIN;
	}
	is_well = is_well && flush_client(client);
	if (!is_well)
		packet_client_leave(&client->base);
	else if (client->base.outbox.count > 0 || (events & EPOLLOUT) != 0 ||
	    client->questions >= QUESTIONS_MAX)
		client_watch(client);
}

static bool
is_peer(const struct lookup_server *server, uid_t uid, size_t count)
{
	if (uid == 0 || uid == geteuid())
		return true;
	for (size_t i = 0; i < count; i++)
		if (server->options.peers[i] == uid)
			return true;
	return false;
}

static bool
admit_client(struct packet_client *base)
{
	struct client *client = (struct client *)base;
	const struct lookup_server *server = server_of(client);
	uid_t uid;
	pid_t pid;

	packet_refuse_fds(base->source.fd);
	if (packet_peer(base->source.fd, &uid, &pid) == -1 ||
	    !is_peer(server, uid, server->options.peer_count))
		return false;
	client->may_ask_passwords = is_peer(
	    server, uid, server->options.password_peer_count);
	return true;
}

/* -- what the database's threads bring */

static void
forget_key(struct lookup_server *server, enum query_kind kind,
    const char *name, const char *domain)
{
	struct cache_key key;
	struct miss *miss;

	if (strlen(name) > STORE_LOCAL_MAX || strlen(domain) > STORE_DOMAIN_MAX)
		return;
	cache_key_set(&key, kind, name, domain);
	cache_remove(server->cache, &key);
	miss = find_miss(server, &key);
	if (miss == NULL)
		return;
	/* It may be answered as of before; those who ask from now on not. */
	miss->is_void = true;
	miss_unlist(miss);
}

/* Those that were asked for before are not for who asks after the change. */
static void
unlist_domain(struct lookup_server *server, const char *domain)
{
	struct miss *miss;

	LIST_FOREACH(miss, &server->misses, in_server)
		if (domain == NULL ||
		    strcmp(miss->fetch.query.domain, domain) == 0) {
			miss->is_void = true;
			miss_unlist(miss);
		}
}

static void
apply_change(struct lookup_server *server, const struct change *change)
{
	switch (change->change) {
	case CHANGE_KEY:
		forget_key(server, change->kind, change->name, change->domain);
		/* Whether there are filters is in both records of a user. */
		if (change->kind == QUERY_FILTERS)
			forget_key(server, QUERY_USER, change->name,
			    change->domain);
		if (change->kind == QUERY_USER || change->kind == QUERY_FILTERS)
			forget_key(server, QUERY_PASSWORD, change->name,
			    change->domain);
		break;
	case CHANGE_DOMAIN:
		cache_remove_domain(server->cache, change->domain);
		unlist_domain(server, change->domain);
		break;
	case CHANGE_ALL:
		cache_distrust(server->cache);
		unlist_domain(server, NULL);
		break;
	}
}

static void
database_ready(uint32_t events, void *context)
{
	struct lookup_server *server = context;
	struct fetch_list done = TAILQ_HEAD_INITIALIZER(done);
	struct change_list changes = STAILQ_HEAD_INITIALIZER(changes);
	struct snapshot *snapshot = database_take_snapshot(server->database);
	struct change *change;
	struct fetch *fetch;

	(void)events;
	if (snapshot != NULL) {
		snapshot_free(&server->snapshot);
		server->snapshot = snapshot;
	}
	/* A change that is known makes no answer of before be remembered. */
	database_take_done(server->database, &done);
	database_take_changes(server->database, &changes);
	while ((change = STAILQ_FIRST(&changes)) != NULL) {
		STAILQ_REMOVE_HEAD(&changes, link);
		apply_change(server, change);
		change_free(change);
	}
	while ((fetch = TAILQ_FIRST(&done)) != NULL) {
		TAILQ_REMOVE(&done, fetch, link);
		miss_done(server, (struct miss *)fetch);
	}
}

/* -- time */

int
lookup_server_timeout_ms(const struct lookup_server *server)
{
	return TAILQ_EMPTY(&server->requests) ? -1 : TICK_MS;
}

/* What can be said of a question that waits; true: it was answered. */
static bool
answer_late(struct lookup_server *server, struct request *request, size_t i,
    bool gives_up)
{
	const struct query *query = &request->queries[i];
	AUTO(buf_release) struct buf storage = BUF_INIT;
	struct query_answer answer;
	struct cache_key key;
	bool is_known;

	cache_key_set(&key, query->kind, query->local, query->domain);
	is_known = query_kind_is_kept(query->kind) &&
	    answer_from_before(server, query, &key, &storage, &answer);
	if (!is_known && gives_up)
		set_unknown_answer(
		    &answer, "the database did not answer in time");
	if (is_known || gives_up)
		keep_answer(request, i, &answer);
	return is_known || gives_up;
}

/* A request waits for long: once for what is known, then for no more. */
static void
judge_late(struct lookup_server *server, struct request *request,
    int64_t now_ms)
{
	bool gives_up = now_ms >= request->give_up_ms ||
	    database_health(server->database) == DATABASE_AWAY;

	if (request->deadline_ms != 0 && now_ms >= request->deadline_ms) {
		server->figures.expired += request->left;
		request_end(request, false);
		return;
	}
	if (!gives_up && now_ms < request->stale_ms)
		return;
	request->stale_ms = INT64_MAX;
	for (size_t i = 0; i < request->count; i++)
		if (request->waiters[i].miss != NULL &&
		    /* Its answer is that it will be written. */
		    (request->queries[i].kind != QUERY_LOGIN ||
			now_ms >= request->give_up_ms))
			answer_late(server, request, i, gives_up);
	if (request->left == 0)
		request_end(request, true);
}

void
lookup_server_tick(struct lookup_server *server)
{
	struct request *request, *next;
	int64_t now_ms;

	if (TAILQ_EMPTY(&server->requests))
		return;
	now_ms = clock_ms();
	for (request = TAILQ_FIRST(&server->requests); request != NULL;
	     request = next) {
		next = TAILQ_NEXT(request, in_server);
		judge_late(server, request, now_ms);
	}
}

/* -- as a whole */

struct lookup_server *
lookup_server_new(struct loop *loop, struct database *database, int listen_fd,
    const struct lookup_server_options *options, struct error *err)
{
	struct lookup_server *server = xcalloc(1, sizeof(*server));
	struct error reason;

	server->clients = (struct packet_server){ .loop = loop,
		.client_size = sizeof(struct client),
		.clients_max = CLIENTS_MAX,
		.admit = admit_client,
		.ready = client_ready };
	server->database = database;
	server->options = *options;
	server->folder = xstrdup(options->folder);
	server->began_ms = clock_ms();
	LIST_INIT(&server->misses);
	TAILQ_INIT(&server->requests);
	server->cache = cache_new(options->cache_bytes, server->began_ms);
	if (snapshot_open(options->folder, &server->snapshot, &reason) == -1)
		log_line("warning: the snapshot cannot be used: %s",
		    reason.text);
	server->database_source = (struct loop_source){ database_fd(database),
		database_ready, server };
	if (packet_server_open(&server->clients, listen_fd, err) == 0 &&
	    loop_add(loop, &server->database_source, EPOLLIN, err) == 0)
		return server;
	cache_free(&server->cache);
	snapshot_free(&server->snapshot);
	free(server->folder);
	free(server);
	return NULL;
}

void
lookup_server_free(struct lookup_server **server_in)
{
	struct lookup_server *server = *server_in;
	struct request *request;
	struct miss *miss;

	if (server == NULL)
		return;
	packet_server_close(&server->clients);
	loop_remove(server->clients.loop, &server->database_source);
	database_free(&server->database);
	while ((request = TAILQ_FIRST(&server->requests)) != NULL)
		request_end(request, false);
	packet_server_end(&server->clients);
	while ((miss = LIST_FIRST(&server->misses)) != NULL)
		miss_free(miss);
	cache_free(&server->cache);
	snapshot_free(&server->snapshot);
	for (size_t i = 0; i < QUERY_COUNT_MAX; i++)
		buf_release(&server->records[i]);
	free(server->folder);
	free(server);
	*server_in = NULL;
}

void
lookup_server_clear(struct lookup_server *server)
{
	cache_clear(server->cache);
	unlist_domain(server, NULL);
}

static void
put_json_text(struct buf *out, const char *name, const char *text)
{
	buf_addf(out, ",\"%s\":\"", name);
	for (; *text != '\0'; text++)
		if (*text == '"' || *text == '\\')
			buf_addf(out, "\\%c", *text);
		else if ((unsigned char)*text >= ' ' &&
		    (unsigned char)*text < 127)
			buf_addc(out, *text);
	buf_addc(out, '"');
}

static void
put_figures(const struct lookup_server *server, struct buf *out)
{
	const struct figures *figures = &server->figures;
	const char *comma = "";

	buf_addf(out, ",\"packets\":%" PRIu64 ",\"queries\":{",
	    figures->packets);
	for (unsigned kind = 1; kind < QUERY_KIND_COUNT; kind++) {
		buf_addf(out, "%s\"%s\":%" PRIu64, comma,
		    query_kind_name((enum query_kind)kind),
		    figures->queries[kind]);
		comma = ",";
	}
	buf_addf(out,
	    "},\"hits\":%" PRIu64 ",\"misses\":%" PRIu64 ",\"joined\":%" PRIu64
	    ",\"stale\":%" PRIu64 ",\"from_snapshot\":%" PRIu64
	    ",\"unknown\":%" PRIu64 ",\"expired\":%" PRIu64
	    ",\"latency_us\":{",
	    figures->hits, figures->misses, figures->joined, figures->stale,
	    figures->snapshot, figures->unknown, figures->expired);
	comma = "";
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		if (figures->latency[i] > 0) {
			buf_addf(out, "%s\"%u\":%" PRIu64, comma, 1u << i,
			    figures->latency[i]);
			comma = ",";
		}
	buf_adds(out, "}");
}

static void
put_database(struct lookup_server *server, struct buf *out)
{
	static const char *const names[] = { "starting", "up", "away" };
	struct database_state state;
	int64_t now_ms = clock_ms();

	database_state(server->database, &state);
	buf_addf(out,
	    ",\"database\":\"%s\",\"since_s\":%" PRId64 ",\"followed\":%s",
	    names[state.health], (now_ms - state.health_since_ms) / 1000,
	    state.is_followed ? "true" : "false");
	put_json_text(out, "reason", state.reason.text);
	put_json_text(out, "host", state.host);
	if (state.followed_at_ms != 0)
		buf_addf(out, ",\"followed_ms\":%" PRId64,
		    now_ms - state.followed_at_ms);
	buf_addf(out,
	    ",\"statements\":%" PRIu64 ",\"rows\":%" PRIu64
	    ",\"changes\":%" PRIu64 ",\"logins_written\":%" PRIu64
	    ",\"logins_lost\":%" PRIu64 ",\"spool_bytes\":%" PRIu64,
	    state.statements, state.rows, state.changes, state.logins_written,
	    state.logins_lost, state.spool_bytes);
	if (server->snapshot != NULL)
		buf_addf(out,
		    ",\"snapshot\":{\"records\":%" PRIu64
		    ",\"age_s\":%" PRId64 ",\"took_ms\":%" PRId64 "}",
		    snapshot_records(server->snapshot),
		    time(NULL) - snapshot_at_s(server->snapshot),
		    state.snapshot_took_ms);
}

void
lookup_server_stats(struct lookup_server *server, struct buf *out)
{
	buf_addf(out,
	    "{\"pid\":%ld,\"up_s\":%" PRId64
	    ",\"clients\":%u,\"cached\":%zu,\"cache_bytes\":%zu,"
	    "\"cache_limit\":%zu",
	    (long)getpid(), (clock_ms() - server->began_ms) / 1000,
	    server->clients.client_count, cache_count(server->cache),
	    cache_bytes(server->cache), server->options.cache_bytes);
	put_figures(server, out);
	put_database(server, out);
	buf_adds(out, "}");
}
