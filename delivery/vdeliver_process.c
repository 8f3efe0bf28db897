/* SPDX-License-Identifier: ISC */
/*
 * Recipients with a .qmail file, filters or programs: each has a process of his
 * own, with the same rights, so that whatever it does holds up nobody else.
 *
 * So many run at once, and of one domain and one recipient no more than leaves
 * room for others.  Who comes when too many wait already is deferred.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/vars.h"
#include "delivery/outcome.h"
#include "delivery/run_program.h"
#include "delivery/vdeliver_private.h"

enum {
	RUNNING_MAX = 16,
	RUNNING_OF_DOMAIN = 12,
	RUNNING_OF_RECIPIENT = 2,
	IN_HAND_MAX = 128,
	/* Its own programs get their time to end first. */
	GRACE_MS = 10 * 1000,
	CHUNK_BYTES = 64 * 1024
};

/* Of messages that are in memory. */
static const uint64_t BYTES_MAX = 8 * 1024 * 1024;

struct general_pool {
	const struct vdeliver_config *config;
	struct work_pool *pool;
	struct item_list items; /* all in hand, in the order they came */
	unsigned running, count;
	uint64_t bytes;
	atomic_bool is_stopping;
};

struct general_pool *
general_pool_new(const struct vdeliver_config *config, int wake_fd)
{
	struct general_pool *pool = xcalloc(1, sizeof(*pool));

	pool->config = config;
	pool->pool = work_pool_new(RUNNING_MAX, wake_fd);
	STAILQ_INIT(&pool->items);
	return pool;
}

void
general_pool_free(struct general_pool **pool)
{
	if (*pool == NULL)
		return;
	work_pool_free(&(*pool)->pool);
	free(*pool);
	*pool = NULL;
}

static struct general_pool *
pool_of(const struct vdeliver_item *item)
{
	return item->message->vdeliver->general;
}

/* What it takes of the memory for small messages. */
static uint64_t
bytes_of(const struct vdeliver_item *item)
{
	return vdeliver_is_large(item->message) ? 0
						: item->message->job.size_bytes;
}

/* -- in a thread */

/* The message as a file of its own: who reads it moves its position. */
static int
open_copy(const struct vdeliver_item *item, struct error *err)
{
	const struct job *job = &item->message->job;
	char unnamed[] = "/tmp";
	AUTO(file_close) int fd = -1;
	AUTO(mem_free) char *chunk = NULL;
	size_t header = strlen(job->header);
	int result;

	if (vdeliver_is_large(item->message))
		fd = open(unnamed, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1) /* small, or a filesystem that knows no such files */
		fd = memfd_create("message", MFD_CLOEXEC);
	if (fd == -1)
		return error_sys(err, "cannot make a file for the message");
	if (file_write_all(fd, job->header, header) == -1 ||
	    (header > 0 && job->header[header - 1] != '\n' &&
		file_write_all(fd, "\n", 1) == -1))
		return error_sys(err, "cannot copy the message");
	if (job->body != NULL) {
		if (file_write_all(fd, job->body, job->size_bytes) == -1)
			return error_sys(err, "cannot copy the message");
	} else {
		chunk = xmalloc(CHUNK_BYTES);
		for (uint64_t offset = 0; offset < job->size_bytes;) {
			uint64_t left = job->size_bytes - offset;
			ssize_t n = pread(item->message->fd, chunk,
			    left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES,
			    (off_t)offset);

			if (n == -1 && errno == EINTR)
				continue;
			if (n <= 0)
				return error_set(err,
				    "the message ends after %" PRIu64 " bytes",
				    offset);
			if (file_write_all(fd, chunk, (size_t)n) == -1)
				return error_sys(
				    err, "cannot copy the message");
			offset += (uint64_t)n;
		}
	}
	if (lseek(fd, 0, SEEK_SET) == -1)
		return error_sys(err, "cannot copy the message");
	result = fd;
	fd = -1; /* the caller's */
	return result;
}

static char **
make_environment(const struct vdeliver_item *item)
{
	const struct job *job = &item->message->job;
	AUTO(vars_release) struct vars vars = VARS_INIT;
	char uuid[UUID_TEXT_SIZE];

	vars_set(&vars, "EXT", item->to->extension);
	vars_set(&vars, "HOST", item->to->user);
	vars_set(&vars, "HOME", item->to->home);
	vars_set(&vars, "RECIPIENT", item->to->recipient);
	vars_set(&vars, "SENDER", job->sender);
	uuid_format(&job->uuid, uuid);
	vars_set(&vars, "MQMAIL_UUID", uuid_is_none(&job->uuid) ? NULL : uuid);
	vars_set(&vars, "QUEUEDIR", pool_of(item)->config->queue_dir);
	vars_set(&vars, "MQMAIL_DOMAIN_FULL",
	    item->domain_full[0] != '\0' ? item->domain_full : NULL);
	return vars_make_environment(&vars);
}

static void
take_end(struct vdeliver_item *item, const struct run_program *run)
{
	int code = WIFEXITED(run->status) ? WEXITSTATUS(run->status) : 111;
	enum job_outcome outcome = run->was_stopped ? JOB_TEMPFAIL
	    : code == 0                             ? JOB_DELIVERED
	    : code == 100                           ? JOB_PERMFAIL
						    : JOB_TEMPFAIL;

	if (run->was_stopped)
		outcome_process(item, outcome,
		    "The delivery took too long and was stopped. (#4.3.0)");
	else if (run->output[0] == '\0')
		outcome_process(item, outcome,
		    outcome == JOB_DELIVERED
			? "did 0+0+0"
			: "vdelivermail crashed. (#4.3.0)");
	else
		outcome_process(item, outcome, run->output);
}

static void
run_process(struct work *work)
{
	struct vdeliver_item *item = item_of_work(work);
	struct general_pool *pool = pool_of(item);
	char name[] = "vdelivermail", option[] = "--dot-qmail";
	char *const argv[] = { name, option, NULL };
	AUTO(file_close) int fd = open_copy(item, &item->err);
	char **environment;
	struct run_program run = { .program = pool->config->general_program,
		.argv = argv,
		.fd = fd,
		.timeout_ms = pool->config->options.program_timeout_ms,
		.grace_ms = GRACE_MS,
		.is_stopping = &pool->is_stopping };

	item->result = -1;
	if (fd == -1)
		return;
	environment = make_environment(item);
	run.environment = environment;
	item->result = run_program(&run, &item->err);
	if (item->result == 0)
		take_end(item, &run);
	vars_free_environment(environment);
}

/* -- in the owner's */

static void start_those_who_may(struct general_pool *pool);

static void
leave(struct vdeliver_item *item)
{
	struct general_pool *pool = pool_of(item);

	STAILQ_REMOVE(&pool->items, item, vdeliver_item, next);
	pool->count--;
	pool->bytes -= bytes_of(item);
	if (item->has_process)
		pool->running--;
	item->has_process = false;
}

/* Files that it has written are the domain's; programs' and forwards are not.
 */
static void
add_to_domain(const struct vdeliver_item *item)
{
	struct domain_quotas *quotas = item->message->vdeliver->domain_quotas;
	unsigned files;

	if (quotas != NULL && sscanf(item->text, "did %4u+", &files) == 1) {
		const struct quota_usage added = {
			(int64_t)(files * item->message->job.size_bytes), files
		};

		domain_quota_add(quotas, item->to->home, &added);
	}
}

static void
end_process(struct work *work)
{
	struct vdeliver_item *item = item_of_work(work);
	struct general_pool *pool = pool_of(item);

	leave(item);
	if (item->result == -1)
		outcome_trouble(item, 0, &item->err);
	else if (item->outcome == JOB_DELIVERED)
		add_to_domain(item);
	item_end(item);
	start_those_who_may(pool);
}

static bool
may_start(const struct general_pool *pool, const struct vdeliver_item *item)
{
	unsigned of_domain = 0, of_recipient = 0;
	const struct vdeliver_item *other;

	STAILQ_FOREACH(other, &pool->items, next) {
		if (!other->has_process)
			continue;
		of_domain += strcmp(other->to->home, item->to->home) == 0;
		of_recipient += strcasecmp(other->to->recipient,
				    item->to->recipient) == 0;
	}
	return of_domain < RUNNING_OF_DOMAIN &&
	    of_recipient < RUNNING_OF_RECIPIENT;
}

static void
start_those_who_may(struct general_pool *pool)
{
	struct vdeliver_item *item;

	STAILQ_FOREACH(item, &pool->items, next) {
		if (pool->running == RUNNING_MAX)
			return;
		if (item->has_process || !may_start(pool, item))
			continue;
		item->has_process = true;
		pool->running++;
		work_pool_post(
		    pool->pool, &item->work, run_process, end_process);
	}
}

/* The process cannot tell: it would have to count each time. */
static void
note_full_domain(struct vdeliver_item *item)
{
	struct quota_usage usage;
	struct quota quota;

	item->domain_full[0] = '\0';
	if (!quota_fits_domain(
		item, item->message->job.size_bytes, &usage, &quota))
		snprintf(item->domain_full, sizeof(item->domain_full),
		    "%" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64, usage.bytes,
		    usage.count, quota.bytes, quota.count);
}

void
item_start_process(struct vdeliver_item *item)
{
	struct general_pool *pool = pool_of(item);
	unsigned of_domain = 0;
	const struct vdeliver_item *other;

	STAILQ_FOREACH(other, &pool->items, next)
		of_domain += strcmp(other->to->home, item->to->home) == 0;
	if (atomic_load(&pool->is_stopping) || pool->count == IN_HAND_MAX ||
	    of_domain >= IN_HAND_MAX * RUNNING_OF_DOMAIN / RUNNING_MAX ||
	    (pool->count > 0 && pool->bytes + bytes_of(item) > BYTES_MAX)) {
		outcome_process(item, JOB_TEMPFAIL,
		    "Too many deliveries by programs and .qmail files wait "
		    "just now. (#4.3.2)");
		item_end(item);
		return;
	}
	note_full_domain(item);
	pool->count++;
	pool->bytes += bytes_of(item);
	STAILQ_INSERT_TAIL(&pool->items, item, next);
	start_those_who_may(pool);
}

void
general_pool_reap(struct general_pool *pool)
{
	if (pool != NULL)
		work_pool_reap(pool->pool);
}

void
general_pool_hurry(struct general_pool *pool)
{
	struct vdeliver_item *item, *next;

	if (pool == NULL || atomic_exchange(&pool->is_stopping, true))
		return;
	for (item = STAILQ_FIRST(&pool->items); item != NULL; item = next) {
		next = STAILQ_NEXT(item, next);
		if (item->has_process)
			continue;
		leave(item);
		outcome_process(item, JOB_TEMPFAIL,
		    "The queue stops before this delivery. (#4.3.2)");
		item_end(item);
	}
}
