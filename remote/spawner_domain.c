/* SPDX-License-Identifier: ISC */
/* Where the mail of a domain goes, asked once for all queues. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "remote/node.h"
#include "remote/spawner_private.h"

enum {
	KNOWN_MOST_S = 3600, /* whatever the TTL says */
	KNOWN_LEAST_S = 5,
	VERDICT_ROOM = 100, /* nothing is sent: each has its failure at once */
	OLD_AT_ONCE = 1000
};

void
shared_plan_drop(struct shared_plan *plan)
{
	if (plan == NULL || --plan->users > 0)
		return;
	plan_release(&plan->plan);
	rules_drop(plan->rules);
	free(plan);
}

/* NULL is less than any text. */
static int
compare_optional(const char *one, const char *other)
{
	if (one == NULL || other == NULL)
		return (one != NULL) - (other != NULL);
	return strcmp(one, other);
}

static int
compare_domains(const void *a, const void *b)
{
	const struct domain *one = a, *other = b;
	int order = strcmp(one->name, other->name);

	if (order == 0)
		order = one->ignores_tls_policy - other->ignores_tls_policy;
	if (order == 0)
		order = compare_optional(one->sender, other->sender);
	if (order == 0)
		order = compare_optional(one->recipient, other->recipient);
	return order;
}

/* Puts the text behind what storage has already; NULL: nothing. */
static const char *
put_text(char **storage, const char *text, size_t length)
{
	char *at = *storage;

	if (text == NULL)
		return NULL;
	memcpy(at, text, length);
	*storage += length + 1;
	return at;
}

/* Takes the word out of what follows a blank; NULL: nothing is left. */
static bool
take_tls_word(const char **rest)
{
	static const char word[] = JOB_LANE_WITHOUT_TLS_POLICY;
	size_t length = sizeof(word) - 1;

	if (*rest == NULL || strncmp(*rest, word, length) != 0 ||
	    ((*rest)[length] != ' ' && (*rest)[length] != '\0'))
		return false;
	*rest = (*rest)[length] == ' ' ? *rest + length + 1 : NULL;
	return true;
}

bool
domain_lane_has_sender(const char *lane)
{
	const char *blank = strchr(lane, ' ');
	const char *rest = blank == NULL ? NULL : blank + 1;

	take_tls_word(&rest);
	return rest != NULL;
}

struct domain *
domain_get(struct spawner *spawner, const char *lane, const char *recipient)
{
	const char *blank = strchr(lane, ' '), *sender;
	size_t lane_length = strlen(lane);
	size_t name_length = blank == NULL ? lane_length
					   : (size_t)(blank - lane);
	size_t recipient_length = recipient == NULL ? 0 : strlen(recipient);
	struct domain *domain = xcalloc(
	    1, sizeof(*domain) + lane_length + recipient_length + 2);
	char *storage = domain->name;
	struct domain **found;

	put_text(&storage, lane, name_length);
	sender = blank == NULL ? NULL : blank + 1;
	domain->ignores_tls_policy = take_tls_word(&sender);
	if (sender != NULL)
		domain->sender = put_text(&storage, sender, strlen(sender));
	domain->recipient = put_text(&storage, recipient, recipient_length);
	found = tsearch(domain, &spawner->domains, compare_domains);
	if (found == NULL)
		fatal(111, "out of memory");
	if (*found != domain) {
		free(domain);
		return *found;
	}
	domain->spawner = spawner;
	TAILQ_INIT(&domain->placed);
	if (node_is_lane(domain->name))
		nodes_watch(spawner, domain->name);
	return domain;
}

/* In a thread. */
static void
resolve_domain(struct work *work)
{
	struct domain *domain = (struct domain *)work;

	(domain->ignores_tls_policy ? plan_make_without_tls_policy : plan_make)(
	    domain->plan->rules->rules, domain->name, domain->sender,
	    domain->recipient, &domain->plan->plan);
}

static void
put_at_domain(struct lane_hand *lane)
{
	TAILQ_INSERT_TAIL(&lane->domain->placed, lane, in_place);
	lane->is_at_domain = true;
}

/* It is known what that means for a loose lane. */
static void
settle_lane(struct lane_hand *lane)
{
	const struct domain *domain = lane->domain;

	switch (domain->plan->plan.exchange.state) {
	case EXCHANGE_FOUND:
		destination_add_lane(lane);
		return;
	case EXCHANGE_NONE:
		put_at_domain(lane);
		lane_give_room(lane, VERDICT_ROOM);
		domain_run_lane(lane);
		return;
	case EXCHANGE_UNKNOWN:
		break;
	}
	lane_rest(lane, domain->expires_ms - clock_ms(),
	    domain->plan->plan.exchange.text);
}

static void
domain_resolved(struct work *work)
{
	struct domain *domain = (struct domain *)work;
	const struct exchange *exchange = &domain->plan->plan.exchange;
	int64_t now_ms = clock_ms(), known_s = exchange->ttl_s;
	struct lane_list lanes = TAILQ_HEAD_INITIALIZER(lanes);
	struct lane_hand *lane;

	domain->spawner->underway--;
	domain->is_resolving = false;
	if (known_s < KNOWN_LEAST_S)
		known_s = KNOWN_LEAST_S;
	if (known_s > KNOWN_MOST_S)
		known_s = KNOWN_MOST_S;
	domain->expires_ms = now_ms + known_s * 1000;
	if (exchange->state == EXCHANGE_UNKNOWN && node_is_lane(domain->name))
		domain->expires_ms = now_ms + NODE_REST_MS;
	else if (exchange->state == EXCHANGE_UNKNOWN) {
		breaker_failed(&domain->breaker, now_ms, arc4random());
		domain->expires_ms = domain->breaker.rests_until_ms;
	} else
		breaker_succeeded(&domain->breaker);
	if (domain->is_forgotten)
		domain->expires_ms = 0;
	TAILQ_CONCAT(&lanes, &domain->placed, in_place);
	while ((lane = TAILQ_FIRST(&lanes)) != NULL) {
		TAILQ_REMOVE(&lanes, lane, in_place);
		lane->is_at_domain = false;
		if (domain->is_forgotten)
			domain_place_lane(lane);
		else
			settle_lane(lane);
	}
	domain->is_forgotten = false;
}

/* A program takes whatever there is for the domain; not for a node. */
static bool
has_program(const struct domain *domain)
{
	return !node_is_lane(domain->name) &&
	    rules_program(domain->spawner->rules->rules) != NULL;
}

/*
 * Its mail goes ways of its own, or a program's: whether the domain's hosts
 * answer does not matter.
 */
static bool
needs_no_host(const struct lane_hand *lane)
{
	const struct domain *domain = lane->domain;

	return has_program(domain) ||
	    (TAILQ_EMPTY(&lane->tasks) && domain->recipient == NULL &&
		rules_ask_recipient(
		    domain->spawner->rules->rules, domain->name));
}

/* It is for a program, or fails. */
static void
end_task(struct task *task, const struct domain *domain)
{
	if (has_program(domain))
		program_run_task(task);
	else
		task_done_all(
		    task, SESSION_PERMFAIL, domain->plan->plan.exchange.text);
}

void
domain_run_lane(struct lane_hand *lane)
{
	struct domain *domain = lane->domain;
	struct task *task;

	if (domain->is_resolving)
		return;
	if (!has_program(domain) &&
	    (domain->plan == NULL ||
		domain->plan->plan.exchange.state != EXCHANGE_NONE)) {
		/* It needed no host, and its mail does now. */
		domain_take_lane(lane);
		domain_place_lane(lane);
		return;
	}
	/* The last one may free a lane whose queue has gone. */
	while ((task = TAILQ_FIRST(&lane->tasks)) != NULL) {
		bool is_last = TAILQ_NEXT(task, in_lane) == NULL;

		TAILQ_REMOVE(&lane->tasks, task, in_lane);
		end_task(task, domain);
		if (is_last)
			break;
	}
}

void
domain_place_lane(struct lane_hand *lane)
{
	struct domain *domain = lane->domain;

	if (operate_suspends(lane))
		return;
	if (needs_no_host(lane)) {
		put_at_domain(lane);
		lane_give_room(lane, VERDICT_ROOM);
		if (!TAILQ_EMPTY(&lane->tasks))
			domain_run_lane(lane);
		return;
	}
	if (!domain->is_resolving && domain->plan != NULL &&
	    !domain_is_old(domain, clock_ms()) &&
	    !(lane->wish != JOB_WISH_NONE &&
		domain->plan->plan.exchange.state != EXCHANGE_FOUND)) {
		settle_lane(lane);
		return;
	}
	put_at_domain(lane);
	if (domain->is_resolving)
		return;
	shared_plan_drop(domain->plan);
	domain->plan = xcalloc(1, sizeof(*domain->plan));
	domain->plan->users = 1;
	domain->plan->rules = domain->spawner->rules;
	domain->plan->rules->users++;
	domain->is_resolving = true;
	domain->spawner->underway++;
	work_pool_post(domain->spawner->names, &domain->work, resolve_domain,
	    domain_resolved);
}

void
domain_take_lane(struct lane_hand *lane)
{
	if (lane->destination != NULL)
		destination_remove_lane(lane);
	if (lane->is_at_domain)
		TAILQ_REMOVE(&lane->domain->placed, lane, in_place);
	lane->is_at_domain = false;
}

static void
free_domain(struct domain *domain)
{
	shared_plan_drop(domain->plan);
	free(domain);
}

bool
domain_is_old(const struct domain *domain, int64_t now_ms)
{
	return now_ms >= domain->expires_ms;
}

void
domain_forget(struct domain *domain)
{
	domain->expires_ms = 0;
	domain->is_forgotten = domain->is_resolving;
	breaker_succeeded(&domain->breaker);
}

static void
forget_domain(const void *node, VISIT visit, void *closure)
{
	(void)closure;
	if (visit == postorder || visit == leaf)
		domain_forget(*(struct domain *const *)node);
}

void
domains_forget(struct spawner *spawner)
{
	twalk_r(spawner->domains, forget_domain, NULL);
}

/* The sweep's: those that are too old. */
struct old_domains {
	struct domain *at[OLD_AT_ONCE];
	size_t count;
	int64_t now_ms;
};

static void
note_old(const void *node, VISIT visit, void *closure)
{
	struct old_domains *old = closure;
	struct domain *domain = *(struct domain *const *)node;

	if ((visit == postorder || visit == leaf) && !domain->is_resolving &&
	    domain_is_old(domain, old->now_ms) &&
	    (domain->lanes == 0 || !TAILQ_EMPTY(&domain->placed)) &&
	    old->count < OLD_AT_ONCE)
		old->at[old->count++] = domain;
}

void
domains_sweep(struct spawner *spawner, int64_t now_ms)
{
	struct old_domains old = { .now_ms = now_ms };
	struct lane_hand *lane;

	do {
		size_t i;

		old.count = 0;
		twalk_r(spawner->domains, note_old, &old);
		for (i = 0; i < old.count; i++) {
			struct domain *domain = old.at[i];

			/* Those that take no mail are asked again. */
			while ((lane = TAILQ_FIRST(&domain->placed)) != NULL)
				lane_give_room(lane, 0);
			if (domain->lanes > 0)
				continue;
			tdelete(domain, &spawner->domains, compare_domains);
			free_domain(domain);
		}
	} while (old.count == OLD_AT_ONCE);
}
