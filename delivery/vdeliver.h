/* SPDX-License-Identifier: ISC */
/*
 * Delivery to users of virtual domains, a batch at a time: what
 * qmail-vdeliver and vdelivermail have in common.  Used by one thread.
 */
#ifndef DELIVERY_VDELIVER_H
#define DELIVERY_VDELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/sync_pool.h"
#include "delivery/dotqmail.h"
#include "lookupd/store.h"
#include "mailbox/maildir_batch.h"
#include "mailbox/quota.h"
#include "queue/job.h"

enum { VDELIVER_TEXT_SIZE = 1024 };

/* What operators set in the environment. */
struct vdeliver_options {
	bool hold_over_quota;         /* HOLDOVERQUOTA: defer, do not bounce */
	uint64_t over_quota_mailsize; /* OVERQUOTA_MAILSIZE: small mail fits */
};

/* Reads the environment.  0, or -1 with the reason. */
int vdeliver_read_options(
    struct vdeliver_options *options_out, struct error *err);

/* One delivery. */
struct vdeliver_item {
	/* asked; texts are borrowed until vdeliver_run() returns */
	struct job job;
	int fd; /* the message, a regular file, read from 0; -1 when missing */
	const struct absent_rule *rule; /* NULL: the domain's .qmail files */

	/* answered */
	enum job_outcome outcome;
	char text[VDELIVER_TEXT_SIZE]; /* ends with a newline */

	/* vdeliver's own, while it runs */
	struct maildir *maildir;
	int slot;
	struct quota quota;
	uint64_t size;
	bool has_quota;  /* to be kept to */
	bool is_sized;   /* maildirsize is to be told */
	bool is_written; /* in this batch */
	bool lacks_fds;  /* the process has none left, or the system */
	bool is_busy;    /* another process has the Maildir's quota locked */
};

struct vdeliver;

/* The recipient's domain, as senders know it. */
const char *vdeliver_domain(const struct vdeliver_item *item);

/*
 * Deliveries below the folder domains, at most cached_maildirs of which stay
 * open.  store and pool are borrowed until vdeliver_free().  NULL with the
 * reason.
 */
struct vdeliver *vdeliver_new(struct store *store, const char *domains,
    struct sync_pool *pool, size_t cached_maildirs,
    const struct vdeliver_options *options, struct error *err);
void vdeliver_free(struct vdeliver **vdeliver);

/*
 * Delivers count (at most MAILDIR_BATCH_MAX) items.  When it returns each
 * has its outcome, JOB_DELIVERED only for what is durable, and each
 * descriptor has been closed.
 */
void vdeliver_run(
    struct vdeliver *vdeliver, struct vdeliver_item *items, size_t count);

#endif
