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
#include "control/home.h"
#include "control/layout.h"
#include "lookupd/cache.h"
#include "lookupd/domains.h"
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
	size_t domain_at, dir_at, quota_at;
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
	user_out->name = storage->data;
	user_out->domain = storage->data + domain_at;
	user_out->dir = storage->data + dir_at;
	user_out->quota = storage->data + quota_at;
	user_out->flags = user.flags;
	user_out->is_active = (user.uid_flags & VPASSWD_INACTIVE) == 0;
	user_out->has_no_filters = user.has_no_filters;
	return 1;
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
	pthread_mutex_destroy(&self->lock);
	free(self);
}

static const struct store_backend lookup_backend = {
	.find_domain = lookup_find_domain,
	.find_user = lookup_find_user,
	.expect_users = lookup_expect_users,
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
	struct lookup_store *self = xcalloc(1, sizeof(*self));

	self->store.backend = &lookup_backend;
	self->cache = cdb_cache_new(DOMAIN_FDS);
	self->client = lookup_client_new(path);
	pthread_mutex_init(&self->lock, NULL);
	self->recent = cache_new(RECENT_BYTES, clock_ms());
	self->domains = domains_new(home, self->cache, err);
	if (self->domains != NULL)
		return &self->store;
	lookup_destroy(&self->store);
	return NULL;
}
