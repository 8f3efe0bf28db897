/* SPDX-License-Identifier: ISC */
/* Delivery to users of virtual domains, a batch at a time. */
#include "delivery/vdeliver.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/scan.h"
#include "delivery/domain_rules.h"
#include "delivery/outcome.h"
#include "delivery/trace.h"
#include "mailbox/maildir_cache.h"

enum { CHUNK_SIZE = 64 * 1024 };

struct vdeliver {
	struct store *store;
	struct vdeliver_options options;
	char *domains;
	struct maildir_cache *maildirs;
	struct maildir_batch *batch;
	struct domain_rules *rules;
	struct buf front;        /* the lines in front of one message */
	char chunk[CHUNK_SIZE];  /* the first bytes of one message */
	char search[CHUNK_SIZE]; /* later ones, while a header is searched */
};

int
vdeliver_read_options(struct vdeliver_options *options_out, struct error *err)
{
	const char *size = getenv("OVERQUOTA_MAILSIZE");

	*options_out = (struct vdeliver_options){ 0 };
	options_out->hold_over_quota = getenv("HOLDOVERQUOTA") != NULL;
	if (size != NULL &&
	    !scan_u64(size, INT64_MAX, &options_out->over_quota_mailsize))
		return error_set(err,
		    "variable OVERQUOTA_MAILSIZE is '%s': it must be a number "
		    "of bytes",
		    size);
	return 0;
}

struct vdeliver *
vdeliver_new(struct store *store, const char *domains, struct sync_pool *pool,
    size_t cached_maildirs, const struct vdeliver_options *options,
    struct error *err)
{
	struct maildir_cache *maildirs = maildir_cache_new(
	    domains, cached_maildirs, err);
	struct vdeliver *vdeliver;

	if (maildirs == NULL)
		return NULL;
	vdeliver = xcalloc(1, sizeof(*vdeliver));
	vdeliver->store = store;
	vdeliver->options = *options;
	vdeliver->domains = xstrdup(domains);
	vdeliver->maildirs = maildirs;
	vdeliver->batch = maildir_batch_new(pool);
	vdeliver->rules = domain_rules_new();
	buf_init(&vdeliver->front);
	return vdeliver;
}

void
vdeliver_free(struct vdeliver **vdeliver_in)
{
	struct vdeliver *vdeliver = *vdeliver_in;

	if (vdeliver == NULL)
		return;
	maildir_batch_free(&vdeliver->batch);
	maildir_cache_free(&vdeliver->maildirs);
	domain_rules_free(&vdeliver->rules);
	buf_release(&vdeliver->front);
	free(vdeliver->domains);
	free(vdeliver);
	*vdeliver_in = NULL;
}

const char *
vdeliver_domain(const struct vdeliver_item *item)
{
	const char *at = strrchr(item->job.recipient, '@');

	return at != NULL ? at + 1 : item->job.user;
}

static bool
is_lack_of_fds(int error_number)
{
	return error_number == EMFILE || error_number == ENFILE;
}

/* Defers the item for the reason in errno. */
static void
defer(struct vdeliver_item *item, const struct error *err)
{
	item->lacks_fds = is_lack_of_fds(errno);
	outcome_trouble(item, errno, err);
}

/* Defers the item for a reason of which errno may say nothing. */
static void
defer_lookup(struct vdeliver_item *item, const struct error *err)
{
	item->lacks_fds = is_lack_of_fds(errno);
	outcome_trouble(item, 0, err);
}

/* Opens the Maildir in user_dir; false, with the outcome, when it cannot. */
static bool
open_maildir(
    struct vdeliver *vdeliver, struct vdeliver_item *item, const char *user_dir)
{
	struct error err;

	item->maildir = maildir_cache_get(vdeliver->maildirs, user_dir, &err);
	if (item->maildir != NULL)
		return true;
	defer(item, &err);
	return false;
}

/* What this batch has written to the same Maildir, with item's own size. */
static struct quota_usage
added_by_batch(
    const struct vdeliver_item *items, const struct vdeliver_item *item)
{
	struct quota_usage added = { (int64_t)item->size, 1 };
	const struct vdeliver_item *before;

	for (before = items; before < item; before++)
		if (before->is_written && before->maildir == item->maildir) {
			added.bytes += (int64_t)before->size;
			added.count++;
		}
	return added;
}

/* Whether the item's Maildir was locked for an earlier one of the batch. */
static bool
is_known_busy(
    const struct vdeliver_item *items, const struct vdeliver_item *item)
{
	const struct vdeliver_item *before;

	for (before = items; before < item; before++)
		if (before->is_busy && before->maildir == item->maildir)
			return true;
	return false;
}

/* RFC 5321 4.5.1: this mail is taken by the server whatever is known here. */
static bool
is_for_postmaster(const struct vdeliver_item *item)
{
	return strcasecmp(item->job.extension, "postmaster") == 0;
}

/* False, with the outcome, when the message does not fit. */
static bool
fits_quota(const struct vdeliver *vdeliver, const struct vdeliver_item *items,
    struct vdeliver_item *item)
{
	struct quota_usage added, usage;
	struct error err;
	int result;

	if (!item->has_quota || is_for_postmaster(item) ||
	    item->size <= vdeliver->options.over_quota_mailsize)
		return true;
	if (is_known_busy(items, item)) {
		/* Waiting again, for each of many, would stop all users. */
		error_set(&err, "the user's quota is being counted");
		outcome_trouble(item, EWOULDBLOCK, &err);
		return false;
	}
	added = added_by_batch(items, item);
	result = quota_check(item->maildir->dir_fd, &item->quota, &added,
	    time(NULL), &usage, &err);
	if (result == -1) {
		item->is_busy = errno == EWOULDBLOCK;
		defer(item, &err);
	}
	if (result == 0) {
		/* The batch's own mail counts as stored in what is said. */
		usage.bytes += added.bytes - (int64_t)item->size;
		usage.count += added.count - 1;
		outcome_over_quota(
		    item, &usage, vdeliver->options.hold_over_quota);
	}
	return result == 1;
}

static ssize_t
read_at(int fd, char *data, size_t size, off_t offset)
{
	ssize_t n;

	do
		n = pread(fd, data, size, offset);
	while (n == -1 && errno == EINTR);
	return n;
}

/*
 * Whether the message has been here before: it has the line already.  n bytes
 * of it are in vdeliver->chunk.  1, 0, or -1 with errno.
 */
static int
is_looping(struct vdeliver *vdeliver, int fd, const char *line,
    size_t line_length, ssize_t n)
{
	struct trace_search search;
	const char *data = vdeliver->chunk;
	off_t offset = 0;

	trace_search_init(&search, line, line_length);
	while (
	    !trace_search_feed(&search, data, (size_t)n) && n == CHUNK_SIZE) {
		offset += n;
		data = vdeliver->search;
		n = read_at(fd, vdeliver->search, CHUNK_SIZE, offset);
		if (n == -1)
			return -1;
	}
	return trace_search_end(&search);
}

/* The size of the message alone; first is what the first read gave. */
static int
message_size(int fd, ssize_t first, uint64_t *size_out)
{
	struct stat st;

	*size_out = (uint64_t)first;
	if (first < CHUNK_SIZE)
		return 0;
	if (fstat(fd, &st) == -1)
		return -1;
	*size_out = (uint64_t)st.st_size;
	return 0;
}

/* Puts together what stands in front; *line_length_out: of Delivered-To. */
static const char *
make_front(
    struct vdeliver *vdeliver, const struct job *job, size_t *line_length_out)
{
	struct buf *front = &vdeliver->front;
	size_t start;

	buf_reset(front);
	trace_put_return_path(front, job->sender);
	start = front->length;
	trace_put_delivered_to(front, job->recipient);
	*line_length_out = front->length - start - 1;
	buf_adds(front, job->header);
	if (front->data[front->length - 1] != '\n')
		buf_addc(front, '\n');
	return front->data + start;
}

/* Writes the message to the item's Maildir, or sets the outcome. */
static void
write_message(struct vdeliver *vdeliver, struct vdeliver_item *items,
    struct vdeliver_item *item)
{
	struct maildir_message message = { .part_count = 2, .fd = -1 };
	struct iovec parts[2];
	size_t line_length;
	const char *line = make_front(vdeliver, &item->job, &line_length);
	ssize_t n = read_at(item->fd, vdeliver->chunk, CHUNK_SIZE, 0);
	struct error err;
	int loop;

	if (n == -1 || message_size(item->fd, n, &item->size) == -1 ||
	    (loop = is_looping(vdeliver, item->fd, line, line_length, n)) ==
		-1) {
		outcome_unreadable(item, errno);
		return;
	}
	if (loop == 1) {
		outcome_looping(item);
		return;
	}
	item->size += vdeliver->front.length;
	if (!fits_quota(vdeliver, items, item))
		return;
	parts[0] = (struct iovec){ vdeliver->front.data,
		vdeliver->front.length };
	parts[1] = (struct iovec){ vdeliver->chunk, (size_t)n };
	message.parts = parts;
	if (n == CHUNK_SIZE) {
		message.fd = item->fd;
		message.offset = n;
	}
	item->slot = maildir_batch_write(
	    vdeliver->batch, item->maildir, &message, &err);
	if (item->slot == -1) {
		maildir_context(item->maildir, &err);
		defer(item, &err);
		return;
	}
	item->is_written = true;
	item->size = maildir_batch_size(vdeliver->batch, item->slot);
}

/* True when the user has no .qmail file (forwarding, programs); or outcome. */
static bool
has_no_dotqmail(struct vdeliver_item *item)
{
	struct error err;

	if (faccessat(item->maildir->dir_fd, "../.qmail", F_OK, 0) == 0) {
		outcome_general(item);
		return false;
	}
	if (errno == ENOENT)
		return true;
	error_sys(&err, "cannot look for the user's '.qmail'");
	defer(item, &err);
	return false;
}

static void
deliver_to_user(struct vdeliver *vdeliver, struct vdeliver_item *items,
    struct vdeliver_item *item, const struct store_user *user)
{
	int quota = quota_parse(user->quota, &item->quota);
	bool is_closed = !user->is_active ||
	    (user->flags & STORE_BOUNCE_MAIL) != 0;

	if (is_closed &&
	    (is_for_postmaster(item) || strcmp(user->name, "postmaster") == 0))
		outcome_postmaster(item, user->name, !user->is_active);
	else if (!user->is_active)
		outcome_inactive(item);
	else if (user->flags & STORE_BOUNCE_MAIL)
		outcome_locked(item);
	else if (quota == -1)
		outcome_bad_quota(item, user->quota);
	else if (open_maildir(vdeliver, item, user->dir)) {
		item->has_quota = item->is_sized = quota == 1;
		if (has_no_dotqmail(item))
			write_message(vdeliver, items, item);
	}
}

/* Delivers to local at the item's domain.  False: there is no such user. */
static bool
deliver_to_name(struct vdeliver *vdeliver, struct vdeliver_item *items,
    struct vdeliver_item *item, const char *local)
{
	struct store_user user;
	struct error err;
	int result;

	errno = 0;
	result = store_find_user(
	    vdeliver->store, local, item->job.user, &user, &err);
	if (result == 0)
		return false;
	if (result == -1) {
		defer_lookup(item, &err);
		return true;
	}
	deliver_to_user(vdeliver, items, item, &user);
	store_user_release(&user);
	return true;
}

/* Nobody is to have the mail: it bounces, or is thrown away by the rule. */
static void
deliver_to_nobody(struct vdeliver_item *item, bool is_deleted)
{
	if (is_for_postmaster(item))
		outcome_no_postmaster(item);
	else if (is_deleted)
		outcome_deleted(item);
	else
		outcome_no_account(item);
}

/* To the address of the rule, if its domain is the item's. */
static void
deliver_to_address(struct vdeliver *vdeliver, struct vdeliver_item *items,
    struct vdeliver_item *item, const char *address)
{
	const char *at = strchr(address, '@');
	char *local;

	if (strcasecmp(at + 1, item->job.user) != 0 &&
	    strcasecmp(at + 1, vdeliver_domain(item)) != 0) {
		outcome_general(item);
		return;
	}
	local = xstrndup(address, (size_t)(at - address));
	if (!deliver_to_name(vdeliver, items, item, local))
		deliver_to_nobody(item, false);
	free(local);
}

/* To the folder of the rule: a Maildir, or a folder that holds one. */
static void
deliver_to_folder(struct vdeliver *vdeliver, struct vdeliver_item *items,
    struct vdeliver_item *item, const char *folder)
{
	static const char maildir[] = "/Maildir";
	size_t length = strlen(folder);
	char *user_dir;

	while (length > 1 && folder[length - 1] == '/')
		length--;
	if (length > sizeof(maildir) - 1 &&
	    memcmp(folder + length - (sizeof(maildir) - 1), maildir,
		sizeof(maildir) - 1) == 0)
		length -= sizeof(maildir) - 1;
	user_dir = xstrndup(folder, length);
	/* Perhaps a user's with a quota: then it wants to know the size. */
	item->is_sized = true;
	if (open_maildir(vdeliver, item, user_dir))
		write_message(vdeliver, items, item);
	free(user_dir);
}

/*
 * Whether the store knows the domain at all: if it does not (users/assign was
 * changed after the message was taken), nothing is known of its users.
 */
static bool
has_domain(struct vdeliver *vdeliver, struct vdeliver_item *item)
{
	struct store_domain domain;
	struct error err;
	int result;

	errno = 0;
	result = store_find_domain(
	    vdeliver->store, item->job.user, &domain, &err);
	if (result == 1) {
		store_domain_release(&domain);
		return true;
	}
	if (result == 0)
		error_set(&err, "domain '%.255s' is not in users/assign",
		    item->job.user);
	defer_lookup(item, &err);
	return false;
}

/* The user does not exist: what the domain wants then. */
static void
deliver_absent(struct vdeliver *vdeliver, struct vdeliver_item *items,
    struct vdeliver_item *item, const struct absent_rule *rule)
{
	if (!has_domain(vdeliver, item))
		return;
	switch (rule->action) {
	case ABSENT_BOUNCE:
	case ABSENT_DELETE:
		deliver_to_nobody(item, rule->action == ABSENT_DELETE);
		break;
	case ABSENT_FOLDER:
		deliver_to_folder(vdeliver, items, item, rule->target);
		break;
	case ABSENT_ADDRESS:
		deliver_to_address(vdeliver, items, item, rule->target);
		break;
	case ABSENT_GENERAL:
		outcome_general(item);
		break;
	}
}

static bool
is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	while (length > 1 && folder[length - 1] == '/')
		length--;
	return strncmp(path, folder, length) == 0 && path[length] == '/';
}

static void
deliver_one(struct vdeliver *vdeliver, struct vdeliver_item *items,
    struct vdeliver_item *item)
{
	const struct absent_rule *rule = item->rule;
	struct error err;
	int result = 1;

	if (item->fd == -1) {
		outcome_unreadable(item, EBADF);
		return;
	}
	if (!is_below(item->job.home, vdeliver->domains)) {
		outcome_bad_home(item, vdeliver->domains);
		return;
	}
	errno = 0;
	if (rule == NULL)
		result = domain_rules_find(vdeliver->rules, item->job.home,
		    item->job.extension, &rule, &err);
	if (result == -1)
		defer_lookup(item, &err);
	else if (result == 0)
		outcome_general(item);
	else if (!deliver_to_name(vdeliver, items, item, item->job.extension))
		deliver_absent(vdeliver, items, item, rule);
}

static void
release_maildir(struct vdeliver *vdeliver, struct vdeliver_item *item)
{
	if (item->maildir != NULL)
		maildir_cache_put(vdeliver->maildirs, item->maildir);
	item->maildir = NULL;
}

/* Where descriptors ran out, once more with those of an unused Maildir. */
static void
deliver_or_retry(struct vdeliver *vdeliver, struct vdeliver_item *items,
    struct vdeliver_item *item)
{
	deliver_one(vdeliver, items, item);
	if (!item->lacks_fds)
		return;
	release_maildir(vdeliver, item);
	item->has_quota = item->is_sized = item->lacks_fds = false;
	if (maildir_cache_drop_oldest(vdeliver->maildirs))
		deliver_one(vdeliver, items, item);
}

/* After the commit: what became of each that was written. */
static void
set_outcomes(
    struct vdeliver *vdeliver, struct vdeliver_item *items, size_t count)
{
	struct error err;
	size_t i;

	for (i = 0; i < count; i++) {
		struct vdeliver_item *item = &items[i];

		if (!item->is_written)
			continue;
		if (maildir_batch_result(vdeliver->batch, item->slot, &err) ==
		    0) {
			outcome_delivered(item);
			continue;
		}
		maildir_context(item->maildir, &err);
		outcome_trouble(item, errno, &err);
		item->is_written = false;
	}
}

/* Remembers the sizes of what was delivered, once for each Maildir. */
static void
remember_sizes(struct vdeliver_item *items, size_t count)
{
	size_t i, j;

	for (i = 0; i < count; i++) {
		struct quota_usage added = { 0 };

		if (!items[i].is_written || !items[i].is_sized)
			continue;
		for (j = i; j < count; j++) {
			if (!items[j].is_written || !items[j].is_sized ||
			    items[j].maildir != items[i].maildir)
				continue;
			added.bytes += (int64_t)items[j].size;
			added.count++;
			items[j].is_sized = false;
		}
		/* The mail is there; a cache that is wrong heals itself. */
		quota_add(items[i].maildir->dir_fd, &added, NULL);
	}
}

void
vdeliver_run(
    struct vdeliver *vdeliver, struct vdeliver_item *items, size_t count)
{
	size_t i;

	assert(count <= MAILDIR_BATCH_MAX);
	domain_rules_begin(vdeliver->rules);
	for (i = 0; i < count; i++) {
		items[i].maildir = NULL;
		items[i].has_quota = items[i].is_busy = false;
		items[i].lacks_fds = false;
		items[i].is_sized = items[i].is_written = false;
	}
	for (i = 0; i < count; i++)
		deliver_or_retry(vdeliver, items, &items[i]);
	maildir_batch_commit(vdeliver->batch);
	set_outcomes(vdeliver, items, count);
	remember_sizes(items, count);
	maildir_batch_reset(vdeliver->batch);
	for (i = 0; i < count; i++) {
		release_maildir(vdeliver, &items[i]);
		if (items[i].fd != -1)
			close(items[i].fd);
		items[i].fd = -1;
	}
}
