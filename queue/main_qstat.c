/* SPDX-License-Identifier: ISC */
/* qmail-qstat: how many messages the queues hold (qmail-qstat(8)). */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/usage.h"
#include "control/json_text.h"
#include "queue/idmap.h"
#include "queue/journal_view.h"
#include "queue/look.h"

struct count {
	uint64_t messages;
	uint64_t not_preprocessed;
};

/* A queue's messages as they are found. */
struct counting {
	struct count *count;
	struct idmap todo;
};

static int
add_todo(uint64_t id, void *context)
{
	struct counting *counting = context;

	if (idmap_put(&counting->todo, id, NULL)) {
		counting->count->not_preprocessed++;
		counting->count->messages++;
	}
	return 0;
}

/* One that also is in todo/ is in S4 still, or was when we looked. */
static int
add_info(uint64_t id, void *context)
{
	struct counting *counting = context;

	counting->count->messages += !idmap_has(&counting->todo, id);
	return 0;
}

/* Those of the journal count as in todo/, where they soon are. */
static int
count_journal(
    const struct queue_dir *dir, struct counting *counting, struct error *err)
{
	struct journal_view view;
	size_t i;

	if (journal_view_open(dir, &view, err) == -1)
		return -1;
	for (i = 0; i < view.count; i++)
		add_todo(view.records[i].id, counting);
	journal_view_release(&view);
	return 0;
}

/*
 * Messages are those with an envelope, S4 and S5: mess/ also has spare files
 * and what is only on its way in.
 */
static int
count_queue(const struct queue_dir *dir, struct count *count, struct error *err)
{
	struct counting counting = { .count = count };
	unsigned part;
	int result;

	*count = (struct count){ .messages = 0 };
	result = count_journal(dir, &counting, err);
	if (result == 0)
		result = look_folder(
		    dir, QUEUE_TODO, 0, add_todo, &counting, err);
	for (part = 0; result == 0 && part < dir->split; part++)
		result = look_folder(
		    dir, QUEUE_INFO, part, add_info, &counting, err);
	idmap_release(&counting.todo);
	return result;
}

static void
print_text(const char *name, const struct count *count)
{
	const char *colon = name[0] == '\0' ? "" : ": ";

	printf("%s%smessages in queue: %" PRIu64 "\n", name, colon,
	    count->messages);
	printf("%s%smessages in queue but not yet preprocessed: %" PRIu64 "\n",
	    name, colon, count->not_preprocessed);
}

static json_t *
make_json(const struct count *count)
{
	return json_pack("{s:I, s:I}", "messages", (json_int_t)count->messages,
	    "not_preprocessed", (json_int_t)count->not_preprocessed);
}

static void
print_json(const struct count *total, json_t *queues)
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
    const char *path, bool is_verbose, json_t *queues, struct count *total)
{
	struct error err;
	struct queue_dir *dir = look_queue(path, &err);
	struct count count;
	json_t *queue;
	bool is_counted = dir != NULL && count_queue(dir, &count, &err) == 0;

	if (is_counted) {
		total->messages += count.messages;
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
	struct count total = { .messages = 0 };
	json_t *queues = json_array();
	struct error err;
	struct look look;
	unsigned i;
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
	if (look_open("qmail-qstat", &look, &err) == -1)
		fatal(111, "%s", err.text);
	for (i = 0; i < look.count; i++)
		is_whole &= show_queue(
		    look.paths[i], is_verbose && !is_json, queues, &total);
	look_release(&look);
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
