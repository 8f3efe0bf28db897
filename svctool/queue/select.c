/* SPDX-License-Identifier: ISC */
/* Which messages of the node's queues are meant. */
#include "svctool/queue/select.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/scan.h"
#include "control/settings.h"
#include "queue/health.h"
#include "queue/held.h"
#include "svctool/queue/ops.h"

/* "90", "10m", "3d": a number and one of these letters. */
static bool
scan_units(const char *text, const char *letters, const uint64_t *units,
    uint64_t *value_out)
{
	size_t length = strlen(text);
	uint64_t value, unit = 1;
	const char *letter = length == 0 ? NULL
					 : strchr(letters, text[length - 1]);

	if (letter != NULL) {
		unit = units[letter - letters];
		length--;
	}
	if (!scan_u64n(text, length, UINT64_MAX / unit, &value))
		return false;
	*value_out = value * unit;
	return true;
}

bool
scan_time(const char *text, uint64_t *seconds_out)
{
	static const uint64_t units[] = { 1, 60, 3600, 86400, 604800 };

	return scan_units(text, "smhdw", units, seconds_out);
}

static void
write_names_out(struct strlist *queues)
{
	uint64_t number;

	for (size_t i = 0; i < queues->count; i++)
		if (scan_u64(queues->items[i], UINT32_MAX, &number)) {
			char *name = xasprintf("queue%s", queues->items[i]);

			free(queues->items[i]);
			queues->items[i] = name;
		}
}

int
filter_prepare(
    struct filter *filter, int words, char *const *argv, struct error *err)
{
	static const uint64_t sizes[] = { 1024, 1024 * 1024, 1024 * 1024 };
	struct uuid uuid;
	uint64_t id;

	for (int i = 0; i < words; i++)
		strlist_addn(&filter->ids, argv[i], strlen(argv[i]));
	for (size_t i = 0; i < filter->ids.count; i++)
		if (!scan_u64(filter->ids.items[i], UINT64_MAX, &id) &&
		    !uuid_parse(filter->ids.items[i], &uuid))
			return error_set(err,
			    "'%s' is no message's number or UUID",
			    filter->ids.items[i]);
	if (filter->older != NULL &&
	    !scan_time(filter->older, &filter->older_s))
		return error_set(
		    err, "--older takes a time, like 90s, 10m, 3h, 2d or 1w");
	if (filter->larger != NULL &&
	    !scan_units(filter->larger, "kMm", sizes, &filter->larger_bytes))
		return error_set(
		    err, "--larger takes bytes, like 5000, 20k or 10M");
	write_names_out(&filter->queues);
	return 0;
}

void
filter_release(struct filter *filter)
{
	strlist_release(&filter->ids);
	strlist_release(&filter->queues);
}

bool
filter_has_any(const struct filter *filter)
{
	return filter->is_all || filter->sender != NULL ||
	    filter->recipient != NULL || filter->domain != NULL ||
	    filter->lane != NULL || filter->reason != NULL ||
	    filter->older != NULL || filter->larger != NULL ||
	    filter->ids.count > 0;
}

const char *
chosen_address(
    const struct chosen *chosen, const struct look_recipient *recipient)
{
	return recipient->channel == QUEUE_LOCAL
	    ? route_strip(chosen->route, recipient->address)
	    : recipient->address;
}

const char *
address_domain(const char *address)
{
	const char *at = strrchr(address, '@');

	return at == NULL ? "" : at + 1;
}

const struct rest *
chosen_rest(const struct chosen *chosen, const struct look_recipient *recipient)
{
	/* One that was not routed yet, too: only remote domains rest here. */
	return recipient->channel == QUEUE_LOCAL
	    ? NULL
	    : rests_find(chosen->rests,
		  address_domain(chosen_address(chosen, recipient)));
}

static bool
matches(const char *pattern, const char *text)
{
	return pattern == NULL || fnmatch(pattern, text, FNM_CASEFOLD) == 0;
}

/* A remote lane is a domain; those of local recipients have a kind in front. */
static bool
is_in_lane(const char *lane, const struct look_recipient *recipient,
    const char *domain)
{
	if (lane == NULL)
		return true;
	if (recipient->channel == QUEUE_REMOTE)
		return strcasecmp(lane, domain) == 0;
	if (strncmp(lane, "virtual:", 8) == 0)
		return strcasecmp(lane + 8, domain) == 0;
	return recipient->channel == QUEUE_LOCAL &&
	    (strcmp(lane, "virtual") == 0 || strcmp(lane, "local") == 0);
}

const char *
chosen_hold(const struct chosen *chosen, const struct look_recipient *recipient)
{
	const char *domain = address_domain(chosen_address(chosen, recipient));

	for (size_t i = 0; i < chosen->held_lanes->count; i++)
		if (is_in_lane(chosen->held_lanes->items[i], recipient, domain))
			return "lane";
	return (recipient->channel == QUEUE_LOCAL && chosen->is_held_local) ||
		(recipient->channel == QUEUE_REMOTE && chosen->is_held_remote)
	    ? "queue"
	    : NULL;
}

/* Is there one left that all filters of recipients match? */
static bool
has_recipient(const struct filter *filter, const struct chosen *chosen)
{
	const struct look_message *message = chosen->message;

	if (filter->recipient == NULL && filter->domain == NULL &&
	    filter->lane == NULL)
		return true;
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct look_recipient *recipient =
		    &message->recipients[i];
		const char *address = chosen_address(chosen, recipient);
		const char *domain = address_domain(address);

		if (!recipient->is_done &&
		    matches(filter->recipient, address) &&
		    matches(filter->domain, domain) &&
		    is_in_lane(filter->lane, recipient, domain))
			return true;
	}
	return false;
}

/* Of what has failed, or why something that is left rests. */
static bool
has_reason(const struct filter *filter, const struct chosen *chosen)
{
	const struct look_message *message = chosen->message;

	if (matches(filter->reason, message->notes) ||
	    deferrals_match(chosen->deferrals, message->id, filter->reason))
		return true;
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct look_recipient *recipient =
		    &message->recipients[i];
		const struct rest *rest = recipient->is_done
		    ? NULL
		    : chosen_rest(chosen, recipient);

		if (rest != NULL && matches(filter->reason, rest->reason))
			return true;
	}
	return false;
}

static bool
has_id(const struct filter *filter, const struct look_message *message)
{
	char id[32], uuid[UUID_TEXT_SIZE];

	if (filter->ids.count == 0)
		return true;
	snprintf(id, sizeof(id), "%" PRIu64, message->id);
	uuid_format(&message->uuid, uuid);
	return strlist_has(&filter->ids, id) ||
	    (!uuid_is_none(&message->uuid) && strlist_has(&filter->ids, uuid));
}

static bool
is_chosen(const struct filter *filter, const struct chosen *chosen)
{
	const struct look_message *message = chosen->message;
	time_t now = time(NULL);

	return has_id(filter, message) &&
	    matches(filter->sender, message->sender) &&
	    has_reason(filter, chosen) &&
	    (filter->older == NULL ||
		message->birth + (time_t)filter->older_s < now) &&
	    (filter->larger == NULL ||
		message->size_bytes > filter->larger_bytes) &&
	    has_recipient(filter, chosen);
}

struct visiting {
	const struct filter *filter;
	struct chosen chosen;
	struct rests rests;
	void (*visit)(const struct chosen *chosen, void *context);
	void *context;
};

static bool
visit_if_chosen(const struct look_message *message, void *context)
{
	struct visiting *visiting = context;

	visiting->chosen.message = message;
	if (is_chosen(visiting->filter, &visiting->chosen))
		visiting->visit(&visiting->chosen, visiting->context);
	return true;
}

/* A queue that tells nothing of itself is taken for one that is not held. */
static void
load_holds(const char *path, struct chosen *chosen, struct held *held)
{
	struct error unused;
	struct health health;

	if (held_read(path, held, &unused) == -1)
		held_release(held);
	health_read(path, &health, &unused);
	chosen->held_lanes = &held->lanes;
	chosen->is_held_local = health.is_held_local;
	chosen->is_held_remote = health.is_held_remote;
}

static int
visit_queue(const struct node *node, const char *name,
    struct visiting *visiting, struct error *err)
{
	char *path = node_path(node, "%s/%s", node->home->queue, name);
	struct settings *settings = settings_load(
	    node->home->control, "qmail-send", name, err);
	struct route *route = settings == NULL ? NULL
					       : route_new(settings, err);
	struct queue_dir *dir = route == NULL ? NULL : look_queue(path, err);
	struct deferrals deferrals = { .by_message = { .slots = NULL } };
	struct held held = { .lanes = { .count = 0 } };
	int result = -1;

	/* Only for how addresses are shown. */
	if (route != NULL)
		route_add_cluster(
		    route, cluster_domains_new(node->home), NULL);
	if (visiting->filter->reason != NULL)
		deferrals_load(node, name, &deferrals);

	if (dir != NULL) {
		visiting->chosen = (struct chosen){ .queue = name,
			.path = path,
			.dir = dir,
			.route = route,
			.rests = &visiting->rests,
			.held_lanes = &held.lanes,
			.deferrals = &deferrals };
		if (visiting->filter->wants_rests)
			load_holds(path, &visiting->chosen, &held);
		result = look_messages(dir, visit_if_chosen, visiting, err);
	}
	held_release(&held);
	deferrals_release(&deferrals);
	queue_dir_close(&dir);
	route_free(&route);
	settings_free(&settings);
	free(path);
	return result;
}

int
filter_visit(const struct node *node, const struct filter *filter,
    void (*visit)(const struct chosen *chosen, void *context), void *context,
    struct error *err)
{
	struct visiting visiting = {
		.filter = filter, .visit = visit, .context = context
	};
	struct strlist names = { .count = 0 };
	struct error other_err;
	int result = 0;

	for (size_t i = 0; i < filter->queues.count; i++)
		if (queue_must_exist(node, filter->queues.items[i], err) == -1)
			return -1;
	if (node_queues(node, &names, err) == -1)
		return -1;
	if (filter->wants_rests || filter->reason != NULL)
		rests_load(node, &visiting.rests);
	for (size_t i = 0; i < names.count; i++)
		if ((filter->queues.count == 0 ||
			strlist_has(&filter->queues, names.items[i])) &&
		    visit_queue(node, names.items[i], &visiting,
			result == 0 ? err : &other_err) == -1)
			result = -1;
	strlist_release(&names);
	rests_release(&visiting.rests);
	return result;
}
