/* SPDX-License-Identifier: ISC */
/* What operators ask of destinations, and what they do to them. */
#include <arpa/inet.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/listen_socket.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "control/home.h"
#include "remote/operate.h"
#include "remote/spawner_private.h"

enum {
	/* A suspension without an end is told again, in case that nobody tells
	 * when it is over. */
	SUSPENDED_REST_S = 3600
};

/* -- suspensions */

bool
operate_suspends(struct lane_hand *lane)
{
	const struct suspensions *all = &lane->domain->spawner->suspensions;
	char domain[IDN_DOMAIN_SIZE];
	const struct suspension *suspension;
	int64_t now_s = time(NULL), rest_s = SUSPENDED_REST_S;
	char *text;

	if (all->count == 0)
		return false;
	idn_domain_canonical(lane->domain->name, domain);
	suspension = suspensions_find(all, domain, now_s);
	if (suspension == NULL)
		return false;
	if (suspension->until_s != 0 && suspension->until_s - now_s < rest_s)
		rest_s = suspension->until_s - now_s;
	text = xasprintf("Mail for this domain is suspended here%s%s. "
			 "(#4.3.2)\n",
	    *suspension->reason == '\0' ? "" : ": ", suspension->reason);
	lane_rest(lane, rest_s * 1000, text);
	free(text);
	return true;
}

/* Those that are at work and must not be; the others ask before they are. */
static void
suspend_lanes(struct spawner *spawner)
{
	struct queue_hand *queue;
	struct lane_hand *lane, *next;

	LIST_FOREACH(queue, &spawner->queues, in_spawner)
		for (lane = LIST_FIRST(&queue->lanes); lane != NULL;
		     lane = next) {
			next = LIST_NEXT(lane, in_queue);
			if (lane_is_placed(lane))
				operate_suspends(lane);
		}
}

/* What is not the same in the other list asks again, and hears. */
static void
wake_changed(struct spawner *spawner, const struct suspensions *of,
    const struct suspensions *other)
{
	for (size_t i = 0; i < of->count; i++)
		if (!strlist_has(&other->lines, of->lines.items[i]))
			queues_wake(spawner, of->all[i].domain);
}

void
operate_use_suspensions(struct spawner *spawner, const struct strlist *lines)
{
	struct suspensions old = spawner->suspensions;

	suspensions_init(&spawner->suspensions, lines);
	suspend_lanes(spawner);
	wake_changed(spawner, &spawner->suspensions, &old);
	wake_changed(spawner, &old, &spawner->suspensions);
	suspensions_release(&old);
}

static enum operate_code
read_suspensions(struct spawner *spawner, struct error *err)
{
	struct settings *settings = settings_load(
	    spawner->config.home->control, "qmail-rspawn", NULL, err);

	if (settings == NULL)
		return OPERATE_FAILED;
	operate_use_suspensions(
	    spawner, settings_list(settings, SETTING_suspended));
	settings_free(&settings);
	return OPERATE_DONE;
}

/* -- which are meant */

static bool
is_of_domain(const struct domain *domain, const char *name)
{
	return strcmp(domain->name, name) == 0;
}

struct domain_walk {
	const char *name; /* NULL: all */
	void (*each)(struct domain *domain, void *context);
	void *context;
};

static void
walk_domain(const void *node, VISIT visit, void *closure)
{
	struct domain_walk *walk = closure;
	struct domain *domain = *(struct domain *const *)node;

	if ((visit == postorder || visit == leaf) &&
	    (walk->name == NULL || is_of_domain(domain, walk->name)))
		walk->each(domain, walk->context);
}

/* Of each sender, too. */
static void
walk_domains(struct spawner *spawner, const char *name,
    void (*each)(struct domain *domain, void *context), void *context)
{
	struct domain_walk walk = { name, each, context };

	twalk_r(spawner->domains, walk_domain, &walk);
}

static void
mark_its_destination(struct domain *domain, void *context)
{
	struct destination *destination;

	*(bool *)context = true; /* it is known */
	destination = domain->is_resolving || domain->plan == NULL ||
		domain->plan->plan.exchange.state != EXCHANGE_FOUND
	    ? NULL
	    : destination_find(domain->spawner, domain->plan);
	if (destination != NULL)
		destination->is_meant = true;
}

/* Marks its destinations; false when nothing is known of the domain. */
static bool
mark_meant(struct spawner *spawner, const char *name)
{
	struct destination *destination;
	bool is_known = false;

	TAILQ_FOREACH(destination, &spawner->destinations, in_spawner) {
		destination->is_meant = strlist_has(&destination->names, name);
		is_known |= destination->is_meant;
	}
	walk_domains(spawner, name, mark_its_destination, &is_known);
	return is_known;
}

/* All domains that may rest because of it. */
static void
wake_domains_of(const struct destination *destination)
{
	size_t i;

	if (destination->has_more_names) {
		queues_wake(destination->spawner, "");
		return;
	}
	for (i = 0; i < destination->names.count; i++)
		queues_wake(destination->spawner, destination->names.items[i]);
}

/* -- reset, rebind */

/* What could not be told, or takes no mail, is asked for again. */
static void
reset_domain(struct domain *domain, void *context)
{
	(void)context;
	breaker_succeeded(&domain->breaker);
	if (domain->plan != NULL && !domain->is_resolving &&
	    domain->plan->plan.exchange.state != EXCHANGE_FOUND)
		domain->expires_ms = 0;
}

static enum operate_code
reset(struct spawner *spawner, const char *name, struct error *err)
{
	struct destination *destination;

	if (!mark_meant(spawner, name)) {
		error_set(err,
		    "nothing is known of '%s' now: no mail for it was tried "
		    "lately",
		    name);
		return OPERATE_ABSENT;
	}
	walk_domains(spawner, name, reset_domain, NULL);
	TAILQ_FOREACH(destination, &spawner->destinations, in_spawner) {
		if (!destination->is_meant)
			continue;
		destination_reset(destination);
		wake_domains_of(destination);
	}
	queues_wake(spawner, name);
	return OPERATE_DONE;
}

static void
rebind_domain(struct domain *domain, void *context)
{
	(void)context;
	domain_forget(domain);
}

static void
retire_if_meant(struct destination *destination)
{
	struct lane_hand *lane;

	if (!destination->is_meant)
		return;
	/* Other domains that share it are looked up anew as well. */
	TAILQ_FOREACH(lane, &destination->lanes, in_place)
		domain_forget(lane->domain);
	destination_retire(destination);
	wake_domains_of(destination);
}

static void
look_anew_at_meant(struct spawner *spawner, const char *name)
{
	struct destination *destination, *next;

	walk_domains(spawner, name, rebind_domain, NULL);
	for (destination = TAILQ_FIRST(&spawner->destinations);
	     destination != NULL; destination = next) {
		next = TAILQ_NEXT(destination, in_spawner);
		retire_if_meant(destination);
	}
	queues_wake(spawner, name);
}

void
operate_look_anew(struct spawner *spawner, const char *name)
{
	mark_meant(spawner, name);
	look_anew_at_meant(spawner, name);
}

static enum operate_code
rebind(struct spawner *spawner, const char *name, struct error *err)
{
	struct rules *rules = spawner->config.read_rules(
	    spawner->config.context, err);
	bool is_known;

	if (rules == NULL)
		return OPERATE_FAILED;
	is_known = mark_meant(spawner, name);
	spawner_set_rules(spawner, rules);
	if (!is_known) {
		error_set(err,
		    "nothing is known of '%s' now: its next mail goes by what "
		    "is said then",
		    name);
		return OPERATE_ABSENT;
	}
	look_anew_at_meant(spawner, name);
	return OPERATE_DONE;
}

/* -- the list */

static uint32_t
seconds_left(int64_t until_ms, int64_t now_ms)
{
	int64_t left_s = (until_ms - now_ms + 999) / 1000;

	return until_ms <= now_ms ? 0
	    : left_s > INT32_MAX  ? INT32_MAX
				  : (uint32_t)left_s;
}

static const char *
text_or_none(const char *text)
{
	return text == NULL ? "" : text;
}

static void
fill_addresses(const struct destination *destination, int64_t now_ms,
    struct operate_destination *out,
    char ips[OPERATE_ADDRESSES_MAX][INET6_ADDRSTRLEN])
{
	const struct exchange *exchange = destination->exchange;
	size_t i;

	for (i = 0; i < exchange->address_count && i < OPERATE_ADDRESSES_MAX;
	     i++) {
		const struct exchange_address *to = &exchange->addresses[i];
		const struct breaker *breaker = &destination->breakers[i];
		uint16_t port;

		listen_socket_text(
		    &to->address, ips[i], INET6_ADDRSTRLEN, &port);
		out->addresses[i] = (struct operate_address){
			.host = exchange->hosts[to->host].name,
			.ip = ips[i],
			.port = port,
			.failures = breaker->failures,
			.rests_s = seconds_left(breaker->rests_until_ms, now_ms)
		};
	}
	out->address_count = i;
	out->has_more_addresses = i < exchange->address_count;
}

static enum operate_state
state_of(const struct destination *destination, int64_t now_ms)
{
	return now_ms < destination->rests_until_ms ? OPERATE_RESTING
	    : destination->line_count > destination->opening_count
	    ? OPERATE_OPEN
	    : destination->lane_count > 0 ? OPERATE_CONNECTING
					  : OPERATE_IDLE;
}

static void
put_listed(struct queue_hand *queue, const struct destination *destination)
{
	char ips[OPERATE_ADDRESSES_MAX][INET6_ADDRSTRLEN];
	const struct bucket *bucket = &destination->bucket;
	const struct window *window = &destination->window;
	int64_t now_ms = clock_ms();
	double rate = bucket_rate(bucket, now_ms);
	struct operate_destination out = { .state = state_of(
					       destination, now_ms),
		.is_retired = destination->is_retired,
		.has_more_domains = destination->has_more_names,
		.lanes = destination->lane_count,
		.waiting = destination->waiting_count,
		.window = window_size(window),
		.limit = destination->limit.connections,
		.rate_limit = (uint32_t)(destination->limit.per_second * 1000 +
		    0.5),
		.connections = destination->line_count,
		.opening = destination->opening_count,
		.busy = destination->busy_count,
		.capped_s = seconds_left(window->capped_until_ms, now_ms),
		.rests_s = seconds_left(destination->rests_until_ms, now_ms),
		.reason = "",
		.reply = text_or_none(destination->last_reply),
		.tls = text_or_none(destination->last_tls),
		.known_s = (uint32_t)((now_ms - destination->known_since_ms) /
		    1000),
		.messages = destination->counts.messages,
		.delivered = destination->counts.delivered,
		.deferred = destination->counts.deferred,
		.failed = destination->counts.failed };

	out.rate = (uint32_t)(rate * 1000 + 0.5);
	if (rate != bucket->always_per_second)
		out.rate_s = seconds_left(bucket->slowed_until_ms, now_ms);
	if (out.state == OPERATE_RESTING)
		out.reason = text_or_none(destination->last_text);
	for (size_t i = 0; i < destination->names.count; i++)
		out.domains[out.domain_count++] = destination->names.items[i];
	fill_addresses(destination, now_ms, &out, ips);
	operate_put_destination(outbox_add(&queue->outbox), &out);
}

/* A domain that has no destination. */
static void
put_listed_domain(struct domain *domain, void *context)
{
	struct queue_hand *queue = context;
	const struct exchange *exchange = domain->plan == NULL
	    ? NULL
	    : &domain->plan->plan.exchange;
	int64_t now_ms = clock_ms();
	struct operate_destination out = { .reply = "",
		.tls = "",
		.reason = "",
		.domains = { domain->name },
		.domain_count = 1 };

	if (exchange == NULL ||
	    (!domain->is_resolving && exchange->state == EXCHANGE_FOUND))
		return;
	if (domain->is_resolving)
		out.state = OPERATE_RESOLVING;
	else {
		out.state = exchange->state == EXCHANGE_NONE ? OPERATE_NO_MAIL
							     : OPERATE_UNKNOWN;
		out.reason = text_or_none(exchange->text);
	}
	if (out.state == OPERATE_UNKNOWN)
		out.rests_s = seconds_left(domain->expires_ms, now_ms);
	operate_put_destination(outbox_add(&queue->outbox), &out);
}

static void
put_suspensions(struct queue_hand *queue, const char *name)
{
	const struct suspensions *all = &queue->spawner->suspensions;
	int64_t now_s = time(NULL);

	for (size_t i = 0; i < all->count; i++) {
		const struct suspension *each = &all->all[i];
		struct operate_destination out = { .state = OPERATE_SUSPENDED,
			.reply = "",
			.tls = "",
			.reason = each->reason,
			.rests_s = each->until_s == 0
			    ? UINT32_MAX
			    : seconds_left(each->until_s * 1000, now_s * 1000),
			.domains = { each->domain },
			.domain_count = 1 };

		if ((each->until_s != 0 && each->until_s <= now_s) ||
		    (*name != '\0' && strcmp(name, each->domain) != 0))
			continue;
		operate_put_destination(outbox_add(&queue->outbox), &out);
	}
}

static void
list(struct queue_hand *queue, const char *name)
{
	struct spawner *spawner = queue->spawner;
	const struct destination *destination;

	if (*name != '\0')
		mark_meant(spawner, name);
	TAILQ_FOREACH(destination, &spawner->destinations, in_spawner)
		if (*name == '\0' || destination->is_meant)
			put_listed(queue, destination);
	walk_domains(
	    spawner, *name == '\0' ? NULL : name, put_listed_domain, queue);
	put_suspensions(queue, name);
}

/* -- a request */

static void
log_request(const struct operate_request *request, uid_t uid)
{
	static const char *const words[] = {
		[OPERATE_SUSPENSIONS] = "suspensions changed",
		[OPERATE_REBIND] = "rebind",
		[OPERATE_RESET] = "reset"
	};
	char domain[IDN_DOMAIN_SIZE];

	if (request->action == OPERATE_LIST)
		return;
	log_word(domain, sizeof(domain), request->domain);
	log_line("%s%s%s by uid %lu", words[request->action],
	    *domain == '\0' ? "" : " ", domain, (unsigned long)uid);
}

bool
operate_take(struct queue_hand *queue, const char *packet, size_t length)
{
	struct spawner *spawner = queue->spawner;
	struct operate_request request;
	struct error err = { .text = "" };
	struct operate_end end = { OPERATE_DONE, err.text };

	if (!operate_get_request(packet, length, &request))
		return false;
	queue->is_operator = true;
	log_request(&request, queue->uid);
	if (queue->uid != 0 && queue->uid != geteuid()) {
		end.code = OPERATE_FAILED;
		error_set(&err, "only root and the user of qmail-rspawn may");
	} else
		switch (request.action) {
		case OPERATE_LIST:
			list(queue, request.domain);
			break;
		case OPERATE_SUSPENSIONS:
			end.code = read_suspensions(spawner, &err);
			break;
		case OPERATE_REBIND:
			end.code = rebind(spawner, request.domain, &err);
			break;
		case OPERATE_RESET:
			end.code = reset(spawner, request.domain, &err);
			break;
		case OPERATE_ACTION_END:
			break;
		}
	operate_put_end(outbox_add(&queue->outbox), &end);
	return true;
}
