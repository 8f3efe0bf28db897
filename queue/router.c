/* SPDX-License-Identifier: ISC */
/* Where recipients go: questions, threads, answers. */
#include "queue/router.h"

#include <assert.h>
#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/assign.h"
#include "control/cluster_domains.h"
#include "lookupd/store.h"

enum {
	THREADS = 4, /* so many may wait for the disk, and one goes on */
	PLACE_THREADS = 4, /* and so many for lookupd */
	ASSIGN_LOOK_MS = 1000,
	/* The owner answers himself what has no more of them. */
	OWN_RECIPIENTS_MAX = 100
};

/* What threads use while it is replaced. */
struct router_shared {
	struct route *route; /* or */
	struct cdbmap *assign;
	atomic_uint users; /* the router is one */
};

struct router {
	char *assign_path;
	char *domains_path; /* without a slash at its end */
	bool has_lane_per_domain;
	struct work_pool *pool, *places;
	STAILQ_HEAD(, router_request) asked; /* not flushed yet */
	atomic_bool is_ending;
	_Atomic int64_t assign_look_at_ms;
	char *home_root;                 /* NULL: there is no cluster */
	struct cluster_domains *cluster; /* or NULL */
	pthread_mutex_t lock; /* for what follows */
	struct store *store; /* when a domain of the cluster was first seen */
	struct router_shared *route;
	struct router_shared *assign; /* NULL: there is no users/cdb */
};

/* -- what the threads share */

static struct router_shared *
share(struct route *route, struct cdbmap *assign)
{
	struct router_shared *shared = xmalloc(sizeof(*shared));

	*shared = (struct router_shared){
		.route = route, .assign = assign, .users = 1
	};
	return shared;
}

static struct router_shared *
use_shared(struct router *router, struct router_shared *const *slot)
{
	struct router_shared *shared;

	pthread_mutex_lock(&router->lock);
	shared = *slot;
	if (shared != NULL)
		atomic_fetch_add(&shared->users, 1);
	pthread_mutex_unlock(&router->lock);
	return shared;
}

static void
leave_shared(struct router_shared *shared)
{
	if (shared == NULL || atomic_fetch_sub(&shared->users, 1) != 1)
		return;
	route_free(&shared->route);
	cdbmap_free(&shared->assign);
	free(shared);
}

static void
replace_shared(struct router *router, struct router_shared **slot,
    struct router_shared *shared)
{
	struct router_shared *old;

	pthread_mutex_lock(&router->lock);
	old = *slot;
	*slot = shared;
	pthread_mutex_unlock(&router->lock);
	leave_shared(old);
}

/*
 * users/cdb may be replaced at any time; one look a second is enough, but not
 * to call somebody absent (is_due).  True when there is another one now.
 */
static bool
refresh_assign(struct router *router, bool is_due)
{
	int64_t now_ms = clock_ms();
	struct router_shared *old;
	struct cdbmap *map = NULL;
	struct error err;
	bool is_good;

	if (!is_due && now_ms < atomic_load(&router->assign_look_at_ms))
		return false;
	atomic_store(&router->assign_look_at_ms, now_ms + ASSIGN_LOOK_MS);
	old = use_shared(router, &router->assign);
	is_good = old != NULL && !cdbmap_is_stale(old->assign);
	leave_shared(old);
	if (is_good)
		return false;
	if (cdbmap_open(router->assign_path, &map, &err) == -1)
		log_line("alert: %s; local deliveries wait", err.text);
	replace_shared(
	    router, &router->assign, map == NULL ? NULL : share(NULL, map));
	return true;
}

/* -- one request, in a thread */

/* What a request is worked on with. */
struct question {
	struct router *router;
	const struct route *route;
	const struct cdbmap *assign; /* or NULL */
	struct router_request *request;
	struct router_answer last; /* neighbours share their texts */
	bool is_logged;            /* that users/cdb cannot be read */
	bool may_ask;     /* lookupd; who may not leaves it to others ... */
	bool must_ask;    /* ... and this says so */
	size_t number;             /* of the recipient in hand */
	size_t expected_until;     /* places before it are being asked for */
};

/* Adds the text, unless it is the one at last. */
static size_t
put_answer_text(struct buf *texts, const char *text, size_t last)
{
	size_t at = texts->length;

	if (strcmp(texts->data + last, text) == 0)
		return last;
	buf_add(texts, text, strlen(text) + 1);
	return at;
}

/*
 * Adds prefix and the address's domain, in lower case, and without blanks, of
 * which no host's name has one: a lane's name can be DOMAIN SENDER.
 */
static size_t
put_lane_key(struct buf *texts, const char *prefix, size_t address, size_t last)
{
	const char *start = texts->data + address;
	const char *at = strrchr(start, '@');
	AUTO(mem_free)
	char *key = xasprintf("%s%s", prefix, at == NULL ? start : at + 1);

	for (char *c = key; *c != '\0'; c++)
		*c = *c == ' ' ? '?' : (char)tolower((unsigned char)*c);
	return put_answer_text(texts, key, last);
}

static bool
is_in_domains(const struct router *router, const char *home)
{
	size_t length = strlen(router->domains_path);

	return strncmp(home, router->domains_path, length) == 0 &&
	    home[length] == '/' && home[length + 1] != '\0';
}

static void
answer_without(struct question *question, struct router_answer *answer,
    enum router_found found, const char *reason)
{
	struct buf *texts = &question->request->texts;

	answer->found = found;
	answer->kind = LANE_LOCAL;
	answer->lane = put_answer_text(texts, "local", question->last.lane);
	answer->reason = put_answer_text(texts, reason, question->last.reason);
}

static void
answer_with(struct question *question, struct router_answer *answer,
    const struct assign_entry *entry)
{
	const struct router *router = question->router;
	const struct router_answer *last = &question->last;
	struct buf *texts = &question->request->texts;

	answer->found = ROUTER_FOUND;
	answer->user = put_answer_text(texts, entry->user, last->user);
	answer->home = put_answer_text(texts, entry->home, last->home);
	answer->dash = put_answer_text(texts, entry->dash, last->dash);
	answer->extension = put_answer_text(
	    texts, entry->extension, last->extension);
	answer->uid = entry->uid;
	answer->gid = entry->gid;
	answer->kind = is_in_domains(router, entry->home) ? LANE_VIRTUAL
							  : LANE_LOCAL;
	if (answer->kind == LANE_LOCAL)
		answer->lane = put_answer_text(texts, "local", last->lane);
	else if (router->has_lane_per_domain)
		answer->lane = put_lane_key(
		    texts, "virtual:", answer->address, last->lane);
	else
		answer->lane = put_answer_text(texts, "virtual", last->lane);
}

/* A local address in parts: "c.test-bob@c.test" has "bob" behind the prefix. */
struct local_parts {
	char *local;            /* in front of the '@' */
	const char *domain;     /* behind it */
	const char *unprefixed; /* of local; NULL: it has no such prefix */
};

static void
split_address(const char *address, struct local_parts *parts)
{
	const char *at = strrchr(address, '@');
	size_t length = at == NULL ? 0 : strlen(at + 1);

	parts->local = xstrndup(
	    address, at == NULL ? strlen(address) : (size_t)(at - address));
	parts->domain = at == NULL ? "" : at + 1;
	parts->unprefixed = length > 0 &&
		strncasecmp(parts->local, parts->domain, length) == 0 &&
		parts->local[length] == '-'
	    ? parts->local + length + 1
	    : NULL;
}

/* The store, opened when it is first wanted; NULL with the reason. */
static struct store *
open_router_store(struct router *router, struct error *err)
{
	struct store *store;

	pthread_mutex_lock(&router->lock);
	if (router->store == NULL)
		router->store = store_open(router->home_root, err);
	store = router->store;
	pthread_mutex_unlock(&router->lock);
	return store;
}

/* Of many recipients of a domain the store asks for a batch at once. */
static void
expect_places(struct question *question, struct store *store,
    const char *local, const char *domain)
{
	struct router_request *request = question->request;
	struct store_address wanted[STORE_EXPECT_MAX] = { { local, domain } };
	char *texts[STORE_EXPECT_MAX] = { NULL };
	size_t at = question->number, count = 1;

	if (at < question->expected_until)
		return;
	question->expected_until = at + STORE_EXPECT_MAX;
	for (size_t i = at + 1; i < request->recipient_count &&
	     i < question->expected_until;
	     i++) {
		struct local_parts parts;

		split_address(request->recipients[i], &parts);
		texts[count] = parts.local;
		if (strcasecmp(parts.domain, domain) == 0) {
			wanted[count].domain = domain;
			wanted[count++].local = request->channels != NULL &&
				parts.unprefixed != NULL
			    ? parts.unprefixed
			    : parts.local;
			continue;
		}
		free(parts.local);
		texts[count] = NULL;
	}
	if (count > 1)
		store_expect_users(store, wanted, count);
	for (size_t i = 1; i < count; i++)
		free(texts[i]);
}

static void
answer_unknown(struct question *question, struct router_answer *answer,
    const struct error *err)
{
	if (!question->is_logged)
		log_line("alert: cannot tell where a mailbox is: %s; mail for "
			 "it waits",
		    err->text);
	question->is_logged = true;
	answer_without(question, answer, ROUTER_UNKNOWN,
	    "It cannot be told now where this mailbox is. (#4.4.3)\n");
}

/* The user is another node's. */
static void
answer_node(struct question *question, struct router_answer *answer,
    const char *node, size_t bare)
{
	AUTO(mem_free) char *lane = xasprintf("@%s", node);

	answer->found = ROUTER_FOUND;
	answer->kind = LANE_NODE;
	answer->bare = bare;
	answer->lane = put_answer_text(
	    &question->request->texts, lane, question->last.lane);
}

/* An address of a domain of the cluster. */
static void
look_up_place(struct question *question, struct router_answer *answer,
    const struct local_parts *parts, const struct cluster_domain *domain)
{
	const struct assign_entry here = { .user = domain->name,
		.uid = domain->uid,
		.gid = domain->gid,
		.home = domain->dir,
		.dash = "-",
		.extension = parts->unprefixed };
	AUTO(store_place_release)
	struct store_place place = { .storage = BUF_INIT };
	struct error err;
	struct store *store;
	int result = -1;

	if (!question->may_ask) {
		question->must_ask = true;
		return;
	}
	store = open_router_store(question->router, &err);
	if (store != NULL) {
		expect_places(
		    question, store, parts->unprefixed, parts->domain);
		result = store_find_place(store, parts->unprefixed,
		    parts->domain, &place, &err);
	}
	if (result == -1) {
		answer_unknown(question, answer, &err);
		return;
	}
	if (result == 0) { /* who bounces it, or takes all, is this node */
		answer_with(question, answer, &here);
		return;
	}
	switch (place.kind) {
	case STORE_PLACE_HERE:
		answer_with(question, answer, &here);
		break;
	case STORE_PLACE_NODE:
		answer_node(question, answer, place.node,
		    answer->address +
			(size_t)(parts->unprefixed - parts->local));
		break;
	case STORE_PLACE_MOVING:
		answer_without(question, answer, ROUTER_UNKNOWN,
		    "This mailbox is being moved. (#4.2.1)\n");
		break;
	case STORE_PLACE_NOBODY:
		answer_without(question, answer, ROUTER_ABSENT,
		    "No node serves this mailbox now. (#4.3.0)\n");
		break;
	}
}

/*
 * Is it of a domain of the cluster, and no line of this node's users/assign, of
 * which *entry is the one that fits, if has_line, meant for it?  1, 0, -1.
 */
static int
find_clustered(const struct question *question,
    const struct local_parts *parts, bool has_line,
    const struct assign_entry *entry, struct cluster_domain *domain_out,
    struct error *err)
{
	*domain_out = (struct cluster_domain){ .storage = BUF_INIT };
	if (question->router->cluster == NULL || parts->unprefixed == NULL ||
	    /* What is left of the address by a line for its domain, or more. */
	    (has_line &&
		strlen(entry->extension) <= strlen(parts->unprefixed)))
		return 0;
	return cluster_domain_find(
	    question->router->cluster, parts->domain, domain_out, err);
}

static void
look_up_local(struct question *question, struct router_answer *answer,
    const struct local_parts *parts)
{
	AUTO(cluster_domain_release)
	struct cluster_domain domain = { .storage = BUF_INIT };
	struct assign_entry entry;
	struct error err;
	int found = assign_find(question->assign, parts->local, &entry, &err);
	int is_clustered = 0;

	if (found != -1)
		is_clustered = find_clustered(
		    question, parts, found == 1, &entry, &domain, &err);
	if (is_clustered == 1)
		look_up_place(question, answer, parts, &domain);
	else if (is_clustered == -1)
		answer_unknown(question, answer, &err);
	else if (found == 1)
		answer_with(question, answer, &entry);
	else if (found == 0)
		answer_without(question, answer, ROUTER_ABSENT,
		    "users/assign has no entry for this address, and this "
		    "release delivers only to virtual users. (#4.3.5)\n");
	else {
		if (!question->is_logged)
			log_line("alert: %s", err.text);
		question->is_logged = true;
		answer_without(question, answer, ROUTER_UNKNOWN,
		    "users/cdb cannot be read. (#4.3.5)\n");
	}
	assign_release(&entry);
}

static void
look_up_assign(struct question *question, struct router_answer *answer)
{
	struct local_parts parts;

	if (atomic_load(&question->router->is_ending)) {
		answer_without(question, answer, ROUTER_UNKNOWN,
		    "The queue is being stopped. (#4.3.0)\n");
		return;
	}
	if (question->assign == NULL) {
		answer_without(question, answer, ROUTER_UNKNOWN,
		    "users/cdb is missing or damaged; make it with "
		    "qmail-newu. (#4.3.5)\n");
		return;
	}
	split_address(question->request->texts.data + answer->address, &parts);
	look_up_local(question, answer, &parts);
	free(parts.local);
}

static void
answer_one(struct question *question, size_t at)
{
	struct router_request *request = question->request;
	struct router_answer *answer = &request->answers[at];

	question->number = at;
	answer->address = request->texts.length;
	if (request->channels == NULL)
		answer->channel = route_rewrite(
		    question->route, request->recipients[at], &request->texts);
	else {
		answer->channel = request->channels[at];
		buf_add(&request->texts, request->recipients[at],
		    strlen(request->recipients[at]) + 1);
	}
	if (answer->channel == ROUTE_LOCAL)
		look_up_assign(question, answer);
	else {
		answer->found = ROUTER_FOUND;
		answer->kind = LANE_REMOTE;
		answer->lane = put_lane_key(
		    &request->texts, "", answer->address, question->last.lane);
	}
	question->last = *answer;
}

static bool
has_absent(const struct router_request *request)
{
	for (size_t i = 0; i < request->recipient_count; i++)
		if (request->answers[i].found == ROUTER_ABSENT)
			return true;
	return false;
}

static void
forget_answers(struct router_request *request)
{
	free(request->answers);
	buf_release(&request->texts);
}

/*
 * False, and there are no answers: it takes a place of the cluster, which may
 * not be asked for.
 */
static bool
answer_request(
    struct router *router, struct router_request *request, bool may_ask)
{
	struct router_shared *route = use_shared(router, &router->route);
	struct router_shared *assign = use_shared(router, &router->assign);
	struct question question = { .router = router,
		.request = request,
		.route = route->route,
		.assign = assign == NULL ? NULL : assign->assign,
		.may_ask = may_ask };

	request->answers = xcalloc(
	    request->recipient_count, sizeof(*request->answers));
	request->texts = (struct buf)BUF_INIT;
	buf_addc(&request->texts, '\0'); /* the empty text, at 0 */
	for (size_t i = 0;
	     i < request->recipient_count && !question.must_ask; i++)
		answer_one(&question, i);
	leave_shared(route);
	leave_shared(assign);
	request->must_ask = question.must_ask;
	if (question.must_ask)
		forget_answers(request);
	return !question.must_ask;
}

static struct router_request *
request_of_work(struct work *work)
{
	return (struct router_request *)(void *)((char *)work -
	    offsetof(struct router_request, work));
}

static void
work_on_request(struct router_request *request, bool may_ask)
{
	struct router *router = request->router;

	refresh_assign(router, false);
	if (answer_request(router, request, may_ask) && has_absent(request) &&
	    refresh_assign(router, true)) {
		forget_answers(request);
		answer_request(router, request, may_ask);
	}
}

static void
run_request(struct work *work)
{
	work_on_request(request_of_work(work), false);
}

static void
run_place_request(struct work *work)
{
	work_on_request(request_of_work(work), true);
}

static void
request_done(struct work *work)
{
	struct router_request *request = request_of_work(work);

	/* Those who wait for lookupd hold up nobody who need not. */
	if (request->must_ask)
		work_pool_post(request->router->places, &request->work,
		    run_place_request, request_done);
	else
		request->done(request, request->context);
}

/* -- the owner's */

struct router *
router_new(const struct router_options *options, int wake_fd)
{
	struct router *router = xcalloc(1, sizeof(*router));
	size_t length = strlen(options->domains_path);

	while (length > 1 && options->domains_path[length - 1] == '/')
		length--;
	router->domains_path = xstrndup(options->domains_path, length);
	router->assign_path = xstrdup(options->assign_path);
	router->has_lane_per_domain = options->has_lane_per_domain;
	if (options->home != NULL) {
		router->home_root = xstrdup(options->home->root);
		router->cluster = cluster_domains_new(options->home);
	}
	STAILQ_INIT(&router->asked);
	pthread_mutex_init(&router->lock, NULL);
	refresh_assign(router, true);
	router->pool = work_pool_new(THREADS, wake_fd);
	router->places = work_pool_new(PLACE_THREADS, wake_fd);
	return router;
}

void
router_free(struct router **router_in)
{
	struct router *router = *router_in;

	if (router == NULL)
		return;
	atomic_store(&router->is_ending, true);
	router_flush(router);
	work_pool_free(&router->pool); /* the other may get some of it */
	work_pool_free(&router->places);
	replace_shared(router, &router->route, NULL);
	replace_shared(router, &router->assign, NULL);
	pthread_mutex_destroy(&router->lock);
	free(router->domains_path);
	free(router->assign_path);
	free(router->home_root);
	cluster_domains_free(&router->cluster);
	store_free(&router->store);
	free(router);
	*router_in = NULL;
}

void
router_set_route(struct router *router, struct route *route)
{
	replace_shared(router, &router->route, share(route, NULL));
}

void
router_ask(struct router *router, struct router_request *request)
{
	assert(router->route != NULL);
	request->router = router;
	request->must_ask = false;
	STAILQ_INSERT_TAIL(&router->asked, request, next);
}

/* Is all there that answers are made of, so that nothing waits for a disk? */
static bool
has_all_in_memory(struct router *router)
{
	struct router_shared *assign = use_shared(router, &router->assign);
	bool has_copy = assign != NULL && cdbmap_is_copied(assign->assign);

	leave_shared(assign);
	return has_copy && !atomic_load(&router->is_ending) &&
	    clock_ms() < atomic_load(&router->assign_look_at_ms);
}

/* False: a thread has to, since nobody is called absent without a look. */
static bool
answer_at_once(struct router *router, struct router_request *request)
{
	if (request->recipient_count > OWN_RECIPIENTS_MAX)
		return false;
	if (!answer_request(router, request, false))
		return false;
	if (!has_absent(request))
		return true;
	forget_answers(request);
	return false;
}

void
router_flush(struct router *router)
{
	bool may_answer = !STAILQ_EMPTY(&router->asked) &&
	    has_all_in_memory(router);
	struct router_request *request;

	while ((request = STAILQ_FIRST(&router->asked)) != NULL) {
		STAILQ_REMOVE_HEAD(&router->asked, next);
		if (may_answer && answer_at_once(router, request))
			request->done(request, request->context);
		else
			work_pool_post(request->must_ask ? router->places
							 : router->pool,
			    &request->work,
			    request->must_ask ? run_place_request : run_request,
			    request_done);
	}
}

void
router_reap(struct router *router)
{
	work_pool_reap(router->pool);
	work_pool_reap(router->places);
}
