/* SPDX-License-Identifier: ISC */
/* Which folder a virtual user's mail goes to. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "lookupd/extension.h"
#include "delivery/outcome.h"
#include "delivery/vdeliver_private.h"

enum {
	/* A store that takes longer is asked by a thread, for a second. */
	SLOW_LOOKUP_US = 20 * 1000,
	SLOW_FOR_MS = 1000,
	SETTLED_S = 2 /* as of .qmail-default: delivery/domain_rules.c */
};

/* -- in any thread: of the item, the configuration and the store alone */

static void
take_store(struct vdeliver_item *item, const char *store, uint64_t epoch)
{
	item->store = store == NULL || *store == '\0' ? NULL : xstrdup(store);
	item->store_epoch = epoch;
}

static void
take_user(struct vdeliver_item *item, const struct store_user *user)
{
	bool is_closed = !user->is_active ||
	    (user->flags & STORE_BOUNCE_MAIL) != 0;

	if (is_closed &&
	    (item_is_for_postmaster(item) ||
		strcmp(user->name, "postmaster") == 0))
		outcome_postmaster(item, user->name, !user->is_active);
	else if (!user->is_active)
		outcome_inactive(item);
	else if (user->flags & STORE_BOUNCE_MAIL)
		outcome_locked(item);
	else {
		item->has_quota = item->is_sized = quota_parse(user->quota,
						       &item->quota) == 1;
		item->is_users = true;
		item->user_dir = xstrdup(user->dir);
		take_store(item, user->store, user->store_epoch);
	}
}

/*
 * Where filters are not in files that item_open() sees: whether the user has
 * some, or that cannot be told.
 */
static bool
has_filters(struct vdeliver_item *item, const struct store_user *user)
{
	const struct vdeliver *vdeliver = item->message->vdeliver;
	struct store_filters filters;
	struct error err;
	int result;

	if (user->has_no_filters || vdeliver->has_filter_files ||
	    vdeliver->general == NULL)
		return false;
	errno = 0;
	result = store_find_filters(
	    vdeliver->config.store, user->name, user->domain, &filters, &err);
	if (result == 1) {
		store_filters_release(&filters);
		outcome_general(item);
	} else if (result == -1)
		item_defer_lookup(item, &err);
	return result != 0;
}

/* Looks for local at the item's domain.  False: there is no such user. */
static bool
find_name(struct vdeliver_item *item, const char *local)
{
	struct store_user user;
	struct error err;
	int result;

	errno = 0;
	result = store_find_user(item->message->vdeliver->config.store, local,
	    item->to->user, &user, &err);
	if (result == 0)
		return false;
	if (result == -1) {
		item_defer_lookup(item, &err);
		return true;
	}
	if (!has_filters(item, &user))
		take_user(item, &user);
	store_user_release(&user);
	return true;
}

/* An alias by the whole name is for the general way.  False: there is none. */
static bool
find_alias(struct vdeliver_item *item)
{
	struct store_alias alias;
	struct error err;
	int result;

	errno = 0;
	result = store_find_alias(item->message->vdeliver->config.store,
	    item->to->extension, item->to->user, &alias, &err);
	if (result == 1) {
		store_alias_release(&alias);
		outcome_general(item);
	} else if (result == -1)
		item_defer_lookup(item, &err);
	return result != 0;
}

/* The user in front of a dash.  False: there is none. */
static bool
find_extended(struct vdeliver_item *item)
{
	const char *separators =
	    item->message->vdeliver->config.options.separators;
	const char *local = item->to->extension;
	size_t length = strlen(local);

	while (extension_cut(local, separators, &length)) {
		OWN_TEXT name = xstrndup(local, length);

		if (find_name(item, name))
			return true;
	}
	return false;
}

/* Nobody is to have the mail: it bounces, or is thrown away by the rule. */
static void
take_nobody(struct vdeliver_item *item, bool is_deleted)
{
	if (item_is_for_postmaster(item))
		outcome_no_postmaster(item);
	else if (is_deleted)
		outcome_deleted(item);
	else
		outcome_no_account(item);
}

/* To the address of the rule, if its domain is the item's. */
static void
find_address(struct vdeliver_item *item, const char *address)
{
	const char *at = strchr(address, '@');
	AUTO(mem_free) char *local = NULL;

	if (strcasecmp(at + 1, item->to->user) != 0 &&
	    strcasecmp(at + 1, vdeliver_domain(item)) != 0) {
		outcome_general(item);
		return;
	}
	local = xstrndup(address, (size_t)(at - address));
	if (!find_name(item, local))
		take_nobody(item, false);
}

/* To the folder of the rule: a Maildir, or a folder that holds one. */
static void
take_folder(struct vdeliver_item *item, const char *folder)
{
	static const char maildir[] = "/Maildir";
	size_t length = strlen(folder);

	while (length > 1 && folder[length - 1] == '/')
		length--;
	if (length > sizeof(maildir) - 1 &&
	    memcmp(folder + length - (sizeof(maildir) - 1), maildir,
		sizeof(maildir) - 1) == 0)
		length -= sizeof(maildir) - 1;
	/* Perhaps a user's with a quota: then it wants to know the size. */
	item->is_sized = true;
	item->user_dir = xstrndup(folder, length);
}

/*
 * Whether the store knows the domain at all: if it does not (users/assign was
 * changed after the message was taken), nothing is known of its users.
 */
static bool
has_domain(struct vdeliver_item *item)
{
	struct store_domain domain;
	struct error err;
	int result;

	errno = 0;
	result = store_find_domain(item->message->vdeliver->config.store,
	    item->to->user, &domain, &err);
	if (result == 1) {
		store_domain_release(&domain);
		return true;
	}
	if (result == 0)
		error_set(&err, "domain '%.255s' is not in users/assign",
		    item->to->user);
	item_defer_lookup(item, &err);
	return false;
}

/* The user does not exist: what the domain wants then. */
static void
find_instead(struct vdeliver_item *item)
{
	if (!has_domain(item))
		return;
	switch (item->rule.action) {
	case ABSENT_BOUNCE:
	case ABSENT_DELETE:
		take_nobody(item, item->rule.action == ABSENT_DELETE);
		break;
	case ABSENT_FOLDER:
		take_folder(item, item->rule.target);
		break;
	case ABSENT_ADDRESS:
		find_address(item, item->rule.target);
		break;
	case ABSENT_GENERAL:
		outcome_general(item);
		break;
	}
}

/* Sets user_dir, or the outcome. */
static void
look_up_user(struct vdeliver_item *item)
{
	int64_t start_us = clock_us();

	if (!find_name(item, item->to->extension) && !find_alias(item) &&
	    !find_extended(item))
		find_instead(item);
	item->took_us = clock_us() - start_us;
}

/* -- in the owner's */

static void
looked_up(struct vdeliver_item *item)
{
	if (item->took_us > SLOW_LOOKUP_US)
		item->message->vdeliver->lookups_slow_until_ms = clock_ms() +
		    SLOW_FOR_MS;
	if (item->user_dir != NULL)
		item_open(item);
	else
		item_end(item);
}

static void
run_lookup(struct work *work)
{
	look_up_user(item_of_work(work));
}

static void
end_lookup(struct work *work)
{
	looked_up(item_of_work(work));
}

static bool
is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	while (length > 1 && folder[length - 1] == '/')
		length--;
	return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* What the domain says of absent users.  False, with the outcome: not for us.
 */
static bool
find_domain_rule(struct vdeliver_item *item)
{
	struct vdeliver *vdeliver = item->message->vdeliver;
	const struct absent_rule *rule = item->message->rule;
	struct error err;
	int result = 1;

	if (!is_below(item->to->home, vdeliver->domains)) {
		outcome_bad_home(item, vdeliver->domains);
		return false;
	}
	errno = 0;
	if (rule == NULL)
		result = domain_rules_find(vdeliver->rules, item->to->home,
		    item->to->extension, &rule, &err);
	if (result == -1)
		item_defer_lookup(item, &err);
	else if (result == 0)
		outcome_general(item);
	if (result != 1)
		return false;
	item->rule.action = rule->action;
	if (rule->target != NULL)
		item->rule.target = xstrdup(rule->target);
	return true;
}

/* Somebody has decided before. */
static void
take_target(struct vdeliver_item *item, const struct vdeliver_target *target)
{
	item->has_quota = item->is_sized = target->quota != NULL &&
	    quota_parse(target->quota, &item->quota) == 1;
	item->user_dir = xstrdup(target->dir);
	take_store(item, target->store, target->store_epoch);
	item_open(item);
}

void
item_look_up(struct vdeliver_item *item)
{
	struct vdeliver *vdeliver = item->message->vdeliver;

	if (item->message->target != NULL) {
		take_target(item, item->message->target);
		return;
	}
	if (!find_domain_rule(item)) {
		item_end(item);
		return;
	}
	if (clock_ms() < vdeliver->lookups_slow_until_ms) {
		work_pool_post(
		    vdeliver->slow, &item->work, run_lookup, end_lookup);
		return;
	}
	look_up_user(item);
	looked_up(item);
}

void
round_expect(struct vdeliver *vdeliver)
{
	struct store_address wanted[STORE_EXPECT_MAX];
	const struct vdeliver_message *message;
	int64_t start_us = clock_us();
	size_t count = 0;

	if (clock_ms() < vdeliver->lookups_slow_until_ms)
		return;
	STAILQ_FOREACH (message, &vdeliver->taken, next) {
		const struct job *job = &message->job;

		if (!message->is_read || message->target != NULL)
			continue;
		for (size_t i = 0;
		     i < job->recipient_count && count < STORE_EXPECT_MAX; i++)
			if (!message->items[i].is_over)
				wanted[count++] = (struct store_address){
					job->recipients[i].extension,
					job->recipients[i].user
				};
	}
	/* One is asked for as soon when it is looked up. */
	if (count < 2)
		return;
	store_expect_users(vdeliver->config.store, wanted, count);
	if (clock_us() - start_us > SLOW_LOOKUP_US)
		vdeliver->lookups_slow_until_ms = clock_ms() + SLOW_FOR_MS;
}

/* Whether a file is in the user's folder: 1, 0, -1. */
static int
has_mark(const struct maildir *maildir, const char *path, struct error *err)
{
	if (faccessat(maildir->dir_fd, path, F_OK, 0) == 0)
		return 1;
	return errno == ENOENT
	    ? 0
	    : error_sys(err, "cannot look for the user's '%s'", path + 3);
}

static bool
is_same_moment(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/*
 * True when the user has no .qmail file (forwarding, programs) and no filters;
 * or outcome.  That holds until his folder changes.
 */
static bool
is_plain(struct vdeliver_item *item)
{
	static const char *const marks[] = { "../.qmail", "../.vfilter" };
	const struct vdeliver *vdeliver = item->message->vdeliver;
	struct maildir *maildir = item->maildir;
	struct stat folder;
	struct error err;
	int result = 0;

	if (fstatat(maildir->dir_fd, "..", &folder, 0) == -1) {
		error_sys(&err, "cannot stat the user's folder");
		item_defer(item, &err);
		return false;
	}
	if (maildir->plain_since.tv_sec != 0 &&
	    is_same_moment(&maildir->plain_since, &folder.st_ctim))
		return true;
	maildir->plain_since = (struct timespec){ 0 };
	for (size_t i = 0; result == 0 && i <= vdeliver->has_filter_files; i++)
		result = has_mark(maildir, marks[i], &err);
	if (result == 1)
		outcome_general(item);
	else if (result == -1)
		item_defer(item, &err);
	/* A folder that changes twice within a jiffy shows one time. */
	else if (time(NULL) - folder.st_ctim.tv_sec > SETTLED_S)
		maildir->plain_since = folder.st_ctim;
	return result == 0;
}

/* Opens the Maildir in user_dir; false, with the outcome, when it cannot. */
static bool
open_maildir(struct vdeliver_item *item)
{
	struct vdeliver *vdeliver = item->message->vdeliver;
	struct error err;

	item->maildir = maildir_cache_get(
	    vdeliver->maildirs, item->user_dir, &err);
	if (item->maildir != NULL &&
	    maildir_batch_prepare(vdeliver->batch, item->maildir, &err) == 0)
		return true;
	item_defer(item, &err);
	return false;
}

/* The mark of a Maildir that is a folder of another one (Maildir++). */
static int
mark_folder(const struct maildir *folder, struct error *err)
{
	AUTO(file_close)
	int fd = openat(folder->dir_fd, "maildirfolder",
	    O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd == -1 ? error_sys(err, "cannot make 'maildirfolder'") : 0;
}

/* The folder in it, if it is to be one; false, with the outcome. */
static bool
open_folder(struct vdeliver_item *item)
{
	struct vdeliver *vdeliver = item->message->vdeliver;
	const struct vdeliver_target *target = item->message->target;
	const char *name = target != NULL && target->folder != NULL
	    ? target->folder
	    : vdeliver->config.options.folder;
	OWN_TEXT dotted = NULL;
	struct error err;

	if (*name == '\0')
		return true;
	dotted = xasprintf(".%s", name);
	item->folder = xmalloc(sizeof(*item->folder));
	if (maildir_open(item->maildir->dir_fd, dotted, item->folder, &err) ==
		0 &&
	    mark_folder(item->folder, &err) == 0 &&
	    maildir_batch_prepare(vdeliver->batch, item->folder, &err) == 0)
		return true;
	maildir_context(item->maildir, &err);
	item_defer(item, &err);
	return false;
}

bool
item_may_write(const struct vdeliver_item *item, struct error *err)
{
	return item->store == NULL ||
	    cluster_lease_check(item->message->vdeliver->config.leases,
		item->store, item->store_epoch, err) == 1;
}

/* Nothing is made for a user whom another node may serve; or outcome. */
static bool
check_store(struct vdeliver_item *item)
{
	struct error err;

	if (item_may_write(item, &err))
		return true;
	item_defer_lookup(item, &err);
	return false;
}

void
item_open(struct vdeliver_item *item)
{
	if (!check_store(item) || !open_maildir(item) || (item->is_users && !is_plain(item)) ||
	    !open_folder(item))
		item_end(item);
	else
		item_check_limits(item);
}
