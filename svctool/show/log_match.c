/* SPDX-License-Identifier: ISC */
/* Which log lines are asked for. */
#include "svctool/show/log_match.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"
#include "base/scan.h"

/*
 * What is known of the message, or of an address' deliveries.  The oldest is
 * forgotten: a node that is killed leaves deliveries without a result.
 */
enum { KNOWN_MAX = 10000 };

/* A message, or a delivery, of a queue. */
struct known {
	TAILQ_ENTRY(known) link;
	bool is_delivery;
	uint64_t number;
	char queue[LOG_QUEUE_SIZE];
};

TAILQ_HEAD(known_list, known);

struct log_match {
	const struct log_filter *filter;
	struct uuid
	    uuid; /* that is looked for: the filter's, or of its number */
	struct known_list known;
	unsigned known_count;
	/* The last "new msg": the next line of its log tells its UUID. */
	struct known_list begun; /* one a queue */
};

struct begun {
	struct known known; /* first */
	struct timespec when;
};

struct log_match *
log_match_new(const struct log_filter *filter)
{
	struct log_match *match = xcalloc(1, sizeof(*match));

	match->filter = filter;
	match->uuid = filter->uuid;
	TAILQ_INIT(&match->known);
	TAILQ_INIT(&match->begun);
	return match;
}

static void
free_known(struct known_list *list)
{
	struct known *known;

	while ((known = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, known, link);
		free(known);
	}
}

void
log_match_free(struct log_match **match_in)
{
	struct log_match *match = *match_in;

	if (match == NULL)
		return;
	free_known(&match->known);
	free_known(&match->begun);
	free(match);
	*match_in = NULL;
}

int
log_filter_set_id(
    struct log_filter *filter, const char *word, struct error *err)
{
	if (strlen(word) == UUID_TEXT_SIZE - 1 &&
	    uuid_parse(word, &filter->uuid) && !uuid_is_none(&filter->uuid))
		return 0;
	if (scan_u64(word, UINT64_MAX, &filter->number) && filter->number > 0)
		return 0;
	return error_set(
	    err, "'%s' is no message: give its number or its UUID", word);
}

static struct known *
find_known(const struct log_match *match, const char *queue, bool is_delivery,
    uint64_t number)
{
	struct known *known;

	TAILQ_FOREACH(known, &match->known, link)
		if (known->number == number &&
		    known->is_delivery == is_delivery &&
		    strcmp(known->queue, queue) == 0)
			return known;
	return NULL;
}

static void
forget(struct log_match *match, struct known *known)
{
	if (known == NULL)
		return;
	TAILQ_REMOVE(&match->known, known, link);
	match->known_count--;
	free(known);
}

static void
learn(struct log_match *match, const struct log_fields *fields,
    bool is_delivery, uint64_t number)
{
	struct known *known;

	if (find_known(match, fields->queue, is_delivery, number) != NULL)
		return;
	if (match->known_count == KNOWN_MAX)
		forget(match, TAILQ_FIRST(&match->known));
	known = xcalloc(1, sizeof(*known));
	known->is_delivery = is_delivery;
	known->number = number;
	memcpy(known->queue, fields->queue, sizeof(known->queue));
	TAILQ_INSERT_TAIL(&match->known, known, link);
	match->known_count++;
}

/* The deliveries of a qmail-send that was started anew. */
static void
forget_deliveries(struct log_match *match, const char *queue)
{
	struct known *known, *next;

	for (known = TAILQ_FIRST(&match->known); known != NULL; known = next) {
		next = TAILQ_NEXT(known, link);
		if (known->is_delivery && strcmp(known->queue, queue) == 0)
			forget(match, known);
	}
}

/* What stands of the queue in begun; with is_wanted one is made. */
static struct begun *
begun_of(struct log_match *match, const char *queue, bool is_wanted)
{
	struct begun *begun;
	struct known *known;

	TAILQ_FOREACH(known, &match->begun, link)
		if (strcmp(known->queue, queue) == 0)
			return (struct begun *)known;
	if (!is_wanted)
		return NULL;
	begun = xcalloc(1, sizeof(*begun));
	memcpy(begun->known.queue, queue, strlen(queue) + 1);
	TAILQ_INSERT_TAIL(&match->begun, &begun->known, link);
	return begun;
}

/* Of the message that is looked for, by what was learned up to this line. */
static bool
is_of_message(struct log_match *match, const struct log_entry *entry,
    const struct log_fields *fields)
{
	const struct log_filter *filter = match->filter;
	const struct known *known;

	if (!uuid_is_none(&match->uuid) &&
	    uuid_is_equal(&match->uuid, &fields->uuid))
		return true;
	if (fields->message != 0)
		return fields->message == filter->number ||
		    find_known(match, fields->queue, false, fields->message) !=
		    NULL;
	if (fields->delivery != 0)
		return find_known(match, fields->queue, true,
			   fields->delivery) != NULL;
	if (filter->number != 0 &&
	    log_fields_has_number(entry->text, filter->number))
		return true;
	TAILQ_FOREACH(known, &match->known, link)
		if (!known->is_delivery &&
		    log_fields_has_number(entry->text, known->number))
			return true;
	return false;
}

static bool
is_of_address(struct log_match *match, const struct log_entry *entry,
    const struct log_fields *fields)
{
	if (fields->kind == LOG_KIND_RESULT)
		return find_known(match, fields->queue, true,
			   fields->delivery) != NULL;
	return log_fields_has_address(
	    entry->text, fields->kind, match->filter->address);
}

/* What a line of the message says of lines to come. */
static void
learn_message(struct log_match *match, const struct log_fields *fields)
{
	if (!uuid_is_none(&fields->uuid))
		match->uuid = fields->uuid;
	if (fields->kind == LOG_KIND_END)
		forget(match,
		    find_known(match, fields->queue, false, fields->message));
	else if (fields->message != 0)
		learn(match, fields, false, fields->message);
}

static void
learn_delivery(struct log_match *match, const struct log_fields *fields)
{
	if (fields->kind == LOG_KIND_START)
		learn(match, fields, true, fields->delivery);
	else if (fields->kind == LOG_KIND_RESULT)
		forget(match,
		    find_known(match, fields->queue, true, fields->delivery));
}

/* A "new msg" that is not known to be of the message. */
static void
begin(struct log_match *match, const struct log_entry *entry,
    const struct log_fields *fields)
{
	struct begun *begun;

	if (fields->kind != LOG_KIND_NEW)
		return;
	begun = begun_of(match, fields->queue, true);
	begun->known.number = fields->message;
	begun->when = entry->when;
}

/* With the line that says its UUID. */
static void
find_begun(struct log_match *match, const struct log_fields *fields,
    struct timespec *first_when_out)
{
	struct begun *begun;

	if (fields->kind != LOG_KIND_INFO)
		return;
	begun = begun_of(match, fields->queue, false);
	if (begun == NULL || begun->known.number != fields->message)
		return;
	*first_when_out = begun->when;
	begun->known.number = 0;
}

bool
log_match_line(struct log_match *match, const char *service,
    const struct log_entry *entry, struct log_fields *fields_out,
    struct timespec *first_when_out)
{
	const struct log_filter *filter = match->filter;
	const struct log_fields *fields = fields_out;
	bool is_by_message = filter->number != 0 ||
	    !uuid_is_none(&filter->uuid);

	*first_when_out = (struct timespec){ .tv_sec = 0 };
	log_fields_read(service, entry->text, fields_out);
	if (fields->kind == LOG_KIND_RUNNING)
		forget_deliveries(match, service);
	if (filter->queue != NULL && strcmp(service, filter->queue) != 0 &&
	    strcmp(fields->queue, filter->queue) != 0)
		return false;
	if (is_by_message) {
		if (!is_of_message(match, entry, fields)) {
			begin(match, entry, fields);
			return false;
		}
		learn_message(match, fields);
	}
	if (filter->address != NULL && !is_of_address(match, entry, fields))
		return false;
	if (is_by_message)
		find_begun(match, fields, first_when_out);
	if (is_by_message || filter->address != NULL)
		learn_delivery(match, fields);
	return true;
}
