/* SPDX-License-Identifier: ISC */
/* qmail-qread: lists the messages of the queues (qmail-qread(8)). */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/log_text.h"
#include "base/strlist.h"
#include "base/usage.h"
#include "control/json_text.h"
#include "queue/envelope.h"
#include "queue/look.h"

/* What is being listed, and how. */
struct reader {
	const char *queue; /* its name */
	json_t *messages;  /* NULL: as text */
	bool is_verbose;
	bool is_whole; /* nothing damaged was found */
	time_t now;
};

static const char *
state_name(enum look_state state)
{
	switch (state) {
	case LOOK_FRESH:
		return "fresh";
	case LOOK_QUEUED:
	case LOOK_REMEMBERED:
		return "kept";
	}
	return "unknown";
}

/* "" for a message of another system's. */
static void
format_uuid(const struct look_message *message, char text[UUID_TEXT_SIZE])
{
	text[0] = '\0';
	if (!uuid_is_none(&message->uuid))
		uuid_format(&message->uuid, text);
}

static int64_t
age_s(const struct reader *reader, const struct look_message *message)
{
	return reader->now > message->birth ? reader->now - message->birth : 0;
}

static void
print_word(const char *text)
{
	char word[2 * ENVELOPE_ADDRESS_MAX];

	log_word(word, sizeof(word), text);
	fputs(word, stdout);
}

/* The first line and the recipients', as scripts know them from qmail. */
static void
print_message(const struct reader *reader, const struct look_message *message)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char uuid[UUID_TEXT_SIZE];
	struct tm tm;

	gmtime_r(&message->birth, &tm);
	printf("%d %.3s %d %02d:%02d:%02d GMT  #%" PRIu64 "  %" PRIu64 "  <",
	    tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, message->id, message->size_bytes);
	print_word(message->sender);
	printf("> %s\n", message->is_bouncing ? " bouncing" : "");
	if (reader->is_verbose) {
		format_uuid(message, uuid);
		printf("  uuid %s  age %" PRId64 "  state %s  tries %u\n",
		    uuid[0] == '\0' ? "-" : uuid, age_s(reader, message),
		    state_name(message->state), message->attempt);
	}
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct look_recipient *recipient =
		    &message->recipients[i];

		printf("%s\t%s\t", recipient->is_done ? "  done" : "",
		    queue_folder_name(recipient->channel));
		print_word(recipient->address);
		putchar('\n');
	}
}

static json_t *
recipients_json(const struct look_message *message)
{
	json_t *recipients = json_array();

	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct look_recipient *from = &message->recipients[i];

		json_array_append_new(recipients,
		    json_pack("{s:s, s:b, s:o}", "channel",
			queue_folder_name(from->channel), "done", from->is_done,
			"address", json_text(from->address)));
	}
	return recipients;
}

static void
add_json(const struct reader *reader, const struct look_message *message)
{
	char uuid[UUID_TEXT_SIZE];
	json_t *object = json_pack(
	    "{s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:o, s:o}", "id",
	    (json_int_t)message->id, "queue", reader->queue, "state",
	    state_name(message->state), "size", (json_int_t)message->size_bytes,
	    "birth", (json_int_t)message->birth, "age",
	    (json_int_t)age_s(reader, message), "tries",
	    (json_int_t)message->attempt, "preprocessed",
	    message->state == LOOK_REMEMBERED, "bouncing", message->is_bouncing,
	    "sender", json_text(message->sender), "recipients",
	    recipients_json(message));

	format_uuid(message, uuid);
	if (uuid[0] != '\0')
		json_object_set_new(object, "uuid", json_string(uuid));
	if (message->problem != NULL)
		json_object_set_new(
		    object, "problem", json_text(message->problem));
	json_array_append_new(reader->messages, object);
}

/* What is damaged is said, and does not hide the rest. */
static bool
show_listed(const struct look_message *message, void *context)
{
	struct reader *reader = context;

	if (message->problem != NULL) {
		log_line("message %" PRIu64 " in %s cannot be delivered: %s",
		    message->id, reader->queue, message->problem);
		reader->is_whole = false;
	}
	if (reader->messages != NULL)
		add_json(reader, message);
	else
		print_message(reader, message);
	return true;
}

/* False when something could not be read, which has been said. */
static bool
read_queue(const char *path, struct reader *reader)
{
	struct error err;
	struct queue_dir *dir = look_queue(path, &err);
	int result = -1;

	reader->is_whole = true;
	if (dir != NULL) {
		reader->queue = dir->name;
		result = look_messages(dir, show_listed, reader, &err);
	}
	if (result == -1)
		log_line("%s", err.text);
	queue_dir_close(&dir);
	return result == 0 && reader->is_whole;
}

static const char usage[] = "usage: qmail-qread [-v] [--json]";

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct reader reader = { .now = time(NULL) };
	bool is_whole = true;
	struct error err;
	struct strlist paths = { .count = 0 };
	int option;

	log_open("qmail-qread");
	usage_answer(argv, "qmail-qread", usage);
	while ((option = getopt_long(argc, argv, "v", options, NULL)) != -1)
		if (option == 'v')
			reader.is_verbose = true;
		else if (option != 'j')
			fatal(100, "%s", usage);
		else if (reader.messages == NULL)
			reader.messages = json_array();
	if (optind != argc)
		fatal(100, "%s", usage);
	if (look_open("qmail-qread", &paths, &err) == -1)
		fatal(111, "%s", err.text);
	for (size_t i = 0; i < paths.count; i++)
		is_whole &= read_queue(paths.items[i], &reader);
	strlist_release(&paths);
	if (reader.messages != NULL) {
		json_dumpf(reader.messages, stdout,
		    JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
		json_decref(reader.messages);
	}
	if (fflush(stdout) == EOF)
		fatal(111, "cannot write the answer: %m");
	return is_whole ? 0 : 111;
}
