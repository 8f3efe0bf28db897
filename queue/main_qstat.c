/* SPDX-License-Identifier: ISC */
/* qmail-qstat: how many messages the queues hold (qmail-qstat(8)). */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"
#include "base/strlist.h"
#include "base/usage.h"
#include "control/json_text.h"
#include "queue/look.h"

static void
print_text(const char *name, const struct look_count *count)
{
	const char *colon = name[0] == '\0' ? "" : ": ";

	printf("%s%smessages in queue: %" PRIu64 "\n", name, colon,
	    count->messages);
	printf("%s%smessages in queue but not yet preprocessed: %" PRIu64 "\n",
	    name, colon, count->not_preprocessed);
}

static json_t *
make_json(const struct look_count *count)
{
	return json_pack("{s:I, s:I, s:I}", "messages",
	    (json_int_t)count->messages, "fresh", (json_int_t)count->fresh,
	    "not_preprocessed", (json_int_t)count->not_preprocessed);
}

static void
print_json(const struct look_count *total, json_t *queues)
{
	json_t *all = make_json(total);

	json_object_set_new(all, "queues", queues);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

/* Counts one queue and shows it, as asked.  False when it could not. */
static bool
show_queue(
    const char *path, bool is_verbose, json_t *queues, struct look_count *total)
{
	struct error err;
	struct queue_dir *dir = look_queue(path, &err);
	struct look_count count;
	json_t *queue;
	bool is_counted = dir != NULL && look_count(dir, &count, &err) == 0;

	if (is_counted) {
		total->messages += count.messages;
		total->fresh += count.fresh;
		total->not_preprocessed += count.not_preprocessed;
		if (is_verbose)
			print_text(dir->name, &count);
		queue = make_json(&count);
		json_object_set_new(queue, "name", json_text(dir->name));
		json_object_set_new(queue, "path", json_text(path));
		json_array_append_new(queues, queue);
	} else
		log_line("%s", err.text);
	queue_dir_close(&dir);
	return is_counted;
}

static const char usage[] = "usage: qmail-qstat [-v] [--json]";

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	bool is_json = false, is_verbose = false, is_whole = true;
	struct look_count total = { .messages = 0 };
	json_t *queues = json_array();
	struct error err;
	struct strlist paths = { .count = 0 };
	int option;

	log_open("qmail-qstat");
	usage_answer(argv, "qmail-qstat", usage);
	while ((option = getopt_long(argc, argv, "v", options, NULL)) != -1)
		if (option == 'j')
			is_json = true;
		else if (option == 'v')
			is_verbose = true;
		else
			fatal(100, "%s", usage);
	if (optind != argc)
		fatal(100, "%s", usage);
	if (look_open("qmail-qstat", &paths, &err) == -1)
		fatal(111, "%s", err.text);
	for (size_t i = 0; i < paths.count; i++)
		is_whole &= show_queue(
		    paths.items[i], is_verbose && !is_json, queues, &total);
	strlist_release(&paths);
	/* A sum without a queue would be taken for the sum. */
	if (!is_whole)
		json_decref(queues);
	else if (is_json)
		print_json(&total, queues);
	else {
		print_text("", &total);
		json_decref(queues);
	}
	if (fflush(stdout) == EOF)
		fatal(111, "cannot write the answer: %m");
	return is_whole ? 0 : 111;
}
