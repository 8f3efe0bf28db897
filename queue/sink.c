/* SPDX-License-Identifier: ISC */
/* Where the message of one transaction goes. */
#include "queue/sink.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "queue/envelope.h"
#include "queue/exitcode.h"
#include "queue/sink_private.h"

enum {
	PENDING_START_BYTES = 8192,
	PROGRAM_PIECE_BYTES = 65536,
	IDLE_MAX = 128,       /* connections kept for a queue */
	COLLECTIONS_MAX = 64, /* by access rules, envrules and HUPs */
	TIMEOUT_MS = 60000
};

/* One queue: idle connections, and how long it has been down. */
struct endpoint {
	SLIST_ENTRY(endpoint) next;
	char *queue_path;
	int idle[IDLE_MAX];
	unsigned idle_count;
	/* clock_ms() of the first and last try that failed; 0: none has */
	int64_t down_since_ms, down_at_ms;
	int down_error; /* errno of the last one */
};

/* One that no sink holds gives way to a new one. */
struct collection {
	unsigned sinks;   /* that hold it */
	uint64_t used_at; /* the pool's count of uses, then */
	char *base;
	struct mux_collection queues;
	unsigned slice_ms;
	uint64_t min_free_bytes;
	struct mux *mux;
};

struct sink_pool {
	pthread_mutex_t lock;        /* for all of it; no I/O under it */
	struct sink_options options; /* whose texts are these: */
	char *queue_base, *extra_recipient;
	SLIST_HEAD(, endpoint) endpoints;
	struct collection *collections[COLLECTIONS_MAX];
	size_t collection_count;
	uint64_t uses;
};

struct sink_pool *
sink_pool_new(const struct sink_options *options)
{
	struct sink_pool *pool = xcalloc(1, sizeof(*pool));

	pthread_mutex_init(&pool->lock, NULL);
	sink_pool_configure(pool, options);
	return pool;
}

void
sink_pool_configure(struct sink_pool *pool, const struct sink_options *options)
{
	const char *extra = options->extra_recipient;

	pthread_mutex_lock(&pool->lock);
	free(pool->queue_base);
	free(pool->extra_recipient);
	pool->queue_base = xstrdup(options->queue_base);
	pool->extra_recipient = extra == NULL ? NULL : xstrdup(extra);
	pool->options = *options;
	pool->options.queue_base = pool->queue_base;
	pool->options.extra_recipient = pool->extra_recipient;
	if (pool->options.timeout_ms <= 0)
		pool->options.timeout_ms = TIMEOUT_MS;
	pthread_mutex_unlock(&pool->lock);
}

static void
free_collection(struct collection *collection)
{
	assert(collection->sinks == 0);
	mux_free(&collection->mux);
	free(collection->base);
	free(collection);
}

void
sink_pool_free(struct sink_pool **pool_in)
{
	struct sink_pool *pool = *pool_in;
	struct endpoint *endpoint;

	if (pool == NULL)
		return;
	while ((endpoint = SLIST_FIRST(&pool->endpoints)) != NULL) {
		SLIST_REMOVE_HEAD(&pool->endpoints, next);
		while (endpoint->idle_count > 0)
			close(endpoint->idle[--endpoint->idle_count]);
		free(endpoint->queue_path);
		free(endpoint);
	}
	for (size_t i = 0; i < pool->collection_count; i++)
		free_collection(pool->collections[i]);
	free(pool->queue_base);
	free(pool->extra_recipient);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	*pool_in = NULL;
}

/* With the lock; made if there is none yet. */
static struct endpoint *
find_endpoint(struct sink_pool *pool, const char *queue_path)
{
	struct endpoint *endpoint;

	SLIST_FOREACH(endpoint, &pool->endpoints, next)
		if (strcmp(endpoint->queue_path, queue_path) == 0)
			return endpoint;
	endpoint = xcalloc(1, sizeof(*endpoint));
	endpoint->queue_path = xstrdup(queue_path);
	SLIST_INSERT_HEAD(&pool->endpoints, endpoint, next);
	return endpoint;
}

int
sink_pool_get(struct sink_pool *pool, const char *queue_path, int *error_out)
{
	struct endpoint *endpoint;
	int connection = -1;

	*error_out = 0;
	pthread_mutex_lock(&pool->lock);
	endpoint = find_endpoint(pool, queue_path);
	if (endpoint->idle_count > 0)
		connection = endpoint->idle[--endpoint->idle_count];
	else if (endpoint->down_at_ms != 0 &&
	    clock_ms() < endpoint->down_at_ms + SINK_PAUSE_MS)
		*error_out = endpoint->down_error;
	pthread_mutex_unlock(&pool->lock);
	return connection;
}

void
sink_pool_put(struct sink_pool *pool, const char *queue_path, int connection)
{
	struct endpoint *endpoint;

	pthread_mutex_lock(&pool->lock);
	endpoint = find_endpoint(pool, queue_path);
	if (endpoint->idle_count < IDLE_MAX) {
		endpoint->idle[endpoint->idle_count++] = connection;
		connection = -1;
	}
	pthread_mutex_unlock(&pool->lock);
	if (connection != -1)
		close(connection);
}

void
sink_pool_tell(struct sink_pool *pool, const char *queue_path, int error)
{
	int64_t now_ms = clock_ms();
	struct endpoint *endpoint;

	pthread_mutex_lock(&pool->lock);
	endpoint = find_endpoint(pool, queue_path);
	/* Nobody has looked for long: it may have been there meanwhile. */
	if (endpoint->down_at_ms == 0 ||
	    now_ms > endpoint->down_at_ms + pool->options.open_wait_ms)
		endpoint->down_since_ms = now_ms;
	endpoint->down_at_ms = error != 0 ? now_ms : 0;
	endpoint->down_error = error;
	pthread_mutex_unlock(&pool->lock);
}

bool
sink_pool_is_down(struct sink_pool *pool, const char *queue_path, int span_ms)
{
	const struct endpoint *endpoint;
	bool is_down;

	pthread_mutex_lock(&pool->lock);
	endpoint = find_endpoint(pool, queue_path);
	is_down = endpoint->down_at_ms != 0 &&
	    clock_ms() >= endpoint->down_since_ms + span_ms;
	pthread_mutex_unlock(&pool->lock);
	return is_down;
}

/* Drops the longest unused collection; false when all are held. */
static bool
drop_collection(struct sink_pool *pool)
{
	struct collection **oldest = NULL;

	for (size_t i = 0; i < pool->collection_count; i++) {
		struct collection **at = &pool->collections[i];

		if ((*at)->sinks == 0 &&
		    (oldest == NULL || (*at)->used_at < (*oldest)->used_at))
			oldest = at;
	}
	if (oldest == NULL)
		return false;
	free_collection(*oldest);
	*oldest = pool->collections[--pool->collection_count];
	return true;
}

static struct collection *
find_collection(struct sink_pool *pool, const struct collection *wanted)
{
	const struct mux_collection *queues = &wanted->queues;

	for (size_t i = 0; i < pool->collection_count; i++) {
		struct collection *found = pool->collections[i];

		if (found->queues.start == queues->start &&
		    found->queues.count == queues->count &&
		    found->queues.is_alone == queues->is_alone &&
		    found->slice_ms == wanted->slice_ms &&
		    found->min_free_bytes == wanted->min_free_bytes &&
		    strcmp(found->base, queues->base) == 0)
			return found;
	}
	return NULL;
}

static struct collection *
add_collection(
    struct sink_pool *pool, const struct collection *wanted, struct error *err)
{
	struct collection *added;
	struct mux *mux;

	if (pool->collection_count == COLLECTIONS_MAX &&
	    !drop_collection(pool)) {
		error_set(err,
		    "transactions under way use %d different queue "
		    "collections: let the rules name fewer",
		    COLLECTIONS_MAX);
		return NULL;
	}
	mux = mux_new(
	    &wanted->queues, wanted->slice_ms, wanted->min_free_bytes, err);
	if (mux == NULL)
		return NULL;
	added = xcalloc(1, sizeof(*added));
	*added = *wanted;
	added->base = xstrdup(wanted->queues.base);
	added->queues.base = added->base;
	added->mux = mux;
	pool->collections[pool->collection_count++] = added;
	return added;
}

/* Finds or makes it, for one sink more; with the lock held. */
static struct collection *
hold_collection(
    struct sink_pool *pool, const struct collection *wanted, struct error *err)
{
	struct collection *found = find_collection(pool, wanted);

	if (found == NULL)
		found = add_collection(pool, wanted, err);
	if (found != NULL) {
		found->sinks++;
		found->used_at = ++pool->uses;
	}
	return found;
}

/* A number of the session's variables over the option's. */
static int
override(const struct vars *vars, const char *name, uint64_t max,
    uint64_t *value, struct error *err)
{
	const char *text = vars_get(vars, name);

	if (text == NULL || text[0] == '\0' || scan_u64(text, max, value))
		return 0;
	return error_set(err, "%s is not a whole number of at most %llu", name,
	    (unsigned long long)max);
}

/* Every queue is full; the first stands for all. */
static int
refuse_full(struct sink *sink)
{
	const struct collection *collection = sink->collection;
	const struct mux_collection *queues = &collection->queues;
	AUTO(mem_free)
	char *path = queues->is_alone
	    ? xstrdup(queues->base)
	    : xasprintf("%s/queue%u", queues->base, queues->start);
	struct statvfs fs;

	if (statvfs(path, &fs) == -1)
		error_sys(&sink->err, "every queue was full; now '%s'", path);
	else
		error_set(&sink->err,
		    "%squeue '%s' has %llu bytes free, min_free wants %llu: "
		    "make room on its filesystem, or lower min_free",
		    queues->count == 1 ? "" : "every queue is full: ", path,
		    (unsigned long long)fs.f_bavail * fs.f_frsize,
		    (unsigned long long)collection->min_free_bytes);
	return QQ_WRITE_ERROR;
}

/* A text of the session's variables, if it says something. */
static const char *
get_var(const struct vars *vars, const char *name)
{
	const char *text = vars_get(vars, name);

	return text != NULL && text[0] != '\0' ? text : NULL;
}

int
sink_choose(const struct sink_options *options, const struct vars *vars,
    struct sink_choice *choice_out, struct error *err)
{
	const char *base = get_var(vars, "QUEUE_BASE");

	*choice_out = (struct sink_choice){ .queue_dir = get_var(
						vars, "QUEUEDIR"),
		.base = base != NULL ? base : options->queue_base,
		.start = options->queue_start,
		.count = options->queue_count,
		.min_free_bytes = options->min_free_bytes };
	if (override(vars, "MIN_FREE", UINT64_MAX, &choice_out->min_free_bytes,
		err) == -1)
		return -1;
	if (choice_out->queue_dir != NULL)
		return 0;
	return override(
		   vars, "QUEUE_START", 1000000, &choice_out->start, err) == -1
	    ? -1
	    : override(
		  vars, "QUEUE_COUNT", MUX_QUEUES_MAX, &choice_out->count, err);
}

/* What options and variables name, with the pool's lock.  0 or -1. */
static int
name_collection(struct sink *sink, struct collection *wanted)
{
	const struct sink_options *options = &sink->pool->options;
	struct sink_choice choice;

	if (sink_choose(options, sink->vars, &choice, &sink->err) == -1)
		return -1;
	*wanted = (struct collection){ .slice_ms = options->slice_ms,
		.min_free_bytes = choice.min_free_bytes,
		.queues = {
		    .base = choice.queue_dir, .count = 1, .is_alone = true } };
	if (choice.queue_dir == NULL)
		wanted->queues = (struct mux_collection){ .base = choice.base,
			.start = (unsigned)choice.start,
			.count = (unsigned)choice.count };
	return 0;
}

static int
find_queues(struct sink *sink)
{
	struct sink_pool *pool = sink->pool;
	struct collection wanted;

	pthread_mutex_lock(&pool->lock);
	if (name_collection(sink, &wanted) == 0)
		sink->collection = hold_collection(pool, &wanted, &sink->err);
	pthread_mutex_unlock(&pool->lock);
	if (sink->collection == NULL)
		return QQ_BAD_CONFIG;
	sink->mux = sink->collection->mux;
	/* The time in its UUID, so that a message that is handed in again, as
	 * an answer was lost, comes to the queue that knows it. */
	sink->queue_count = mux_choose(
	    sink->mux, uuid_time_ms(&sink->uuid), sink->queues);
	return sink->queue_count > 0 ? QQ_OK : refuse_full(sink);
}

static void
sink_free(struct sink **sink_in)
{
	struct sink *sink = *sink_in;

	if (sink->collection != NULL) {
		pthread_mutex_lock(&sink->pool->lock);
		sink->collection->sinks--;
		pthread_mutex_unlock(&sink->pool->lock);
	}
	buf_release(&sink->pending);
	buf_release(&sink->reasons);
	free(sink->extra_recipient);
	free(sink);
	*sink_in = NULL;
}

static int
open_kind(struct sink *sink)
{
	const char *program = get_var(sink->vars, "QMAILQUEUE");
	int result;

	if (vars_get(sink->vars, "NULLQUEUE") != NULL) {
		sink->kind = SINK_DISCARD;
		return QQ_OK;
	}
	if (program != NULL) {
		sink->kind = SINK_PROGRAM;
		return sink_program_open(sink, program);
	}
	sink->kind = SINK_INTAKE;
	result = find_queues(sink);
	return result == QQ_OK ? sink_intake_open(sink) : result;
}

int
sink_open(struct sink_pool *pool, const struct vars *vars,
    const struct uuid *uuid, struct sink **sink_out)
{
	struct sink *sink = xcalloc(1, sizeof(*sink));
	const char *extra = vars_get(vars, "EXTRAQUEUE");
	int result;

	sink->pool = pool;
	sink->vars = vars;
	sink->connection = -1;
	sink->message_fd = sink->envelope_fd = sink->error_fd = -1;
	if (uuid != NULL)
		sink->uuid = *uuid;
	else
		uuid_make(&sink->uuid);
	sink->bound = sink->uuid;
	pthread_mutex_lock(&pool->lock);
	sink->timeout_ms = pool->options.timeout_ms;
	sink->open_wait_ms = pool->options.open_wait_ms;
	sink->is_smtpd = pool->options.is_smtpd;
	if (extra == NULL)
		extra = pool->options.extra_recipient;
	if (extra != NULL && extra[0] != '\0')
		sink->extra_recipient = xstrdup(extra);
	pthread_mutex_unlock(&pool->lock);
	result = open_kind(sink);
	if (result == QQ_OK) {
		buf_reserve(&sink->pending, PENDING_START_BYTES);
		*sink_out = sink;
		return QQ_OK;
	}
	log_line("warning: cannot open a queue: %s", sink->err.text);
	sink_free(&sink);
	*sink_out = NULL;
	return result;
}

int
sink_fail(struct sink *sink, int result)
{
	if (sink->result == QQ_OK)
		sink->result = result;
	return sink->result;
}

const struct uuid *
sink_uuid(const struct sink *sink)
{
	return &sink->bound;
}

void
sink_write_fd(struct sink *sink, int fd, const struct buf *data)
{
	size_t done = 0;

	while (done < data->length && sink->result == QQ_OK) {
		ssize_t n = write(fd, data->data + done, data->length - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN) {
			if (clock_wait_fd(fd, POLLOUT,
				clock_ms() + sink->timeout_ms) == 0)
				sink_fail(sink, QQ_TIMEOUT);
		} else if (errno == EPIPE) {
			/* The program has decided: its exit code says what. */
			sink->is_unread = true;
			break;
		} else if (errno != EINTR) {
			error_sys(&sink->err, "cannot write the message");
			sink_fail(sink, QQ_WRITE_ERROR);
		}
	}
}

static int
flush_program(struct sink *sink)
{
	sink_write_fd(sink, sink->message_fd, &sink->pending);
	buf_reset(&sink->pending);
	return sink->result;
}

int
sink_write(struct sink *sink, const char *data, size_t length)
{
	sink->size_bytes += length;
	tls_wish_read(&sink->tls_wish, data, length);
	if (sink->kind == SINK_DISCARD || sink->result != QQ_OK)
		return sink->result;
	buf_add(&sink->pending, data, length);
	if (sink->kind == SINK_INTAKE)
		return sink_intake_write(sink);
	return sink->pending.length < PROGRAM_PIECE_BYTES ? QQ_OK
							  : flush_program(sink);
}

void
sink_format_envelope(const struct sink *sink,
    const struct sink_envelope *envelope, struct buf *buf)
{
	const char *header = envelope->extra_header;
	AUTO(buf_release) struct buf dsn = BUF_INIT;

	/* A program knows no parameters. */
	if (sink->kind != SINK_PROGRAM)
		tls_wish_put_dsn(&sink->tls_wish, envelope->dsn, &dsn);
	if (header == NULL)
		header = vars_get(sink->vars, "QQEH");
	if (header != NULL && header[0] != '\0')
		envelope_put(buf, 'H', header);
	if (dsn.length > 0)
		envelope_put(buf, 'e', dsn.data);
	envelope_put(buf, 'F', envelope->sender);
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		const char *its = envelope->recipient_dsn == NULL
		    ? NULL
		    : envelope->recipient_dsn[i];

		if (its != NULL && its[0] != '\0')
			envelope_put(buf, 'r', its);
		envelope_put(buf, 'T', envelope->recipients[i]);
	}
	if (sink->extra_recipient != NULL)
		envelope_put(buf, 'T', sink->extra_recipient);
}

static int
commit_kind(struct sink *sink, const struct sink_envelope *envelope,
    char *custom, size_t custom_size)
{
	switch (sink->kind) {
	case SINK_DISCARD:
		break;
	case SINK_PROGRAM:
		flush_program(sink);
		return sink_program_commit(sink, envelope, custom, custom_size);
	case SINK_INTAKE:
		if (sink->result == QQ_OK)
			return sink_intake_commit(sink, envelope);
		sink_intake_abort(sink);
		return sink->result;
	}
	return QQ_OK;
}

/* The queue's name is the last part of its path. */
static void
tell_where(const struct sink *sink, struct sink_outcome *outcome)
{
	const char *path = sink->queues[sink->queue_at];
	const char *slash = strrchr(path, '/');

	snprintf(outcome->queue, sizeof(outcome->queue), "%s",
	    slash != NULL ? slash + 1 : path);
	outcome->id = sink->id;
}

int
sink_commit(struct sink **sink_in, const struct sink_envelope *envelope,
    struct sink_outcome *outcome_out)
{
	struct sink *sink = *sink_in;
	char custom[256] = "";
	int result = commit_kind(sink, envelope, custom, sizeof(custom));

	*outcome_out = (struct sink_outcome){ .id = 0 };
	snprintf(outcome_out->text, sizeof(outcome_out->text), "%s",
	    custom[0] != '\0' ? custom : qq_text(result));
	if (result == QQ_OK && sink->kind == SINK_INTAKE)
		tell_where(sink, outcome_out);
	if (result != QQ_OK && sink->err.text[0] != '\0')
		log_line("warning: message not queued: %s", sink->err.text);
	sink_free(sink_in);
	return result;
}

void
sink_abort(struct sink **sink_in)
{
	struct sink *sink = *sink_in;

	if (sink == NULL)
		return;
	switch (sink->kind) {
	case SINK_INTAKE:
		sink_intake_abort(sink);
		break;
	case SINK_PROGRAM:
		sink_program_abort(sink);
		break;
	case SINK_DISCARD:
		break;
	}
	sink_free(sink_in);
}
