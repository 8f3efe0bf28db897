/* SPDX-License-Identifier: ISC */
/* Whether a message fits a virtual user's quota. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "delivery/outcome.h"
#include "delivery/vdeliver_private.h"
#include "mailbox/over_quota.h"

/*
 * What a Maildir holds is counted by looking at every message, before one is
 * refused.  Where that takes long, at most one part in so many of the time goes
 * into it: until then what maildirsize says is believed.
 */
enum { COUNT_LONG_US = 5000, COUNT_SHARE = 50, COMMANDS_MAX = 4 };

/* The item's own size with that of what is on its way to the same Maildir. */
static struct quota_usage
added_with(const struct vdeliver_item *item)
{
	return (struct quota_usage){
		.bytes = item->maildir->waiting.bytes + (int64_t)item->size,
		.count = item->maildir->waiting.count + 1,
	};
}

/* What the Maildir will hold. */
static void
note_usage(struct vdeliver_item *item, const struct quota_usage *usage,
    const struct quota_usage *added)
{
	item->usage.bytes = usage->bytes + added->bytes;
	item->usage.count = usage->count + added->count;
	item->has_usage = true;
}

/* It is going to be written. */
static void
admit_item(struct vdeliver_item *item)
{
	item->maildir->waiting.bytes += (int64_t)item->size;
	item->maildir->waiting.count++;
	item->is_waiting = true;
	item_write(item);
}

void
quota_leave(struct vdeliver_item *item)
{
	if (!item->is_waiting)
		return;
	item->maildir->waiting.bytes -= (int64_t)item->size;
	item->maildir->waiting.count--;
	item->is_waiting = false;
}

/* One run of the operator's program. */
struct command {
	struct work work; /* first */
	const char *program;
	struct over_quota_user user;
	char *address, *user_dir; /* its texts */
};

static void
run_over_quota_command(struct work *work)
{
	struct command *command = (struct command *)work;

	over_quota_run(command->program, &command->user);
}

static void
end_over_quota_command(struct work *work)
{
	struct command *command = (struct command *)work;

	free(command->address);
	free(command->user_dir);
	free(command);
}

static void
start_over_quota_command(
    const struct vdeliver_item *item, const struct quota_usage *usage)
{
	struct vdeliver *vdeliver = item->message->vdeliver;
	struct command *command;

	if (work_pool_count(vdeliver->commands) >= COMMANDS_MAX) {
		log_line("warning: overquotacmd was not run for <%s@%s>: "
			 "others wait for it already",
		    item->to->extension, vdeliver_domain(item));
		return;
	}
	command = xcalloc(1, sizeof(*command));
	command->program = vdeliver->config.options.over_quota_command;
	command->address = xasprintf(
	    "%s@%s", item->to->extension, vdeliver_domain(item));
	command->user_dir = xstrdup(item->user_dir);
	command->user = (struct over_quota_user){ command->address,
		command->user_dir, "delivery", item->quota, *usage };
	work_pool_post(vdeliver->commands, &command->work,
	    run_over_quota_command, end_over_quota_command);
}

/* For RCPT, and for the operator's program if it is new. */
static void
note_over_quota(
    const struct vdeliver_item *item, const struct quota_usage *usage)
{
	const struct vdeliver *vdeliver = item->message->vdeliver;
	const struct vdeliver_config *config = &vdeliver->config;
	/* Who defers wants the mail to be taken. */
	uint64_t small_bytes = config->options.hold_over_quota
	    ? UINT64_MAX
	    : config->options.over_quota_mailsize;
	time_t now = time(NULL);
	bool is_known = over_quota_is_known(
	    config->over_quota, item->user_dir, &item->quota, now);

	over_quota_set(config->over_quota, item->user_dir, &item->quota, usage,
	    small_bytes, now);
	if (!is_known && vdeliver->commands != NULL)
		start_over_quota_command(item, usage);
}

/* It does not fit, unless it is there already and would replace itself. */
static void
refuse_for_quota(struct vdeliver_item *item, const struct quota_usage *usage)
{
	struct quota_usage stored = *usage;
	char name[MAILDIR_NAME_SIZE];

	item_make_name(item, name);
	if (maildir_is_in_new(
		item->folder != NULL ? item->folder : item->maildir, name,
		item->size)) {
		admit_item(item);
		return;
	}
	/* What is on its way counts as stored in what is said. */
	stored.bytes += item->maildir->waiting.bytes;
	stored.count += item->maildir->waiting.count;
	note_over_quota(item, usage);
	outcome_over_quota(item, &stored,
	    item->message->vdeliver->config.options.hold_over_quota);
	item_end(item);
}

/* -- counting */

/* In a thread. */
static void
run_count(struct work *work)
{
	struct vdeliver_item *item = item_of_work(work);
	int64_t start_us = clock_us();
	/* A lock of its own, not the one that is added under. */
	AUTO(file_close)
	int fd = openat(
	    item->maildir->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	item->result = -1;
	if (fd == -1)
		error_sys(&item->err, "cannot open the Maildir");
	else
		item->result = quota_recalculate(
		    fd, &item->quota, &item->usage, &item->err);
	item->error_number = errno;
	item->took_us = clock_us() - start_us;
}

/* What a count has found, for all who waited for it. */
struct count {
	int result;
	int error_number;
	struct error err;
	struct quota_usage usage;
};

static void
take_count(struct vdeliver_item *item, const struct count *count)
{
	const struct quota_usage added = added_with(item);

	if (count->result == -1) {
		errno = count->error_number;
		item_defer(item, &count->err);
		item_end(item);
	} else if (quota_fits(&item->quota, &count->usage, &added)) {
		note_usage(item, &count->usage, &added);
		admit_item(item);
	} else
		refuse_for_quota(item, &count->usage);
}

static void
end_count(struct work *work)
{
	struct vdeliver_item *counter = item_of_work(work), *item;
	struct vdeliver *vdeliver = counter->message->vdeliver;
	struct maildir *maildir = counter->maildir;
	const struct count count = { counter->result, counter->error_number,
		counter->err, counter->usage };
	struct item_list all = STAILQ_HEAD_INITIALIZER(all);
	struct item_list waiters = STAILQ_HEAD_INITIALIZER(waiters);

	maildir->is_counting = maildir->is_count_running = false;
	if (counter->took_us > COUNT_LONG_US)
		maildir->count_again_at_ms = clock_ms() +
		    counter->took_us * COUNT_SHARE / 1000;
	STAILQ_CONCAT(&all, &vdeliver->counting);
	STAILQ_INSERT_TAIL(&waiters, counter, next);
	while ((item = item_take(&all)) != NULL)
		STAILQ_INSERT_TAIL(
		    item->maildir == maildir ? &waiters : &vdeliver->counting,
		    item, next);
	while ((item = item_take(&waiters)) != NULL)
		take_count(item, &count);
}

void
quota_start_counts(struct vdeliver *vdeliver)
{
	struct item_list all = STAILQ_HEAD_INITIALIZER(all);
	struct vdeliver_item *item;

	STAILQ_CONCAT(&all, &vdeliver->counting);
	while ((item = item_take(&all)) != NULL) {
		/* What is on its way would count twice: once it is there. */
		if (item->maildir->is_count_running ||
		    item->maildir->waiting.count > 0) {
			STAILQ_INSERT_TAIL(&vdeliver->counting, item, next);
			continue;
		}
		item->maildir->is_count_running = true;
		work_pool_post(
		    vdeliver->slow, &item->work, run_count, end_count);
	}
}

static void
wait_for_count(struct vdeliver_item *item)
{
	struct vdeliver *vdeliver = item->message->vdeliver;

	item->maildir->is_counting = true;
	STAILQ_INSERT_TAIL(&vdeliver->counting, item, next);
	quota_start_counts(vdeliver);
}

/* -- the step */

bool
quota_fits_domain(const struct vdeliver_item *item, uint64_t size,
    struct quota_usage *usage_out, struct quota *quota_out)
{
	const struct vdeliver *vdeliver = item->message->vdeliver;
	const struct vdeliver_options *options = &vdeliver->config.options;
	const struct quota_usage added = { (int64_t)size, 1 };

	*usage_out = options->domain_usage;
	*quota_out = options->domain_quota;
	return vdeliver->domain_quotas == NULL
	    ? !options->is_domain_full
	    : domain_quota_fits(vdeliver->domain_quotas, item->to->user,
		  item->to->home, &added, usage_out, quota_out);
}

/* False, with the outcome, when the domain has no room for it. */
static bool
fits_domain(struct vdeliver_item *item)
{
	const struct vdeliver_options *options =
	    &item->message->vdeliver->config.options;
	struct quota_usage usage;
	struct quota quota;

	if (item_is_for_postmaster(item) ||
	    item->size <= options->over_quota_mailsize ||
	    quota_fits_domain(item, item->size, &usage, &quota))
		return true;
	outcome_domain_full(item, &usage, &quota, options->hold_over_quota);
	return false;
}

void
item_check_quota(struct vdeliver_item *item)
{
	const struct vdeliver *vdeliver = item->message->vdeliver;
	struct quota_usage added, usage = { 0 };
	struct error err;

	if (!fits_domain(item)) {
		item_end(item);
		return;
	}
	if (!item->has_quota || item_is_for_postmaster(item) ||
	    item->size <= vdeliver->config.options.over_quota_mailsize) {
		admit_item(item);
		return;
	}
	if (item->maildir->is_counting) {
		wait_for_count(item);
		return;
	}
	added = added_with(item);
	switch (quota_look(item->maildir->dir_fd, &item->quota, &added,
	    time(NULL), &usage, &err)) {
	case QUOTA_FITS:
		note_usage(item, &usage, &added);
		admit_item(item);
		break;
	case QUOTA_FULL:
		refuse_for_quota(item, &usage);
		break;
	case QUOTA_SEEMS_FULL:
		if (clock_ms() < item->maildir->count_again_at_ms)
			refuse_for_quota(item, &usage);
		else
			wait_for_count(item);
		break;
	case QUOTA_UNKNOWN:
		wait_for_count(item);
		break;
	case QUOTA_FAILED:
		item_defer(item, &err);
		item_end(item);
		break;
	}
}

void
quota_remember(struct vdeliver *vdeliver)
{
	struct vdeliver_item *item;

	STAILQ_FOREACH(item, &vdeliver->finished, next) {
		quota_leave(item);
		if (item->outcome != JOB_DELIVERED || item->file.has_replaced)
			continue;
		limits_remember(item);
		if (item->message->vdeliver->domain_quotas != NULL) {
			const struct quota_usage one = { (int64_t)item->size,
				1 };

			domain_quota_add(item->message->vdeliver->domain_quotas,
			    item->to->home, &one);
		}
		if (!item->is_sized)
			continue;
		quota_warn(item);
		item->maildir->delivered.bytes += (int64_t)item->size;
		item->maildir->delivered.count++;
	}
	STAILQ_FOREACH(item, &vdeliver->finished, next) {
		struct maildir *maildir = item->maildir;

		if (maildir->delivered.count == 0)
			continue;
		/* The mail is there; a cache that is wrong heals itself. */
		quota_add(maildir->dir_fd, &maildir->delivered, NULL);
		maildir->delivered = (struct quota_usage){ 0 };
	}
}
