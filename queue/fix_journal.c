/* SPDX-License-Identifier: ISC */
/*
 * Fresh messages that a killed qmail-send left in its journal get files, and
 * what an older release left goes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/home.h"
#include "queue/envelope.h"
#include "queue/fix_private.h"
#include "queue/journal.h"
#include "queue/journal_scan.h"
#include "queue/keep.h"
#include "queue/look.h"
#include "queue/remembered.h"
#include "queue/route.h"
#include "queue/upgrade.h"

/* What the keeper does for us. */
struct keeping {
	struct fix *fix;
	const struct queue_dir *dir;
	struct keeper *keeper;
	struct route *route; /* made when it is needed first */
	struct buf *bodies;  /* of the view's messages, in its data */
	bool has_failed;
};

/* 1, 0, or -1 with the reason. */
static int
has_kept(struct keeping *keeping, enum queue_folder folder, uint64_t id)
{
	int result = queue_stat(keeping->dir, folder, id, NULL);

	return result != -1 ? result
			    : fix_failed(keeping->fix, "look for a message in",
				  queue_folder_name(folder));
}

static void
fix_job_done(struct keep_job *job, void *context)
{
	struct keeping *keeping = context;

	if (job->result != 0 && !keeping->has_failed) {
		keeping->has_failed = true;
		error_set(keeping->fix->err,
		    "cannot write the files of message %llu: %s",
		    (unsigned long long)job->id, job->err.text);
	}
	keep_job_free(&job);
}

static void
post(struct keeping *keeping, struct keep_job *job,
    const struct journal_message *message, const struct buf *body)
{
	job->body = body;
	job->has_file = message->body == NULL;
	job->birth = message->birth_s;
	job->done = fix_job_done;
	job->context = keeping;
	keep_post(keeping->keeper, job);
}

/* What is local and what remote, as the node's settings say. */
static struct route *
load_route(struct error *err)
{
	struct home *home = home_new();
	struct settings *settings = settings_load(
	    home->control, "qmail-send", NULL, err);
	struct route *route = settings == NULL ? NULL
					       : route_new(settings, err);

	if (route != NULL &&
	    route_add_cluster(route, cluster_domains_new(home), err) == -1)
		route_free(&route);
	settings_free(&settings);
	home_free(&home);
	return route;
}

/* S5: a message that was in another queue before has a history to keep. */
static int
post_remembered(struct keeping *keeping, const struct journal_message *message,
    const struct envelope *envelope, const struct buf *body)
{
	const struct remembered_info info = { .sender = envelope->sender,
		.attempt = envelope->attempt,
		.uuid = message->uuid,
		.has_size = true,
		.size_bytes = message->size_bytes,
		.birth = message->birth_s,
		.header = envelope->header,
		.dsn = envelope->dsn };
	struct keep_job *job;

	if (keeping->route == NULL)
		keeping->route = load_route(keeping->fix->err);
	if (keeping->route == NULL)
		return -1;
	job = keep_job_new(KEEP_REMEMBER, message->id);
	remembered_put_info(&job->text[KEEP_RECORD], &info);
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		struct buf address = BUF_INIT, *list;
		enum route_channel channel = route_rewrite(
		    keeping->route, envelope->recipients[i], &address);

		list = &job->text[channel == ROUTE_LOCAL ? KEEP_LOCAL
							 : KEEP_REMOTE];
		if (envelope_dsn(envelope, i)[0] != '\0')
			remembered_put_dsn(&job->text[KEEP_RECORD],
			    &(struct remembered_dsn){
				.is_remote = channel == ROUTE_REMOTE,
				.offset = list->length,
				.dsn = envelope_dsn(envelope, i) });
		buf_addc(list,
		    envelope->is_done != NULL && envelope->is_done[i] ? 'D'
								      : 'T');
		buf_add(list, address.data, address.length);
		buf_release(&address);
	}
	buf_adds(&job->text[KEEP_BOUNCE], envelope->notes);
	post(keeping, job, message, body);
	return 0;
}

static bool
has_history(const struct envelope *envelope)
{
	for (size_t i = 0;
	     envelope->is_done != NULL && i < envelope->recipient_count; i++)
		if (envelope->is_done[i])
			return true;
	return envelope->attempt > 0 || envelope->notes[0] != '\0';
}

static int
post_message(struct keeping *keeping, const struct journal_message *message,
    const struct buf *body)
{
	struct envelope envelope;
	struct keep_job *job;
	bool is_readable = envelope_parse(message->record,
			       message->record_length, ENVELOPE_TODO, &envelope,
			       NULL) == 0;
	int result = 0;

	if (is_readable && has_history(&envelope))
		result = post_remembered(keeping, message, &envelope, body);
	else {
		job = keep_job_new(KEEP_TODO, message->id);
		/* One that is damaged is kept as it is: qmail-qread tells. */
		if (!is_readable)
			buf_add(&job->text[KEEP_RECORD], message->record,
			    message->record_length);
		else {
			envelope.has_size = true;
			envelope.size_bytes = message->size_bytes;
			envelope_format(&job->text[KEEP_RECORD], &envelope);
		}
		post(keeping, job, message, body);
	}
	if (is_readable)
		envelope_release(&envelope);
	return result;
}

/*
 * One that has todo/ID or info/ID is kept already; one whose body should be in
 * mess/ID and is not was not acknowledged, or is over.
 */
static int
keep_message(struct keeping *keeping, const struct journal_message *message,
    const struct buf *body)
{
	int is_queued = has_kept(keeping, QUEUE_TODO, message->id);
	int is_remembered = has_kept(keeping, QUEUE_INFO, message->id);
	int has_mess = message->body != NULL
	    ? 1
	    : has_kept(keeping, QUEUE_MESS, message->id);

	if (is_queued == -1 || is_remembered == -1 || has_mess == -1)
		return -1;
	return is_queued == 1 || is_remembered == 1 || has_mess == 0
	    ? 0
	    : post_message(keeping, message, body);
}

/* Gives all of them files, durably. */
static int
keep_messages(struct fix *fix, const struct queue_dir *dir,
    const struct journal_view *view)
{
	struct keeping keeping = { .fix = fix, .dir = dir };
	int wake_fd = eventfd(0, EFD_CLOEXEC), result = 0;

	if (wake_fd == -1)
		return fix_failed(fix, "keep messages of", ".");
	keeping.bodies = xcalloc(view->count, sizeof(*keeping.bodies));
	keeping.keeper = keeper_new(dir, wake_fd);
	for (size_t i = 0; i < view->count && result == 0; i++) {
		const struct journal_message *message = &view->messages[i];

		if (message->body != NULL)
			keeping.bodies[i] = (struct buf){
				.data = view->data.data +
				    (message->body - view->data.data),
				.length = message->size_bytes
			};
		result = keep_message(&keeping, message, &keeping.bodies[i]);
	}
	keeper_free(&keeping.keeper); /* all jobs are done */
	route_free(&keeping.route);
	free(keeping.bodies);
	close(wake_fd);
	return keeping.has_failed ? -1 : result;
}

/* The size of the journal that is there; 0 for none. */
static uint64_t
find_size(const struct queue_dir *dir)
{
	uint64_t size = 0;

	for (int i = 0; i < JOURNAL_SEGMENTS; i++) {
		char name[QUEUE_NAME_SIZE];
		struct stat st;

		snprintf(name, sizeof(name), QUEUE_JOURNAL ".%d", i);
		if (fstatat(queue_dir_fd(dir, QUEUE_LOCK, 0), name, &st,
			AT_SYMLINK_NOFOLLOW) == 0 &&
		    (uint64_t)st.st_size > size)
			size = (uint64_t)st.st_size;
	}
	if (size > 0 && size < JOURNAL_SEGMENT_MIN)
		size = JOURNAL_SEGMENT_MIN;
	return size * JOURNAL_SEGMENTS;
}

/* They are over for the journal, and what is damaged of it is kept aside. */
static int
empty_journal(struct fix *fix, const struct queue_dir *dir,
    const struct journal_view *view)
{
	static const struct journal_finder finder = { .message = NULL };
	uint64_t size_bytes = find_size(dir);
	struct journal *journal;
	int result = 0;

	if (size_bytes == 0) /* it never had one */
		return 0;
	if (journal_open(dir, size_bytes, &finder, &journal, fix->err) == -1)
		return -1;
	for (size_t i = 0; i < view->count; i++)
		journal_end(journal, view->messages[i].id);
	if (journal_has_unwritten(journal) && journal_commit(journal) == -1)
		result = fix_failed(fix, "empty", "lock/" QUEUE_JOURNAL ".*");
	if (journal_close(&journal) == -1 && result == 0)
		result = error_set(
		    fix->err, "cannot empty the journal of '%s'", fix->path);
	return result;
}

static int
take_out(struct fix *fix, const struct queue_dir *dir)
{
	struct journal_view view;
	char text[64];
	int result;

	if (journal_view_open(dir, &view, fix->err) == -1)
		return -1;
	if (view.count > 0) {
		snprintf(text, sizeof(text), "of %zu message%s", view.count,
		    view.count == 1 ? "" : "s");
		fix_say(fix,
		    "take out of lock/" QUEUE_JOURNAL ", into files, "
		    "mail",
		    text, "the journal has messages");
	}
	if (view.is_damaged)
		fix_say(fix, "keep aside, for people, what cannot be read of",
		    "lock/" QUEUE_JOURNAL, "the journal is damaged");
	if (fix->options->is_test)
		result = 0;
	else {
		result = keep_messages(fix, dir, &view);
		/* Names that a killed qmail-send gave may not be durable. */
		if (result == 0 && syncfs(fix->root) == -1)
			result = fix_failed(fix, "sync", ".");
		if (result == 0)
			result = empty_journal(fix, dir, &view);
	}
	journal_view_release(&view);
	return result;
}

static void
say_old_file(const char *name, void *context)
{
	fix_say(context, "remove, since an older release left it:", name,
	    "an older release left it");
}

static bool
tell_problem(const struct look_message *message, void *context)
{
	if (message->problem != NULL)
		printf("%s: damaged, so that it cannot be delivered: message "
		       "%llu: %s\n",
		    ((const struct fix *)context)->path,
		    (unsigned long long)message->id, message->problem);
	return true;
}

int
fix_journal(struct fix *fix)
{
	const struct upgrade_options upgrade = {
		.is_test = fix->options->is_test,
		.say = say_old_file,
		.context = fix
	};
	struct error reason;
	struct queue_dir *dir = queue_dir_open_at(
	    fix->root, fix->path, &reason);
	int result;

	if (dir == NULL && fix->options->is_test)
		return 0; /* folders that would be made */
	if (dir == NULL) {
		*fix->err = reason;
		return -1;
	}
	result = queue_drop_spares(dir, &upgrade, fix->err);
	if (result == 0)
		result = take_out(fix, dir);
	if (result == 0)
		look_messages(dir, tell_problem, fix, NULL);
	queue_dir_close(&dir);
	return result;
}
