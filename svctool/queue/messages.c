/* SPDX-License-Identifier: ISC */
/* svctool queue list, show and ages: what the queues hold. */
#include "svctool/queue/messages.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_text.h"
#include "base/mem.h"
#include "control/json_text.h"
#include "queue/envelope.h"
#include "svctool/svctool.h"

enum {
	SHOW_MAX_BYTES = 64 * 1024 * 1024,
	AGE_COLUMNS = 9 /* up to 5 minutes, 10, ... 640, and more */
};

struct listing {
	const struct message_options *options;
	json_t *rows; /* NULL: as text */
	size_t shown;
	bool has_problem;
	time_t now;
	/* ages */
	struct age_row *ages;
	size_t age_count;
};

struct age_row {
	char *domain;
	struct rest rest; /* domain NULL: it does not */
	const char *hold;
	uint64_t counts[AGE_COLUMNS], total;
};

static void
put_word(const char *text)
{
	char word[2 * ENVELOPE_ADDRESS_MAX];

	log_word(word, sizeof(word), text);
	fputs(word, stdout);
}

static int64_t
seconds_since(const struct listing *listing, time_t then)
{
	return listing->now > then ? listing->now - then : 0;
}

/* "45s", "12m", "5h", "3d" */
static void
put_time(int64_t seconds)
{
	if (seconds < 120)
		printf("%" PRId64 "s", seconds);
	else if (seconds < 7200)
		printf("%" PRId64 "m", seconds / 60);
	else if (seconds < 172800)
		printf("%" PRId64 "h", seconds / 3600);
	else
		printf("%" PRId64 "d", seconds / 86400);
}

static void
put_rest(const struct rest *rest)
{
	if (rest == NULL)
		return;
	printf(" %s ", rest->is_suspended ? "suspended" : "rests");
	if (rest->seconds != UINT32_MAX)
		put_time(rest->seconds);
	printf(": %s", rest->reason);
}

static void
put_hold(const char *hold)
{
	if (hold != NULL)
		printf(" held: its %s", hold);
}

static json_t *
rest_json(const struct rest *rest)
{
	return json_pack("{s:o, s:o, s:b, s:o}", "domain",
	    json_text(rest->domain), "seconds",
	    rest->seconds == UINT32_MAX
		? json_null()
		: json_integer((json_int_t)rest->seconds),
	    "suspended", rest->is_suspended, "reason", json_text(rest->reason));
}

/* As in FUTURERELEASE. */
static void
put_wish(const struct look_message *message)
{
	char date[32];
	struct tm tm;

	if (message->hold_until == 0)
		return;
	gmtime_r(&message->hold_until, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf(" sender-holds-until %s", date);
}

static void
print_chosen(const struct listing *listing, const struct chosen *chosen)
{
	const struct look_message *message = chosen->message;
	char uuid[UUID_TEXT_SIZE] = "-";

	if (!uuid_is_none(&message->uuid))
		uuid_format(&message->uuid, uuid);
	printf("%s %" PRIu64 " %s age ", chosen->queue, message->id, uuid);
	put_time(seconds_since(listing, message->birth));
	printf(" size %" PRIu64 " tries %u next ", message->size_bytes,
	    message->attempt);
	if (message->is_held)
		printf("held%s%s", message->moving_to == NULL ? "" : ": to ",
		    message->moving_to == NULL ? "" : message->moving_to);
	else if (message->retry_at > listing->now)
		put_time(message->retry_at - listing->now);
	else
		printf("now");
	put_wish(message);
	printf("%s from <", message->is_bouncing ? " bouncing" : "");
	put_word(message->sender);
	printf(">\n");
	for (size_t i = 0; i < message->recipient_count; i++) {
		if (message->recipients[i].is_done)
			continue;
		putchar('\t');
		put_word(chosen_address(chosen, &message->recipients[i]));
		put_hold(chosen_hold(chosen, &message->recipients[i]));
		put_rest(chosen_rest(chosen, &message->recipients[i]));
		putchar('\n');
	}
}

/* Each domain once. */
static json_t *
rests_json(const struct chosen *chosen)
{
	const struct look_message *message = chosen->message;
	const struct rest *last = NULL;
	json_t *rests = json_array();

	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct rest *rest = message->recipients[i].is_done
		    ? NULL
		    : chosen_rest(chosen, &message->recipients[i]);

		if (rest != NULL && rest != last)
			json_array_append_new(rests, rest_json(rest));
		last = rest != NULL ? rest : last;
	}
	return rests;
}

static json_t *
chosen_json(const struct listing *listing, const struct chosen *chosen)
{
	const struct look_message *message = chosen->message;
	char uuid[UUID_TEXT_SIZE];
	json_t *left = json_array(), *held = json_array(), *object;

	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct look_recipient *recipient =
		    &message->recipients[i];
		const char *address = chosen_address(chosen, recipient);

		if (recipient->is_done)
			continue;
		json_array_append_new(left, json_text(address));
		if (chosen_hold(chosen, recipient) != NULL)
			json_array_append_new(held, json_text(address));
	}
	object = json_pack(
	    "{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o, s:o, s:o, s:o}",
	    "queue", chosen->queue, "id", (json_int_t)message->id, "age",
	    (json_int_t)seconds_since(listing, message->birth), "size",
	    (json_int_t)message->size_bytes, "tries",
	    (json_int_t)message->attempt, "next_try",
	    (json_int_t)message->retry_at, "held", message->is_held, "bouncing",
	    message->is_bouncing, "sender", json_text(message->sender),
	    "recipients", left, "held_recipients", held, "rests",
	    rests_json(chosen));
	if (!uuid_is_none(&message->uuid)) {
		uuid_format(&message->uuid, uuid);
		json_object_set_new(object, "uuid", json_string(uuid));
	}
	if (message->hold_until != 0)
		json_object_set_new(object, "hold_until",
		    json_integer((json_int_t)message->hold_until));
	if (message->moving_to != NULL)
		json_object_set_new(
		    object, "moving_to", json_text(message->moving_to));
	if (message->problem != NULL)
		json_object_set_new(
		    object, "problem", json_text(message->problem));
	return object;
}

static void
tell_problem(struct listing *listing, const struct chosen *chosen)
{
	if (chosen->message->problem == NULL)
		return;
	fprintf(stderr,
	    "svctool: message %" PRIu64 " in %s cannot be delivered: %s\n",
	    chosen->message->id, chosen->queue, chosen->message->problem);
	listing->has_problem = true;
}

static void
list_chosen(const struct chosen *chosen, void *context)
{
	struct listing *listing = context;

	listing->shown++;
	tell_problem(listing, chosen);
	if (listing->rows != NULL)
		json_array_append_new(
		    listing->rows, chosen_json(listing, chosen));
	else
		print_chosen(listing, chosen);
}

static void
print_rows(json_t *rows)
{
	if (rows == NULL)
		return;
	json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(rows);
}

static int
run_listing(const struct node *node, struct listing *listing,
    void (*visit)(const struct chosen *chosen, void *context))
{
	struct filter filter = listing->options->filter;
	struct error err;
	int code = EXIT_FINE;

	filter.wants_rests = true;
	listing->now = time(NULL);
	if (listing->options->is_json)
		listing->rows = json_array();
	if (filter_visit(node, &filter, visit, listing, &err) == -1)
		code = complain(EXIT_TROUBLE, &err);
	return listing->has_problem ? EXIT_TROUBLE : code;
}

int
messages_list(const struct node *node, const struct message_options *options)
{
	struct listing listing = { .options = options };
	int code = run_listing(node, &listing, list_chosen);

	print_rows(listing.rows);
	return code;
}

/* -- show */

/* The header, or all of it. */
static size_t
shown_bytes(const struct listing *listing, const char *text, size_t length)
{
	const char *end = length >= 1 && text[0] == '\n'
	    ? text
	    : memmem(text, length, "\n\n", 2);

	return listing->options->has_body || end == NULL
	    ? length
	    : (size_t)(end - text) + 1;
}

static json_t *
bytes_json(const char *text, size_t length)
{
	char *copy = xcalloc(length + 1, 1);
	json_t *string;

	for (size_t i = 0; i < length; i++)
		copy[i] = text[i] == '\0' ? '?' : text[i];
	string = json_text(copy);
	free(copy);
	return string;
}

static void
print_recipients(const struct chosen *chosen)
{
	const struct look_message *message = chosen->message;

	for (size_t i = 0; i < message->recipient_count; i++) {
		printf("%s ", message->recipients[i].is_done ? "done" : "left");
		printf(
		    "%s ", queue_folder_name(message->recipients[i].channel));
		put_word(message->recipients[i].address);
		putchar('\n');
	}
	if (message->notes[0] != '\0')
		printf("failed so far:\n%s", message->notes);
}

static json_t *
shown_json(const struct listing *listing, const struct chosen *chosen,
    const char *text, size_t length)
{
	const struct look_message *message = chosen->message;
	json_t *object = chosen_json(listing, chosen), *all = json_array();

	for (size_t i = 0; i < message->recipient_count; i++)
		json_array_append_new(all,
		    json_pack("{s:s, s:b, s:o}", "channel",
			queue_folder_name(message->recipients[i].channel),
			"done", message->recipients[i].is_done, "address",
			json_text(message->recipients[i].address)));
	json_object_set_new(object, "envelope", all);
	json_object_set_new(object, "failed", json_text(message->notes));
	json_object_set_new(object, "text", bytes_json(text, length));
	return object;
}

static void
show_chosen(const struct chosen *chosen, void *context)
{
	struct listing *listing = context;
	const struct look_message *message = chosen->message;
	AUTO(buf_release) struct buf body = BUF_INIT;
	const char *text = message->body;
	size_t length = (size_t)message->size_bytes;
	struct error err;

	buf_init(&body);
	if (text == NULL) {
		if (look_read_body(chosen->dir, message->id, SHOW_MAX_BYTES,
			&body, &err) == -1) {
			complain(EXIT_TROUBLE, &err);
			listing->has_problem = true;
		}
		text = body.data;
		length = body.length;
	}
	length = shown_bytes(listing, text, length);
	listing->shown++;
	tell_problem(listing, chosen);
	if (listing->rows != NULL) {
		json_array_append_new(
		    listing->rows, shown_json(listing, chosen, text, length));
		return;
	}
	print_chosen(listing, chosen);
	print_recipients(chosen);
	putchar('\n');
	fwrite(text, 1, length, stdout);
	putchar('\n');
}

int
messages_show(const struct node *node, const struct message_options *options)
{
	struct listing listing = { .options = options };
	int code = run_listing(node, &listing, show_chosen);
	struct error err;

	print_rows(listing.rows);
	if (listing.shown > 0 || code != EXIT_FINE)
		return code;
	error_set(&err, "no queue has such a message");
	return complain(EXIT_TROUBLE, &err);
}

/* -- ages */

static struct age_row *
find_age_row(
    struct listing *listing, const char *domain, const struct rest *rest)
{
	struct age_row *row;

	for (size_t i = 0; i < listing->age_count; i++)
		if (strcasecmp(listing->ages[i].domain, domain) == 0)
			return &listing->ages[i];
	listing->ages = mem_room(
	    listing->ages, listing->age_count, sizeof(*listing->ages));
	row = &listing->ages[listing->age_count++];
	*row = (struct age_row){ .domain = xstrdup(domain) };
	if (rest != NULL)
		row->rest = (struct rest){ .domain = row->domain,
			.seconds = rest->seconds,
			.is_suspended = rest->is_suspended,
			.reason = xstrdup(rest->reason) };
	return row;
}

static unsigned
age_column(int64_t age_s)
{
	unsigned column = 0;

	for (int64_t limit_s = 300;
	     column < AGE_COLUMNS - 1 && age_s >= limit_s; limit_s *= 2)
		column++;
	return column;
}

/* Each recipient that is left counts. */
static void
count_ages(const struct chosen *chosen, void *context)
{
	struct listing *listing = context;
	const struct look_message *message = chosen->message;
	unsigned column = age_column(seconds_since(listing, message->birth));

	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct look_recipient *recipient =
		    &message->recipients[i];
		struct age_row *row;

		if (recipient->is_done)
			continue;
		row = find_age_row(listing,
		    address_domain(chosen_address(chosen, recipient)),
		    chosen_rest(chosen, recipient));
		row->counts[column]++;
		row->total++;
		if (row->hold == NULL)
			row->hold = chosen_hold(chosen, recipient);
	}
}

static int
compare_ages(const void *a, const void *b)
{
	const struct age_row *first = a, *second = b;

	return first->total != second->total
	    ? (first->total < second->total ? 1 : -1)
	    : strcasecmp(first->domain, second->domain);
}

static void
print_ages(const struct listing *listing)
{
	printf("%8s", "total");
	for (unsigned i = 0; i < AGE_COLUMNS - 1; i++)
		printf(" %6u", 5u << i);
	printf(" %5u+  domain\n", 5u << (AGE_COLUMNS - 2));
	for (size_t i = 0; i < listing->age_count; i++) {
		const struct age_row *row = &listing->ages[i];

		printf("%8" PRIu64, row->total);
		for (unsigned c = 0; c < AGE_COLUMNS; c++)
			printf(" %6" PRIu64, row->counts[c]);
		printf("  ");
		put_word(row->domain);
		put_hold(row->hold);
		put_rest(row->rest.domain == NULL ? NULL : &row->rest);
		putchar('\n');
	}
}

static void
add_ages_json(struct listing *listing)
{
	for (size_t i = 0; i < listing->age_count; i++) {
		const struct age_row *row = &listing->ages[i];
		json_t *counts = json_array();

		for (unsigned c = 0; c < AGE_COLUMNS; c++)
			json_array_append_new(
			    counts, json_integer((json_int_t)row->counts[c]));
		json_array_append_new(listing->rows,
		    json_pack("{s:o, s:I, s:o, s:b, s:o}", "domain",
			json_text(row->domain), "total", (json_int_t)row->total,
			"counts", counts, "held", row->hold != NULL, "rests",
			row->rest.domain == NULL ? json_null()
						 : rest_json(&row->rest)));
	}
}

int
messages_ages(const struct node *node, const struct message_options *options)
{
	struct listing listing = { .options = options };
	int code = run_listing(node, &listing, count_ages);

	if (listing.age_count > 0)
		qsort(listing.ages, listing.age_count, sizeof(*listing.ages),
		    compare_ages);
	if (listing.rows == NULL)
		print_ages(&listing);
	else
		add_ages_json(&listing);
	print_rows(listing.rows);
	for (size_t i = 0; i < listing.age_count; i++) {
		free(listing.ages[i].domain);
		free(listing.ages[i].rest.reason);
	}
	free(listing.ages);
	return code;
}
