/* SPDX-License-Identifier: ISC */
/* svctool log: what the logs of all services say, in one order. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_text.h"
#include "base/mem.h"
#include "control/json_text.h"
#include "svctool/args.h"
#include "svctool/node.h"
#include "svctool/show/log_match.h"
#include "svctool/show/log_merge.h"
#include "svctool/show/log_time.h"
#include "svctool/svctool.h"

/* What was asked for. */
struct request {
	const char *home, *id, *queue, *address, *since, *until;
	struct strlist services;
	bool is_following, is_utc, is_json;
	struct log_filter filter;
	struct timespec from, to; /* to without seconds: no end */
};

static void
print_json(const char *service, const struct log_entry *entry,
    const struct log_fields *fields)
{
	char label[TAI64N_SIZE], when[LOG_TIME_SIZE], uuid[UUID_TEXT_SIZE];
	json_t *object;

	tai64n_write(&entry->when, label);
	log_time_write(&entry->when, true, when);
	object = json_pack("{s:s, s:s, s:o, s:o}", "time", when, "tai64n",
	    label, "service", json_text(service), "text",
	    json_text(entry->text));
	if (fields->queue[0] != '\0')
		json_object_set_new(object, "queue", json_text(fields->queue));
	if (fields->message != 0)
		json_object_set_new(
		    object, "msg", json_integer((json_int_t)fields->message));
	if (fields->delivery != 0)
		json_object_set_new(object, "delivery",
		    json_integer((json_int_t)fields->delivery));
	if (!uuid_is_none(&fields->uuid)) {
		uuid_format(&fields->uuid, uuid);
		json_object_set_new(object, "uuid", json_string(uuid));
	}
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

static void
print_line(const struct request *request, const char *service,
    const struct log_entry *entry, const struct log_fields *fields)
{
	char when[LOG_TIME_SIZE];

	if (request->is_json) {
		print_json(service, entry, fields);
		return;
	}
	log_time_write(&entry->when, request->is_utc, when);
	printf("%s %s: %s\n", when, service, entry->text);
}

/* The "new msg" that came before the line which said whose it is. */
static void
print_first(const struct request *request, const char *service,
    const struct log_fields *fields, const struct timespec *when)
{
	struct log_fields said = { .kind = LOG_KIND_NEW,
		.message = fields->message };
	char text[40];
	const struct log_entry entry = { .when = *when, .text = text };

	memcpy(said.queue, fields->queue, sizeof(said.queue));
	snprintf(text, sizeof(text), "new msg %" PRIu64, fields->message);
	print_line(request, service, &entry, &said);
}

/* Lines before the time asked for still say which numbers are whose. */
static void
show_line(const struct request *request, struct log_match *match,
    const char *service, const struct log_entry *entry)
{
	struct log_fields fields;
	struct timespec first_when;

	if (!log_match_line(match, service, entry, &fields, &first_when) ||
	    log_time_is_before(&entry->when, &request->from))
		return;
	if (first_when.tv_sec != 0)
		print_first(request, service, &fields, &first_when);
	print_line(request, service, entry, &fields);
}

static int
show_lines(const struct request *request, struct log_merge *merge)
{
	struct log_match *match = log_match_new(&request->filter);
	int code = EXIT_FINE, result;
	struct log_entry entry;
	const char *service;
	struct error err;

	for (;;) {
		result = log_merge_next(merge, &service, &entry, &err);
		if (result == -1)
			code = complain(EXIT_TROUBLE, &err);
		else if (result == 1) {
			if (request->to.tv_sec != 0 &&
			    !log_time_is_before(&entry.when, &request->to))
				break;
			show_line(request, match, service, &entry);
		} else if (!request->is_following || fflush(stdout) == EOF)
			break;
		else if (log_merge_wait(merge, &err) == -1) {
			code = complain(EXIT_TROUBLE, &err);
			break;
		}
	}
	log_match_free(&match);
	if (fflush(stdout) == EOF) {
		error_sys(&err, "cannot write");
		code = complain(EXIT_TROUBLE, &err);
	}
	return code;
}

/* 0, or -1 for what is no such word. */
static int
read_words(struct request *request, struct error *err)
{
	time_t now = time(NULL);
	size_t size;

	if (request->is_following && request->until != NULL)
		return error_set(err, "--follow has no end: leave out --until");
	if (request->since != NULL &&
	    log_time_parse(request->since, request->is_utc, now, &request->from,
		err) == -1)
		return -1;
	if (request->until != NULL &&
	    log_time_parse(
		request->until, request->is_utc, now, &request->to, err) == -1)
		return -1;
	if (request->id != NULL &&
	    log_filter_set_id(&request->filter, request->id, err) == -1)
		return -1;
	if (request->queue != NULL)
		request->filter.queue = node_queue_name(request->queue);
	if (request->address != NULL) {
		size = strlen(request->address) + 1;
		request->filter.address = xmalloc(size);
		log_word(request->filter.address, size, request->address);
	}
	for (size_t i = 0; i < request->services.count; i++)
		if (strchr(request->services.items[i], '/') != NULL ||
		    request->services.items[i][0] == '.')
			return error_set(err, "'%s' is no service's name",
			    request->services.items[i]);
	return 0;
}

static int
show_log(const struct request *request)
{
	struct log_merge *merge = NULL;
	struct error err;
	struct node *node = node_new(request->home, NULL, &err);
	char *folder;
	int code;

	if (node != NULL && node_exists(node, &err)) {
		folder = node_path(node, "%s", node->home->log);
		merge = log_merge_new(folder, &request->services,
		    &request->from, request->is_following, &err);
		free(folder);
	}
	code = merge != NULL ? show_lines(request, merge)
			     : complain(EXIT_TROUBLE, &err);
	log_merge_free(&merge);
	node_free(&node);
	return code;
}

int
cmd_log(int argc, char **argv)
{
	struct request request = { .home = NULL };
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &request.home },
		{ "service", ARG_LIST, &request.services },
		{ "queue", ARG_TEXT, &request.queue },
		{ "id", ARG_TEXT, &request.id },
		{ "address", ARG_TEXT, &request.address },
		{ "since", ARG_TEXT, &request.since },
		{ "until", ARG_TEXT, &request.until },
		{ "follow", ARG_FLAG, &request.is_following },
		{ "utc", ARG_FLAG, &request.is_utc },
		{ "json", ARG_FLAG, &request.is_json },
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	int code;

	if (args_parse(rows, argc, argv, NULL, &err) == -1 ||
	    read_words(&request, &err) == -1)
		code = complain(EXIT_USAGE, &err);
	else
		code = show_log(&request);
	strlist_release(&request.services);
	free(request.filter.address);
	free(request.filter.queue);
	return code;
}
