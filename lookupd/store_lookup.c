/* SPDX-License-Identifier: ISC */
/*
 * The store of a node whose users are in PostgreSQL: lookupd is asked.  Which
 * domains there are users/assign says, as of a cdb store.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/cluster_leases.h"
#include "control/home.h"
#include "control/layout.h"
#include "control/node_setting.h"
#include "lookupd/cache.h"
#include "lookupd/domains.h"
#include "lookupd/extension.h"
#include "lookupd/lookup_client.h"
#include "lookupd/vpasswd.h"

enum {
	ASK_MS = 10000,  /* longer than lookupd takes to say "unknown" */
	LOGIN_MS = 2000, /* a login waits for no more */
	RECENT_BYTES = 1024 * 1024,
	DOMAIN_FDS = 4
};

struct lookup_store {
	struct store store; /* first: the backend's functions cast back */
	struct cdb_cache *cache;
	struct domains *domains;
	struct lookup_client *client;
	struct buf node;       /* this node's name, "": it is in no cluster */
	struct buf separators; /* the setting userextension */
	struct cluster_leases *leases;

	pthread_mutex_t lock; /* for recent */
	struct cache *recent; /* users found: expected, or with a max_age_ms */
};

static struct lookup_store *
of_lookup_store(struct store *store)
{
	return (struct lookup_store *)store;
}

static int
lookup_find_domain(struct store *store, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	return domains_find(of_lookup_store(store)->domains, domain,
	    store->max_age_ms, domain_out, err);
}

/* Asks one question of a domain that there is.  1 and the reply, 0, -1. */
static int
ask_lookupd(struct store *store, const struct query *query, int timeout_ms,
    struct lookup_reply *reply_out, struct error *err)
{
	const struct query_answer *answer;
	int result = -1;

	if (lookup_client_ask(of_lookup_store(store)->client, query, 1,
		timeout_ms, reply_out, err) == -1)
		return -1;
	answer = &reply_out->answers[0];
	switch (answer->state) {
	case QUERY_FOUND:
		return 1;
	case QUERY_ABSENT:
		result = 0;
		break;
	case QUERY_UNKNOWN:
		error_set(err, "lookupd does not know: %.*s",
		    (int)answer->length, answer->record);
		break;
	}
	lookup_reply_release(reply_out);
	return result;
}

/*
 * A question about an address, of which *domain_out, to be released whatever
 * the result, is the domain.
 */
static int
ask_about(struct store *store, enum query_kind kind, const char *local,
    const char *domain, struct store_domain *domain_out,
    struct lookup_reply *reply_out, struct error *err)
{
	struct query query = { .kind = kind,
		.local = local,
		.ip = "",
		.service = "" };
	int result;

	*domain_out = (struct store_domain){ .storage = BUF_INIT };
	*reply_out = (struct lookup_reply){ .storage = BUF_INIT };
	result = lookup_find_domain(store, domain, domain_out, err);
	query.domain = domain_out->name;
	return result == 1 ? ask_lookupd(store, &query, ASK_MS, reply_out, err)
			   : result;
}

static int
explain_record(struct error *err)
{
	return error_set(err, "lookupd gave a record that cannot be read");
}

/* The record of a user found a moment ago, where that will do. */
static bool
find_recent(struct store *store, const struct cache_key *key, struct buf *record)
{
	struct lookup_store *self = of_lookup_store(store);
	unsigned max_age_ms = store->max_age_ms > STORE_EXPECT_MS
	    ? store->max_age_ms
	    : STORE_EXPECT_MS;
	struct cache_found found;
	bool is_recent;

	pthread_mutex_lock(&self->lock);
	is_recent = cache_find(self->recent, key, clock_ms(), &found) &&
	    found.age_ms < max_age_ms;
	if (is_recent)
		buf_add(record, found.record, found.length);
	pthread_mutex_unlock(&self->lock);
	return is_recent;
}

static void
keep_recent(struct store *store, const struct cache_key *key,
    const char *record, size_t length, int64_t asked_ms)
{
	struct lookup_store *self = of_lookup_store(store);

	pthread_mutex_lock(&self->lock);
	cache_put(self->recent, key, cache_generation(self->recent),
	    QUERY_FOUND, record, length, asked_ms);
	pthread_mutex_unlock(&self->lock);
}

/* The record of a user of the domain.  1, 0 or -1. */
static int
find_user_record(struct store *store, const char *local,
    const struct store_domain *domain, struct buf *record, struct error *err)
{
	AUTO(lookup_reply_release)
	struct lookup_reply reply = { .storage = BUF_INIT };
	const struct query query = { .kind = QUERY_USER,
		.local = local,
		.domain = domain->name,
		.ip = "",
		.service = "" };
	int64_t asked_ms = clock_ms();
	struct cache_key key;
	int result;

	cache_key_set(&key, QUERY_USER, local, domain->name);
	if (find_recent(store, &key, record))
		return 1;
	result = ask_lookupd(store, &query, ASK_MS, &reply, err);
	if (result != 1)
		return result;
	buf_add(record, reply.answers[0].record, reply.answers[0].length);
	if (store->max_age_ms > 0)
		keep_recent(
		    store, &key, record->data, record->length, asked_ms);
	return 1;
}

static void
lookup_expect_users(
    struct store *store, const struct store_address *addresses, size_t count)
{
	AUTO(lookup_reply_release)
	struct lookup_reply reply = { .storage = BUF_INIT };
	struct store_domain domains[STORE_EXPECT_MAX];
	struct query queries[STORE_EXPECT_MAX];
	struct cache_key key;
	AUTO(buf_release) struct buf recent = BUF_INIT;
	int64_t asked_ms = clock_ms();
	struct error ignored; /* shows when they are looked up */
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		struct store_domain *domain = &domains[used];

		*domain = (struct store_domain){ .storage = BUF_INIT };
		if (lookup_find_domain(store, addresses[i].domain, domain,
			&ignored) != 1)
			continue;
		cache_key_set(
		    &key, QUERY_USER, addresses[i].local, domain->name);
		buf_reset(&recent);
		if (find_recent(store, &key, &recent)) {
			store_domain_release(domain);
			continue;
		}
		queries[used++] = (struct query){ .kind = QUERY_USER,
			.local = addresses[i].local,
			.domain = domain->name,
			.ip = "",
			.service = "" };
	}
	if (used > 0 &&
	    lookup_client_ask(of_lookup_store(store)->client, queries, used,
		ASK_MS, &reply, &ignored) == 0)
		for (size_t i = 0; i < used; i++) {
			const struct query_answer *answer = &reply.answers[i];

			if (answer->state != QUERY_FOUND)
				continue;
			cache_key_set(&key, QUERY_USER, queries[i].local,
			    queries[i].domain);
			keep_recent(store, &key, answer->record,
			    answer->length, asked_ms);
		}
	for (size_t i = 0; i < used; i++)
		store_domain_release(&domains[i]);
}

/* Copies a text behind the others; where it is then, from storage's begin. */
static size_t
keep_text(struct buf *storage, const char *text)
{
	size_t at = storage->length;

	buf_add(storage, text, strlen(text) + 1);
	return at;
}

static int
lookup_find_user(struct store *store, const char *local, const char *domain,
    struct store_user *user_out, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct buf *storage = &user_out->storage;
	struct query_user user;
	size_t domain_at, dir_at, quota_at, store_at;
	int result = lookup_find_domain(store, domain, &found, err);

	if (result == 1)
		result = find_user_record(store, local, &found, &record, err);
	if (result != 1)
		return result;
	if (!query_get_user(record.data, record.length, &user))
		return explain_record(err);
	keep_text(storage, local);
	domain_at = keep_text(storage, found.name);
	dir_at = keep_text(storage, user.dir);
	quota_at = keep_text(storage, user.quota);
	store_at = keep_text(
	    storage, user.place.store == NULL ? "" : user.place.store);
	user_out->name = storage->data;
	user_out->domain = storage->data + domain_at;
	user_out->dir = storage->data + dir_at;
	user_out->quota = storage->data + quota_at;
	user_out->flags = user.flags;
	user_out->is_active = (user.uid_flags & VPASSWD_INACTIVE) == 0;
	user_out->has_no_filters = user.has_no_filters;
	user_out->store = storage->data + store_at;
	user_out->store_epoch = user.place.epoch;
	return 1;
}

/*
 * Of an address whose user has another name, or is none, in one packet: the
 * alias, the names in front of separators, the domain's place for others.
 */
struct place_questions {
	struct query queries[STORE_LOCAL_MAX + 2];
	char names[STORE_LOCAL_MAX + 2][STORE_LOCAL_MAX + 1];
	size_t count; /* the last one is of the domain */
};

static void
set_place_questions(struct place_questions *questions, const char *separators,
    const char *local, const char *domain)
{
	const struct query empty = { .domain = domain, .ip = "", .service = "" };
	size_t length = strlen(local), count = 0;
	struct query *queries = questions->queries;

	if (length > 0) {
		queries[count] = empty;
		queries[count].kind = QUERY_ALIAS;
		queries[count++].local = local;
	}
	while (extension_cut(local, separators, &length)) {
		char *name = questions->names[count];

		memcpy(name, local, length);
		name[length] = '\0';
		queries[count] = empty;
		queries[count].kind = QUERY_USER;
		queries[count++].local = name;
	}
	queries[count] = empty;
	queries[count].kind = QUERY_PLACE;
	queries[count++].local = "";
	questions->count = count;
}

static void
set_place(struct store_place *place, enum store_place_kind kind,
    const char *user, const char *node, const char *store, const char *dir)
{
	struct buf *storage = &place->storage;
	size_t node_at, store_at, dir_at;

	buf_reset(storage);
	keep_text(storage, user);
	node_at = keep_text(storage, node);
	store_at = keep_text(storage, store);
	dir_at = keep_text(storage, dir);
	place->kind = kind;
	place->user = storage->data;
	place->node = storage->data + node_at;
	place->store = storage->data + store_at;
	place->dir = storage->data + dir_at;
}

static enum store_place_kind
place_kind(const struct lookup_store *self, const struct query_place *place)
{
	if (place->is_moving)
		return STORE_PLACE_MOVING;
	if (strcmp(place->node, self->node.data) == 0 && *place->node != '\0')
		return STORE_PLACE_HERE;
	/* By this node as well as by that one. */
	if (place->is_many_served &&
	    cluster_lease_check(
		self->leases, place->store, place->epoch, NULL) == 1)
		return STORE_PLACE_HERE;
	return *place->node == '\0' ? STORE_PLACE_NOBODY : STORE_PLACE_NODE;
}

/* 1 when the user has a store; 0 when he has none yet; -1. */
static int
place_of_user(const struct lookup_store *self, const char *name,
    const char *record, size_t length, struct store_place *place,
    struct error *err)
{
	struct query_user user;

	if (!query_get_user(record, length, &user))
		return explain_record(err);
	if (user.place.store == NULL)
		set_place(place, STORE_PLACE_NOBODY, name, "", "", user.dir);
	else {
		set_place(place, place_kind(self, &user.place), name,
		    user.place.node, user.place.store, user.dir);
		place->epoch = user.place.epoch;
	}
	return user.place.store != NULL;
}

/*
 * The answer that decides: the first that is not absent, a user without a store
 * aside, who is where the domain's other mail goes.
 */
static int
judge_places(const struct lookup_store *self,
    const struct place_questions *questions, const struct lookup_reply *reply,
    struct store_place *place, struct error *err)
{
	bool is_unplaced = place->storage.length > 0;
	struct query_place other;

	for (size_t i = 0; i < questions->count; i++) {
		const struct query_answer *answer = &reply->answers[i];
		const struct query *query = &questions->queries[i];
		int result;

		if (answer->state == QUERY_UNKNOWN)
			return error_set(err, "lookupd does not know: %.*s",
			    (int)answer->length, answer->record);
		if (answer->state == QUERY_ABSENT)
			continue;
		if (query->kind == QUERY_PLACE) {
			OWN_TEXT user = is_unplaced ? xstrdup(place->user)
						    : xstrdup("");
			OWN_TEXT dir = is_unplaced ? xstrdup(place->dir)
						   : xstrdup("");

			if (!query_get_place(
				answer->record, answer->length, &other))
				return explain_record(err);
			set_place(place, place_kind(self, &other), user,
			    other.node, other.store, dir);
			place->epoch = other.epoch;
			return 1;
		}
		if (is_unplaced)
			continue;
		if (query->kind == QUERY_ALIAS) {
			set_place(place, STORE_PLACE_HERE, "", self->node.data,
			    "", "");
			return 1;
		}
		result = place_of_user(self, query->local, answer->record,
		    answer->length, place, err);
		if (result != 0)
			return result;
		is_unplaced = true;
	}
	return is_unplaced;
}

static int
lookup_find_place(struct store *store, const char *local,
    const struct store_domain *domain, struct store_place *place_out,
    struct error *err)
{
	struct lookup_store *self = of_lookup_store(store);
	AUTO(buf_release) struct buf record = BUF_INIT;
	AUTO(lookup_reply_release)
	struct lookup_reply reply = { .storage = BUF_INIT };
	struct place_questions questions;
	int result = *local == '\0'
	    ? 0
	    : find_user_record(store, local, domain, &record, err);

	if (result == 1)
		result = place_of_user(self, local, record.data, record.length,
		    place_out, err);
	if (result != 0)
		return result;
	set_place_questions(
	    &questions, self->separators.data, local, domain->name);
	if (lookup_client_ask(self->client, questions.queries,
		questions.count, ASK_MS, &reply, err) == -1)
		return -1;
	return judge_places(self, &questions, &reply, place_out, err);
}

/* The text at a place of storage; NULL for an empty one. */
static const char *
kept_or_null(const struct buf *storage, size_t at)
{
	return storage->data[at] == '\0' ? NULL : storage->data + at;
}

static int
lookup_find_password(struct store *store, const char *local,
    const char *domain, struct store_password *password_out, struct error *err)
{
	AUTO(store_domain_release) struct store_domain found;
	AUTO(lookup_reply_release) struct lookup_reply reply;
	struct buf *storage = &password_out->storage;
	struct query_password password;
	size_t domain_at, dir_at, quota_at, hash_at, scram_at, secret_at;
	int result = ask_about(
	    store, QUERY_PASSWORD, local, domain, &found, &reply, err);

	if (result != 1)
		return result;
	if (!query_get_password(reply.answers[0].record,
		reply.answers[0].length, &password))
		return explain_record(err);
	/* It is to be wiped, so it must not move. */
	buf_reserve(storage,
	    reply.answers[0].length + strlen(local) + strlen(found.name) + 2);
	keep_text(storage, local);
	domain_at = keep_text(storage, found.name);
	dir_at = keep_text(storage, password.user.dir);
	quota_at = keep_text(storage, password.user.quota);
	hash_at = keep_text(storage, password.hash);
	scram_at = keep_text(storage, password.scram);
	secret_at = keep_text(storage, password.secret);
	password_out->name = storage->data;
	password_out->domain = storage->data + domain_at;
	password_out->dir = storage->data + dir_at;
	password_out->quota = storage->data + quota_at;
	/* Other software may have put both into the one column. */
	vpasswd_split_hash(storage->data + hash_at, &password_out->scram,
	    &password_out->hash);
	if (password_out->scram == NULL)
		password_out->scram = kept_or_null(storage, scram_at);
	password_out->secret = kept_or_null(storage, secret_at);
	password_out->flags = password.user.flags;
	if ((password.user.flags & STORE_OVERRIDE_LIMITS) == 0)
		password_out->flags |= password.limits_flags;
	password_out->may_log_in = vpasswd_may_log_in(password.user.uid_flags);
	password_out->uid = found.uid;
	password_out->gid = found.gid;
	return 1;
}

static int
lookup_find_alias(struct store *store, const char *local, const char *domain,
    struct store_alias *alias_out, struct error *err)
{
	AUTO(store_domain_release) struct store_domain found;
	AUTO(lookup_reply_release) struct lookup_reply reply;
	int result = ask_about(
	    store, QUERY_ALIAS, local, domain, &found, &reply, err);

	if (result == 1 &&
	    !query_get_alias(reply.answers[0].record, reply.answers[0].length,
		alias_out))
		return explain_record(err);
	return result;
}

static int
lookup_find_limits(struct store *store, const char *local, const char *domain,
    struct store_limits *limits_out, struct error *err)
{
	AUTO(store_domain_release) struct store_domain found;
	AUTO(lookup_reply_release) struct lookup_reply reply;
	int result = ask_about(store, QUERY_LIMITS, local == NULL ? "" : local,
	    domain, &found, &reply, err);

	if (result == 1 &&
	    !query_get_limits(reply.answers[0].record,
		reply.answers[0].length, limits_out))
		return explain_record(err);
	return result;
}

static int
lookup_find_filters(struct store *store, const char *local,
    const char *domain, struct store_filters *filters_out, struct error *err)
{
	AUTO(store_domain_release) struct store_domain found;
	AUTO(lookup_reply_release) struct lookup_reply reply;
	int result = ask_about(
	    store, QUERY_FILTERS, local, domain, &found, &reply, err);

	if (result == 1 &&
	    !query_get_filters(reply.answers[0].record,
		reply.answers[0].length, filters_out))
		return explain_record(err);
	return result;
}

static int
lookup_find_relay(struct store *store, const char *local, const char *domain,
    const char *ip, unsigned max_age_s, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	AUTO(lookup_reply_release)
	struct lookup_reply reply = { .storage = BUF_INIT };
	int result = lookup_find_domain(store, domain, &found, err);
	const struct query query = { .kind = QUERY_RELAY,
		.local = local,
		.domain = found.name,
		.ip = ip,
		.service = "",
		.number = max_age_s };

	return result == 1 ? ask_lookupd(store, &query, ASK_MS, &reply, err)
			   : result;
}

static int
lookup_note_login(struct store *store, const char *local, const char *domain,
    const struct store_login *login, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	AUTO(lookup_reply_release)
	struct lookup_reply reply = { .storage = BUF_INIT };
	int result = lookup_find_domain(store, domain, &found, err);
	const struct query query = { .kind = QUERY_LOGIN,
		.local = local,
		.domain = found.name,
		.ip = login->ip,
		.service = login->service,
		.opens_relay = login->opens_relay };

	if (result == 0)
		error_set(err, "there is no domain '%s'", domain);
	return result == 1 &&
		ask_lookupd(store, &query, LOGIN_MS, &reply, err) == 1
	    ? 0
	    : -1;
}

static void
lookup_destroy(struct store *store)
{
	struct lookup_store *self = of_lookup_store(store);

	lookup_client_free(&self->client);
	domains_free(&self->domains);
	cdb_cache_free(&self->cache);
	cache_free(&self->recent);
	buf_release(&self->node);
	buf_release(&self->separators);
	cluster_leases_free(&self->leases);
	pthread_mutex_destroy(&self->lock);
	free(self);
}

static const struct store_backend lookup_backend = {
	.find_domain = lookup_find_domain,
	.find_user = lookup_find_user,
	.expect_users = lookup_expect_users,
	.find_place = lookup_find_place,
	.find_password = lookup_find_password,
	.find_alias = lookup_find_alias,
	.find_limits = lookup_find_limits,
	.find_filters = lookup_find_filters,
	.find_relay = lookup_find_relay,
	.note_login = lookup_note_login,
	.destroy = lookup_destroy,
};

struct store *
store_open_lookup(const char *home_root, struct error *err)
{
	AUTO(home_free) struct home *home = home_at(home_root);
	OWN_TEXT path = layout_path(home, LAYOUT_lookup);
	OWN_TEXT leases = layout_path(home, LAYOUT_cluster_leases);
	struct lookup_store *self = xcalloc(1, sizeof(*self));

	self->store.backend = &lookup_backend;
	self->cache = cdb_cache_new(DOMAIN_FDS);
	self->client = lookup_client_new(path);
	self->leases = cluster_leases_new(leases);
	pthread_mutex_init(&self->lock, NULL);
	self->recent = cache_new(RECENT_BYTES, clock_ms());
	buf_init(&self->node);
	buf_init(&self->separators);
	if (node_setting_text(
		home->control, SETTING_nodename, &self->node, err) == 0 &&
	    node_setting_text(home->control, SETTING_userextension,
		&self->separators, err) == 0)
		self->domains = domains_new(home, self->cache, err);
	if (self->domains != NULL)
		return &self->store;
	lookup_destroy(&self->store);
	return NULL;
}
