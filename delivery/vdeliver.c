/* SPDX-License-Identifier: ISC */
/* Delivery to users of virtual domains: messages, rounds, answers. */
#include "delivery/vdeliver.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/settings.h"
#include "delivery/outcome.h"
#include "delivery/vdeliver_private.h"
#include "mailbox/maildir_name.h"

enum { SLOW_THREADS = 2, LARGE_THREADS = 2, COMMAND_THREADS = 2 };

/* A variable that is a number; unset it leaves *value. */
static int
read_number(
    const char *name, const char *what, uint64_t *value, struct error *err)
{
	const char *text = getenv(name);

	if (text == NULL || scan_u64(text, INT64_MAX, value))
		return 0;
	return error_set(err, "variable %s is '%s': it must be a number of %s",
	    name, text, what);
}

/* A folder's name as Maildir++ has it, with or without the dot in front. */
static int
read_folder(char *folder, size_t size, struct error *err)
{
	const char *text = getenv("MAILDIRFOLDER"), *name;

	if (text == NULL)
		return 0;
	name = text + (*text == '.');
	if (vdeliver_is_folder(name) && strlen(name) < size) {
		memcpy(folder, name, strlen(name) + 1);
		return 0;
	}
	return error_set(err,
	    "variable MAILDIRFOLDER is '%s': it must be the name of a folder "
	    "in a Maildir, as Lists or Lists.Some",
	    text);
}

bool
vdeliver_is_folder(const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 127 || *c == '/' ||
		    (*c == '.' && (c[1] == '.' || c[1] == '\0')))
			return false;
	return *name != '\0' && *name != '.' && strlen(name) < NAME_MAX;
}

/* As vdeliver_process.c writes it. */
static void
read_domain_full(struct vdeliver_options *options)
{
	const char *text = getenv("MQMAIL_DOMAIN_FULL");

	options->is_domain_full = text != NULL &&
	    sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNu64 " %" SCNu64,
		&options->domain_usage.bytes, &options->domain_usage.count,
		&options->domain_quota.bytes,
		&options->domain_quota.count) == 4;
}

int
vdeliver_read_options(struct vdeliver_options *options_out, struct error *err)
{
	struct vdeliver_options *options = options_out;

	*options = (struct vdeliver_options){ .duplicates_s = 86400 };
	options->hold_over_quota = getenv("HOLDOVERQUOTA") != NULL;
	read_domain_full(options);
	options->drops_duplicates = getenv("ELIMINATE_DUPS") != NULL;
	if (read_number("OVERQUOTA_MAILSIZE", "bytes",
		&options->over_quota_mailsize, err) == -1 ||
	    read_number("ELIMINATE_DUPS_INT", "seconds", &options->duplicates_s,
		err) == -1 ||
	    read_number("MAILCOUNT_LIMIT", "messages", &options->day_count,
		err) == -1 ||
	    read_number("MAILSIZE_LIMIT", "bytes", &options->day_bytes, err) ==
		-1)
		return -1;
	return read_folder(options->folder, sizeof(options->folder), err);
}

char *
vdeliver_read_settings(const char *control_dir, const char *program,
    struct vdeliver_options *options)
{
	struct settings *settings = settings_load(
	    control_dir, program, NULL, NULL);
	char name[HOST_NAME_MAX + 1] = "localhost", *host;
	const char *command;

	snprintf(options->separators, sizeof(options->separators), "%s",
	    settings != NULL ? settings_text(settings, SETTING_userextension)
			     : "-");
	options->program_timeout_ms = settings != NULL
	    ? (int)settings_number(settings, SETTING_programtimeout) * 1000
	    : 600 * 1000;
	if (settings == NULL) {
		gethostname(name, sizeof(name) - 1);
		return xstrdup(name);
	}
	for (size_t i = 0;
	     i < settings_list(settings, SETTING_homeroots)->count; i++)
		strlist_add(&options->home_roots,
		    settings_list(settings, SETTING_homeroots)->items[i]);
	command = settings_text(settings, SETTING_overquotacmd);
	options->over_quota_command = *command == '\0' ? NULL
							 : xstrdup(command);
	host = xstrdup(settings_text(settings, SETTING_me));
	settings_free(&settings);
	return host;
}

struct vdeliver_item *
item_take(struct item_list *list)
{
	struct vdeliver_item *item = STAILQ_FIRST(list);

	if (item != NULL)
		STAILQ_REMOVE_HEAD(list, next);
	return item;
}

/* Mail for one that is not there waits; that for the others need not. */
static void
add_home_roots(struct maildir_cache *maildirs, const struct strlist *roots)
{
	struct error err;

	for (size_t i = 0; i < roots->count; i++)
		if (maildir_cache_add_root(maildirs, roots->items[i], &err) ==
		    -1)
			log_line("warning: users in '%s' get no mail: %s",
			    roots->items[i], err.text);
}

struct vdeliver *
vdeliver_new(const struct vdeliver_config *config, struct error *err)
{
	struct maildir_cache *maildirs = maildir_cache_new(
	    config->domains, config->cached_maildirs, err);
	struct vdeliver *vdeliver;

	if (maildirs == NULL)
		return NULL;
	add_home_roots(maildirs, &config->options.home_roots);
	vdeliver = xcalloc(1, sizeof(*vdeliver));
	vdeliver->config = *config;
	vdeliver->maildirs = maildirs;
	vdeliver->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vdeliver->wake_fd == -1) {
		error_sys(err, "cannot make an eventfd");
		maildir_cache_free(&maildirs);
		free(vdeliver);
		return NULL;
	}
	vdeliver->domains = xstrdup(config->domains);
	maildir_escape(config->host, vdeliver->host, sizeof(vdeliver->host));
	maildir_escape(config->queue, vdeliver->queue, sizeof(vdeliver->queue));
	vdeliver->batch = maildir_batch_new(
	    config->sync_threads, vdeliver->wake_fd);
	vdeliver->rules = domain_rules_new();
	vdeliver->slow = work_pool_new(SLOW_THREADS, vdeliver->wake_fd);
	vdeliver->large = work_pool_new(LARGE_THREADS, vdeliver->wake_fd);
	if (config->options.over_quota_command != NULL)
		vdeliver->commands = work_pool_new(
		    COMMAND_THREADS, vdeliver->wake_fd);
	vdeliver->has_filter_files = store_has_filter_files(config->store);
	/* What a persistent worker has. */
	if (config->general_program != NULL) {
		vdeliver->general = general_pool_new(
		    &vdeliver->config, vdeliver->wake_fd);
		vdeliver->domain_quotas = domain_quotas_new(
		    config->store, vdeliver->wake_fd);
	}
	STAILQ_INIT(&vdeliver->taken);
	STAILQ_INIT(&vdeliver->counting);
	STAILQ_INIT(&vdeliver->finished);
	return vdeliver;
}

void
vdeliver_free(struct vdeliver **vdeliver_in)
{
	struct vdeliver *vdeliver = *vdeliver_in;

	if (vdeliver == NULL)
		return;
	while (vdeliver->count > 0) {
		vdeliver_end(vdeliver);
		clock_wait_fd(vdeliver->wake_fd, POLLIN, clock_ms() + 1000);
		vdeliver_reap(vdeliver);
	}
	work_pool_free(&vdeliver->slow);
	work_pool_free(&vdeliver->large);
	work_pool_free(&vdeliver->commands);
	general_pool_free(&vdeliver->general);
	domain_quotas_free(&vdeliver->domain_quotas);
	maildir_batch_free(&vdeliver->batch);
	maildir_cache_free(&vdeliver->maildirs);
	domain_rules_free(&vdeliver->rules);
	close(vdeliver->wake_fd);
	free(vdeliver->domains);
	free(vdeliver);
	*vdeliver_in = NULL;
}

void
vdeliver_hurry(struct vdeliver *vdeliver)
{
	general_pool_hurry(vdeliver->general);
}

int
vdeliver_wake_fd(const struct vdeliver *vdeliver)
{
	return vdeliver->wake_fd;
}

size_t
vdeliver_count(const struct vdeliver *vdeliver)
{
	return vdeliver->count;
}

const char *
vdeliver_domain(const struct vdeliver_item *item)
{
	const char *at = strrchr(item->to->recipient, '@');

	return at != NULL ? at + 1 : item->to->user;
}

bool
vdeliver_is_large(const struct vdeliver_message *message)
{
	return message->job.size_bytes > VDELIVER_SMALL_MAX;
}

/* -- one recipient */

struct vdeliver_item *
item_of_work(struct work *work)
{
	return (struct vdeliver_item *)((char *)work -
	    offsetof(struct vdeliver_item, work));
}

static bool
is_lack_of_fds(int error_number)
{
	return error_number == EMFILE || error_number == ENFILE;
}

void
item_defer(struct vdeliver_item *item, const struct error *err)
{
	item->lacks_fds = is_lack_of_fds(errno);
	outcome_trouble(item, errno, err);
}

void
item_defer_lookup(struct vdeliver_item *item, const struct error *err)
{
	item->lacks_fds = is_lack_of_fds(errno);
	outcome_trouble(item, 0, err);
}

bool
item_is_for_postmaster(const struct vdeliver_item *item)
{
	return strcasecmp(item->to->extension, "postmaster") == 0;
}

void
item_make_name(
    const struct vdeliver_item *item, char name_out[MAILDIR_NAME_SIZE])
{
	const struct vdeliver *vdeliver = item->message->vdeliver;
	const struct job *job = &item->message->job;

	if (!uuid_is_none(&job->uuid))
		maildir_uuid_name(
		    name_out, &job->uuid, item->to->recipient, vdeliver->host);
	else if (job->message_id != 0)
		maildir_queued_name(name_out, job->birth_s, job->message_id,
		    vdeliver->queue, item->to->recipient, vdeliver->host);
	else
		maildir_make_name(name_out, vdeliver->host);
}

/* What the item holds is given back; it may begin anew. */
static void
item_release(struct vdeliver_item *item)
{
	quota_leave(item);
	if (item->folder != NULL)
		maildir_release(item->folder);
	free(item->folder);
	item->folder = NULL;
	if (item->maildir != NULL)
		maildir_cache_put(
		    item->message->vdeliver->maildirs, item->maildir);
	item->maildir = NULL;
	free(item->user_dir);
	item->user_dir = NULL;
	free(item->store);
	item->store = NULL;
	dotqmail_release(&item->rule);
	item->rule = (struct absent_rule)ABSENT_RULE_INIT;
	buf_release(&item->front);
	item->has_quota = item->is_sized = item->is_users = false;
	item->has_usage = false;
	item->duplicate_hash = 0;
}

static void
message_release(struct vdeliver_message *message)
{
	if (--message->left > 0)
		return;
	if (message->fd != -1)
		close(message->fd);
	free(message->body);
	free(message->storage);
	free(message);
}

static void
item_answer(struct vdeliver_item *item)
{
	struct vdeliver_message *message = item->message;
	struct vdeliver *vdeliver = message->vdeliver;

	item->is_over = true;
	vdeliver->count--;
	vdeliver->config.answer(item, vdeliver->config.context);
	message_release(message);
}

void
item_end(struct vdeliver_item *item)
{
	struct vdeliver_item *twin, *next;

	item_release(item);
	if (item->outcome == JOB_GENERAL &&
	    item->message->vdeliver->general != NULL) {
		item->outcome = JOB_TEMPFAIL;
		item_start_process(item);
		return;
	}
	/* Once more with the descriptors of an unused Maildir. */
	if (item->lacks_fds && !item->is_retried &&
	    maildir_cache_drop_oldest(item->message->vdeliver->maildirs)) {
		item->lacks_fds = false;
		item->is_retried = true;
		item_look_up(item);
		return;
	}
	for (twin = item->next_twin; twin != NULL; twin = next) {
		next = twin->next_twin;
		twin->outcome = item->outcome;
		memcpy(twin->text, item->text, sizeof(twin->text));
		item_answer(twin);
	}
	item_answer(item);
}

/* -- messages */

struct vdeliver_message *
vdeliver_message_new(size_t count)
{
	/* The recipients behind the items: both end with the message. */
	size_t items = sizeof(struct vdeliver_message) +
	    count * sizeof(struct vdeliver_item);
	struct vdeliver_message *message = xcalloc(
	    1, items + count * sizeof(struct job_recipient));

	message->fd = -1;
	message->job.recipients = (struct job_recipient *)((char *)message +
	    items);
	message->job.recipient_count = count;
	return message;
}

/*
 * The same recipient before this one, or NULL: both would have the same file,
 * so one delivery does for both.
 */
static struct vdeliver_item *
find_twin(struct vdeliver_message *message, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++)
		if (strcasecmp(message->items[j].to->recipient,
			message->items[i].to->recipient) == 0)
			return &message->items[j];
	return NULL;
}

static void
item_init(struct vdeliver_message *message, size_t i)
{
	struct vdeliver_item *item = &message->items[i];
	struct vdeliver_item *twin;

	item->message = message;
	item->to = &message->job.recipients[i];
	item->rule = (struct absent_rule)ABSENT_RULE_INIT;
	twin = find_twin(message, i);
	if (twin == NULL)
		return;
	item->is_over = true; /* with its twin */
	item->next_twin = twin->next_twin;
	twin->next_twin = item;
}

void
vdeliver_begin(struct vdeliver *vdeliver)
{
	domain_rules_begin(vdeliver->rules);
}

void
vdeliver_deliver(struct vdeliver *vdeliver, struct vdeliver_message *message)
{
	size_t count = message->job.recipient_count;
	struct error err;

	message->vdeliver = vdeliver;
	message->left = count + 1; /* until all have begun */
	vdeliver->count += count;
	for (size_t i = 0; i < count; i++)
		item_init(message, i);
	message->is_read = message_read(message, &err);
	STAILQ_INSERT_TAIL(&vdeliver->taken, message, next);
	for (size_t i = 0; !message->is_read && i < count; i++)
		if (!message->items[i].is_over) {
			outcome_unreadable(&message->items[i], &err);
			item_end(&message->items[i]);
		}
}

void
vdeliver_end(struct vdeliver *vdeliver)
{
	struct vdeliver_message *message;

	round_expect(vdeliver);
	while ((message = STAILQ_FIRST(&vdeliver->taken)) != NULL) {
		STAILQ_REMOVE_HEAD(&vdeliver->taken, next);
		for (size_t i = 0;
		     message->is_read && i < message->job.recipient_count; i++)
			if (!message->items[i].is_over)
				item_look_up(&message->items[i]);
		message_release(message);
	}
	maildir_batch_start(vdeliver->batch);
}

void
vdeliver_reap(struct vdeliver *vdeliver)
{
	struct vdeliver_item *item;
	uint64_t count;

	eventfd_read(vdeliver->wake_fd, &count); /* or there is nothing */
	work_pool_reap(vdeliver->slow);
	work_pool_reap(vdeliver->large);
	if (vdeliver->commands != NULL)
		work_pool_reap(vdeliver->commands);
	maildir_batch_reap(vdeliver->batch);
	general_pool_reap(vdeliver->general);
	domain_quotas_reap(vdeliver->domain_quotas);
	quota_remember(vdeliver);
	while ((item = item_take(&vdeliver->finished)) != NULL)
		item_end(item);
	quota_start_counts(vdeliver);
	/* What a thread has written has waited long enough. */
	maildir_batch_start(vdeliver->batch);
}
