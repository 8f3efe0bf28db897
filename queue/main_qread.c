/* SPDX-License-Identifier: ISC */
/* qmail-qread: lists the messages of the queues (qmail-qread(8)). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/json_text.h"
#include "queue/envelope.h"
#include "queue/idmap.h"
#include "queue/journal_view.h"
#include "queue/look.h"
#include "queue/remembered.h"

/* What is being listed. */
struct reader {
	const struct queue_dir *dir;
	json_t *messages; /* NULL: as text */
	struct journal_view journal;
	struct idmap journaled; /* its ids, with their records */
	struct error *err;
};

/* One message as it is shown. */
struct item {
	uint64_t id;
	uint64_t size_bytes;
	time_t birth;
	bool is_bouncing;
	bool is_todo;
	const char *sender;
	json_t *recipients;
};

/* 1; 0 when it is gone, since qmail-send goes on working; -1. */
static int
stat_file(struct reader *reader, enum queue_folder folder, uint64_t id,
    struct stat *st)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id, "");
	if (fstatat(queue_dir_fd(reader->dir, folder, id), name, st,
		AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	if (errno == ENOENT)
		return 0;
	return error_sys(reader->err, "cannot stat '%s/%s/%" PRIu64 "'",
	    reader->dir->path, queue_folder_name(folder), id);
}

/*
 * Reads a file of a message: 1, 0 when it is gone, -1.  Files are used again:
 * one that has lost its name while it was read may hold something else.
 */
static int
read_file(struct reader *reader, enum queue_folder folder, uint64_t id,
    struct buf *text, struct stat *st)
{
	int fd = queue_open_file(reader->dir, folder, id, O_RDONLY);
	struct stat named;
	int result;

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1 || fstat(fd, st) == -1 || queue_read(fd, text) == -1)
		result = error_sys(reader->err,
		    "cannot read '%s/%s/%" PRIu64 "'", reader->dir->path,
		    queue_folder_name(folder), id);
	else {
		result = stat_file(reader, folder, id, &named);
		if (result == 1 && named.st_ino != st->st_ino)
			result = 0;
	}
	if (fd != -1)
		close(fd);
	return result;
}

static void
add_recipient(
    struct item *item, const char *channel, const char *address, bool is_done)
{
	json_t *recipient = json_pack(
	    "{s:s, s:b}", "channel", channel, "done", is_done);

	json_object_set_new(recipient, "address", json_text(address));
	json_array_append_new(item->recipients, recipient);
}

/* For a terminal: control characters are shown as '?'. */
static void
put_text(const char *text)
{
	for (; *text != '\0'; text++)
		putchar(
		    (unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
}

static void
print_item(const struct item *item)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	json_t *recipient;
	struct tm tm;
	size_t i;

	gmtime_r(&item->birth, &tm);
	printf("%d %.3s %d %02d:%02d:%02d GMT  #%" PRIu64 "  %" PRIu64 "  <",
	    tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, item->id, item->size_bytes);
	put_text(item->sender);
	printf("> %s\n", item->is_bouncing ? " bouncing" : "");
	json_array_foreach(item->recipients, i, recipient)
	{
		printf("%s\t%s\t",
		    json_is_true(json_object_get(recipient, "done")) ? "  done"
								     : "",
		    json_string_value(json_object_get(recipient, "channel")));
		put_text(
		    json_string_value(json_object_get(recipient, "address")));
		putchar('\n');
	}
}

static void
show(struct reader *reader, const struct item *item)
{
	json_t *message;

	if (reader->messages == NULL) {
		print_item(item);
		return;
	}
	message = json_pack("{s:I, s:s, s:I, s:I, s:b, s:b, s:O}", "id",
	    (json_int_t)item->id, "queue", reader->dir->name, "size",
	    (json_int_t)item->size_bytes, "birth", (json_int_t)item->birth,
	    "preprocessed", !item->is_todo, "bouncing", item->is_bouncing,
	    "recipients", item->recipients);
	json_object_set_new(message, "sender", json_text(item->sender));
	json_array_append_new(reader->messages, message);
}

/* The recipients of local/ID or remote/ID; a file that is not there has none.
 */
static int
add_channel(struct reader *reader, struct item *item, enum queue_folder folder)
{
	const char *channel = queue_folder_name(folder);
	struct remembered recipient;
	struct buf list = BUF_INIT;
	struct stat st;
	size_t at = 0;
	int result = read_file(reader, folder, item->id, &list, &st);
	bool is_there = result == 1;

	while (result == 1) {
		result = remembered_next(
		    list.data, list.length, &at, &recipient, reader->err);
		if (result == 1)
			add_recipient(item, channel, recipient.address,
			    recipient.is_done);
	}
	if (is_there && result == -1)
		error_context(reader->err, "'%s/%s/%" PRIu64 "'",
		    reader->dir->path, channel, item->id);
	buf_release(&list);
	return result;
}

/* A message in S5, as its info/ID was found. */
static int
read_remembered(uint64_t id, void *context)
{
	struct reader *reader = context;
	struct item item = { .id = id };
	struct buf info = BUF_INIT;
	struct stat st, mess, other;
	int result = stat_file(reader, QUEUE_TODO, id, &other);

	/* Still in todo/ it is S4, whatever else there is. */
	if (result != 0 || idmap_has(&reader->journaled, id))
		return result == -1 ? -1 : 0;
	item.recipients = json_array();
	result = read_file(reader, QUEUE_INFO, id, &info, &st);
	if (result == 1)
		result = stat_file(reader, QUEUE_MESS, id, &mess);
	item.sender = remembered_field(info.data, info.length, 'F');
	if (result == 1 && item.sender != NULL) {
		item.birth = st.st_mtime;
		item.size_bytes = (uint64_t)mess.st_size;
		result = stat_file(reader, QUEUE_BOUNCE, id, &other);
		item.is_bouncing = result == 1;
		if (result == -1 ||
		    add_channel(reader, &item, QUEUE_LOCAL) == -1 ||
		    add_channel(reader, &item, QUEUE_REMOTE) == -1)
			result = -1;
		else
			show(reader, &item);
	} else if (result == 1)
		result = error_set(reader->err,
		    "'%s/info/%" PRIu64 "' is "
		    "damaged",
		    reader->dir->path, id);
	json_decref(item.recipients);
	buf_release(&info);
	return result == -1 ? -1 : 0;
}

/* A message in S4: its recipients have no channel yet. */
static int
show_envelope(
    struct reader *reader, uint64_t id, const char *record, size_t length)
{
	struct item item = { .id = id, .is_todo = true };
	struct envelope envelope;
	struct stat mess;
	int result = stat_file(reader, QUEUE_MESS, id, &mess);
	size_t i;

	if (result != 1)
		return result;
	if (envelope_parse(record, length, false, &envelope, reader->err) == -1)
		return error_context(reader->err, "'%s/todo/%" PRIu64 "'",
		    reader->dir->path, id);
	item.recipients = json_array();
	item.sender = envelope.sender;
	item.birth = mess.st_mtime;
	item.size_bytes = (uint64_t)mess.st_size;
	for (i = 0; i < envelope.recipient_count; i++)
		add_recipient(&item, "todo", envelope.recipients[i], false);
	show(reader, &item);
	json_decref(item.recipients);
	envelope_release(&envelope);
	return 0;
}

static int
read_todo(uint64_t id, void *context)
{
	struct reader *reader = context;
	struct buf record = BUF_INIT;
	struct stat st;
	int result = 0;

	if (!idmap_has(&reader->journaled, id))
		result = read_file(reader, QUEUE_TODO, id, &record, &st);
	if (result == 1)
		result = show_envelope(reader, id, record.data, record.length);
	buf_release(&record);
	return result;
}

/* One whose envelope is in the journal still, or was when we looked. */
static int
read_journaled(uint64_t id, void *context)
{
	struct reader *reader = context;
	const struct journal_record *record = idmap_get(&reader->journaled, id);

	return show_envelope(reader, id, record->envelope, record->length);
}

/* What cannot be shown is said, and does not hide the rest. */
struct guard {
	struct reader *reader;
	int (*read)(uint64_t id, void *context);
	bool has_failed;
};

static int
guarded(uint64_t id, void *context)
{
	struct guard *guard = context;

	if (guard->read(id, guard->reader) == -1) {
		log_line("%s", guard->reader->err->text);
		guard->has_failed = true;
	}
	return 0;
}

static int
read_journal(struct reader *reader, struct guard *guard)
{
	struct journal_view *journal = &reader->journal;
	size_t i;

	if (journal_view_open(reader->dir, journal, reader->err) == -1)
		return -1;
	for (i = 0; i < journal->count; i++)
		idmap_put(&reader->journaled, journal->records[i].id,
		    &journal->records[i]);
	for (i = 0; i < journal->count; i++)
		guarded(journal->records[i].id, guard);
	return 0;
}

static int
read_folders(struct reader *reader)
{
	const struct queue_dir *dir = reader->dir;
	struct guard guard = { .reader = reader, .read = read_journaled };
	int result = read_journal(reader, &guard);
	unsigned part;

	guard.read = read_todo;
	if (result == 0)
		result = look_folder(
		    dir, QUEUE_TODO, 0, guarded, &guard, reader->err);
	guard.read = read_remembered;
	for (part = 0; result == 0 && part < dir->split; part++)
		result = look_folder(
		    dir, QUEUE_INFO, part, guarded, &guard, reader->err);
	if (result == -1)
		log_line("%s", reader->err->text);
	return result == 0 && !guard.has_failed ? 0 : -1;
}

/* False when something could not be read, which has been said. */
static bool
read_queue(const char *path, json_t *messages)
{
	struct error err;
	struct queue_dir *dir = look_queue(path, &err);
	struct reader reader = {
		.dir = dir, .messages = messages, .err = &err
	};
	int result = -1;

	if (dir == NULL)
		log_line("%s", err.text);
	else
		result = read_folders(&reader);
	idmap_release(&reader.journaled);
	journal_view_release(&reader.journal);
	queue_dir_close(&dir);
	return result == 0;
}

static const char usage[] = "usage: qmail-qread [--json]";

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	json_t *messages = NULL;
	bool is_whole = true;
	struct error err;
	struct look look;
	unsigned i;
	int option;

	log_open("qmail-qread");
	usage_answer(argv, "qmail-qread", usage);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'j')
			fatal(100, "%s", usage);
		if (messages == NULL)
			messages = json_array();
	}
	if (optind != argc)
		fatal(100, "%s", usage);
	if (look_open("qmail-qread", &look, &err) == -1)
		fatal(111, "%s", err.text);
	for (i = 0; i < look.count; i++)
		is_whole &= read_queue(look.paths[i], messages);
	look_release(&look);
	if (messages != NULL) {
		json_dumpf(messages, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(messages);
	}
	if (fflush(stdout) == EOF)
		fatal(111, "cannot write the answer: %m");
	return is_whole ? 0 : 111;
}
