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

enum {
	THREADS = 4, /* so many may wait for the disk, and one goes on */
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
	struct work_pool *pool;
	STAILQ_HEAD(, router_request) asked; /* not flushed yet */
	atomic_bool is_ending;
	_Atomic int64_t assign_look_at_ms;
	pthread_mutex_t lock; /* for what follows */
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
	const struct router *router;
	const struct route *route;
	const struct cdbmap *assign; /* or NULL */
	struct router_request *request;
	struct router_answer last; /* neighbours share their texts */
	bool is_logged;            /* that users/cdb cannot be read */
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

static void
look_up_assign(struct question *question, struct router_answer *answer)
{
	const char *address = question->request->texts.data + answer->address;
	const char *at = strrchr(address, '@');
	struct assign_entry entry;
	struct error err;
	AUTO(mem_free) char *local = NULL;

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
	local = xstrndup(
	    address, at == NULL ? strlen(address) : (size_t)(at - address));
	switch (assign_find(question->assign, local, &entry, &err)) {
	case 1:
		answer_with(question, answer, &entry);
		assign_release(&entry);
		break;
	case 0:
		answer_without(question, answer, ROUTER_ABSENT,
		    "users/assign has no entry for this address, and this "
		    "release delivers only to virtual users. (#4.3.5)\n");
		break;
	default:
		if (!question->is_logged)
			log_line("alert: %s", err.text);
		question->is_logged = true;
		answer_without(question, answer, ROUTER_UNKNOWN,
		    "users/cdb cannot be read. (#4.3.5)\n");
	}
}

static void
answer_one(struct question *question, size_t at)
{
	struct router_request *request = question->request;
	struct router_answer *answer = &request->answers[at];

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
answer_request(struct router *router, struct router_request *request)
{
	struct router_shared *route = use_shared(router, &router->route);
	struct router_shared *assign = use_shared(router, &router->assign);
	struct question question = { .router = router,
		.request = request,
		.route = route->route,
		.assign = assign == NULL ? NULL : assign->assign };

	request->answers = xcalloc(
	    request->recipient_count, sizeof(*request->answers));
	request->texts = (struct buf)BUF_INIT;
	buf_addc(&request->texts, '\0'); /* the empty text, at 0 */
	for (size_t i = 0; i < request->recipient_count; i++)
		answer_one(&question, i);
	leave_shared(route);
	leave_shared(assign);
}

static void
forget_answers(struct router_request *request)
{
	free(request->answers);
	buf_release(&request->texts);
}

static struct router_request *
request_of_work(struct work *work)
{
	return (struct router_request *)(void *)((char *)work -
	    offsetof(struct router_request, work));
}

static void
run_request(struct work *work)
{
	struct router_request *request = request_of_work(work);
	struct router *router = request->router;

	refresh_assign(router, false);
	answer_request(router, request);
	if (has_absent(request) && refresh_assign(router, true)) {
		forget_answers(request);
		answer_request(router, request);
	}
}

static void
request_done(struct work *work)
{
	struct router_request *request = request_of_work(work);

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
	STAILQ_INIT(&router->asked);
	pthread_mutex_init(&router->lock, NULL);
	refresh_assign(router, true);
	router->pool = work_pool_new(THREADS, wake_fd);
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
	work_pool_free(&router->pool);
	replace_shared(router, &router->route, NULL);
	replace_shared(router, &router->assign, NULL);
	pthread_mutex_destroy(&router->lock);
	free(router->domains_path);
	free(router->assign_path);
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
	answer_request(router, request);
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
			work_pool_post(router->pool, &request->work,
			    run_request, request_done);
	}
}

void
router_reap(struct router *router)
{
	work_pool_reap(router->pool);
}
