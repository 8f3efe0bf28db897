/* SPDX-License-Identifier: ISC */
/*
 * The way of one recipient through a delivery, for delivery/vdeliver*.c.
 *
 *	item_start -> lookup -> open -> quota -> write -> batch -> item_end
 *
 * Each step but the batch is done at once by the owner's thread, or goes on in
 * it after a thread has done what is slow; whichever step decides ends the
 * item.
 */
#ifndef DELIVERY_VDELIVER_PRIVATE_H
#define DELIVERY_VDELIVER_PRIVATE_H

#include "delivery/domain_quota.h"
#include "delivery/domain_rules.h"
#include "delivery/vdeliver.h"
#include "mailbox/maildir_cache.h"

STAILQ_HEAD(item_list, vdeliver_item);

struct vdeliver {
	struct vdeliver_config config;
	char *domains;
	char host[MAILDIR_HOST_SIZE];
	char queue[MAILDIR_HOST_SIZE];
	struct maildir_cache *maildirs;
	struct maildir_batch *batch;
	struct domain_rules *rules;
	struct work_pool *slow;  /* lookups, counting */
	struct work_pool *large; /* messages */
	struct work_pool *commands; /* over_quota_command; NULL: there is none */
	int wake_fd;
	size_t count;
	/* The store let us wait lately: threads ask it, until then. */
	int64_t lookups_slow_until_ms;
	struct general_pool *general;        /* NULL: no processes */
	struct domain_quotas *domain_quotas; /* NULL: not kept to */
	bool has_filter_files;     /* filters are the file .vfilter of a user */
	STAILQ_HEAD(, vdeliver_message) taken; /* in this round */
	struct item_list counting; /* wait for their Maildir to be counted */
	struct item_list finished; /* durable or failed; not answered yet */
};

/* The first one, taken off the list; NULL: there is none. */
struct vdeliver_item *item_take(struct item_list *list);

/* The item that a thread has worked for. */
struct vdeliver_item *item_of_work(struct work *work);

/* Sets the outcome to a deferral for the reason in errno and err. */
void item_defer(struct vdeliver_item *item, const struct error *err);
/* The same where errno may say nothing. */
void item_defer_lookup(struct vdeliver_item *item, const struct error *err);

/* RFC 5321 4.5.1: this mail is taken by the server whatever is known here. */
bool item_is_for_postmaster(const struct vdeliver_item *item);

/* The name of its file. */
void item_make_name(
    const struct vdeliver_item *item, char name_out[MAILDIR_NAME_SIZE]);

/* The outcome is set: ends the item, or starts it again without descriptors. */
void item_end(struct vdeliver_item *item);

/*
 * vdeliver_lookup.c: which folder?  Goes on with item_open().  round_expect:
 * all recipients of the messages taken, which are going to be begun.
 */
void round_expect(struct vdeliver *vdeliver);
void item_look_up(struct vdeliver_item *item);
void item_open(struct vdeliver_item *item);
/*
 * Does this node hold the lease of the store that the item's folder is on?  Any
 * thread.  False with the reason.
 */
bool item_may_write(const struct vdeliver_item *item, struct error *err);

/*
 * vdeliver_limits.c: has it come before, was there enough today?  Goes on with
 * item_check_quota().  limits_remember: it has been delivered.
 */
void item_check_limits(struct vdeliver_item *item);
void limits_remember(const struct vdeliver_item *item);

/* vdeliver_warn.c: it has been delivered; is the Maildir nearly full now? */
void quota_warn(struct vdeliver_item *item);

/*
 * vdeliver_quota.c: does it fit?  Goes on with item_write().
 * quota_start_counts: Maildirs that nothing is on its way into any more.
 * quota_remember: what has been delivered to the Maildirs of finished items.
 */
void item_check_quota(struct vdeliver_item *item);
/* Has the domain room for so many bytes?  What it holds, and may hold. */
bool quota_fits_domain(const struct vdeliver_item *item, uint64_t size,
    struct quota_usage *usage_out, struct quota *quota_out);
void quota_leave(struct vdeliver_item *item);
void quota_start_counts(struct vdeliver *vdeliver);
void quota_remember(struct vdeliver *vdeliver);

/*
 * vdeliver_process.c: the item has a process of its own, whose end is its
 * outcome.
 */
struct general_pool *general_pool_new(
    const struct vdeliver_config *config, int wake_fd);
void general_pool_free(struct general_pool **pool);
void general_pool_reap(struct general_pool *pool);
void general_pool_hurry(struct general_pool *pool);
void item_start_process(struct vdeliver_item *item);

/*
 * vdeliver_write.c: the body of a small message, at the beginning: false with
 * the reason when it cannot be read whole.  The file: goes on with the batch.
 */
bool message_read(struct vdeliver_message *message, struct error *err);
void item_make_front(struct vdeliver_item *item);
void item_write(struct vdeliver_item *item);

#endif
