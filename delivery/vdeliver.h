/* SPDX-License-Identifier: ISC */
/*
 * Delivery to users of virtual domains: what qmail-vdeliver and vdelivermail
 * have in common.
 *
 * One thread, the owner's, takes messages and gives answers, and does itself
 * whatever is quick.  Syncs, large messages, slow lookups and counting what a
 * Maildir holds are done by threads of vdeliver's own, so that none of them
 * delays another user's mail.
 */
#ifndef DELIVERY_VDELIVER_H
#define DELIVERY_VDELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strlist.h"
#include "base/work_pool.h"
#include "control/cluster_leases.h"
#include "delivery/dotqmail.h"
#include "lookupd/store.h"
#include "mailbox/maildir_batch.h"
#include "mailbox/quota.h"
#include "queue/job.h"

enum {
	VDELIVER_TEXT_SIZE = 1024,
	/* A larger message is written by a thread, and counts by itself. */
	VDELIVER_SMALL_MAX = 1024 * 1024
};

/* What operators set in the environment. */
struct vdeliver_options {
	bool hold_over_quota;          /* HOLDOVERQUOTA: defer, do not bounce */
	uint64_t over_quota_mailsize;  /* OVERQUOTA_MAILSIZE: small mail fits */
	char folder[64];               /* MAILDIRFOLDER: not the inbox; or "" */
	bool drops_duplicates;         /* ELIMINATE_DUPS */
	uint64_t duplicates_s;         /* ELIMINATE_DUPS_INT */
	uint64_t day_count, day_bytes; /* MAILCOUNT_LIMIT, MAILSIZE_LIMIT; 0:
					* none */
	char separators[16];           /* the setting userextension */
	int program_timeout_ms;        /* the setting programtimeout */
	/*
	 * Of a process of one recipient: his domain was full, as the worker
	 * said in MQMAIL_DOMAIN_FULL, what it held of which quota.
	 */
	bool is_domain_full;
	struct quota_usage domain_usage;
	struct quota domain_quota;
	struct strlist home_roots;     /* the setting homeroots */
	char *over_quota_command;      /* overquotacmd; ours, NULL: none */
};

/* A folder of a Maildir, without the dot in front: is that a name for one? */
bool vdeliver_is_folder(const char *name);

/* Reads the environment.  0, or -1 with the reason. */
int vdeliver_read_options(
    struct vdeliver_options *options_out, struct error *err);

/*
 * The settings of the same, and the node's name, for names of files; if it has
 * none, this host's.  The caller frees.
 */
char *vdeliver_read_settings(const char *control_dir, const char *program,
    struct vdeliver_options *options);

/* Where mail goes that somebody has decided about before. */
struct vdeliver_target {
	const char *dir;    /* the user's, which holds the Maildir */
	const char *folder; /* in the Maildir, without its dot; or NULL */
	const char *quota;  /* as in struct store_user; or NULL */
	/* That the folder is on, as in struct store_user; or NULL. */
	const char *store;
	uint64_t store_epoch;
};

struct vdeliver;

/* One recipient of a message. */
struct vdeliver_item {
	struct vdeliver_message *message;
	const struct job_recipient *to;

	/* answered */
	enum job_outcome outcome;
	char text[VDELIVER_TEXT_SIZE]; /* ends with a newline */

	/* vdeliver's own */
	struct work work; /* what a thread does for it */
	struct maildir_file file;
	struct maildir *maildir; /* held; NULL: not open */
	struct maildir *folder;  /* in it, where it is to go; NULL: itself */
	struct absent_rule rule;
	char *user_dir;     /* holds the Maildir; NULL: there is an outcome */
	char *store;        /* of a cluster, that it is on; or NULL */
	uint64_t store_epoch; /* under which we may write there */
	struct buf front;   /* the lines in front of the message */
	size_t line_at;     /* in front: Delivered-To ... */
	size_t line_length; /* ... without its newline */
	uint64_t size;      /* with these */
	struct quota quota;
	struct quota_usage usage; /* found by counting; or once it is there */
	struct error err;         /* of a thread's work */
	int error_number;         /* of the same */
	int result;               /* of the same */
	int64_t took_us;          /* the same */
	uint64_t duplicate_hash;  /* of its Message-ID, to be remembered */
	bool has_usage;           /* usage is known, with this message */
	bool has_quota;           /* to be kept to */
	bool is_sized;            /* maildirsize is to be told */
	bool is_users;   /* the folder is that of a user, who may have .qmail */
	bool is_waiting; /* counted in maildir->waiting */
	bool lacks_fds;  /* the process has none left, or the system */
	bool is_retried; /* after that */
	bool is_over;
	struct vdeliver_item *next_twin;  /* same recipient, same message */
	STAILQ_ENTRY(vdeliver_item) next; /* in one list or another */
	bool has_process; /* running, not waiting for its turn */
	char domain_full[84]; /* told to that process: numbers, or "" */
};

/* One message, for one or more recipients. */
struct vdeliver_message {
	struct job job; /* texts and recipients stay until the last answer */
	int fd; /* the message, if job.body is NULL; vdeliver closes it */
	/* what vdeliver frees with the message: what the texts lie in */
	void *storage;
	const struct absent_rule *rule; /* NULL: the domain's .qmail files */
	/* To this folder, whatever the store says; or NULL. */
	const struct vdeliver_target *target;

	/* vdeliver's own */
	struct vdeliver *vdeliver;
	char *body; /* read from fd */
	size_t left;
	bool is_read;
	STAILQ_ENTRY(vdeliver_message) next; /* of the round */
	struct vdeliver_item items[]; /* job.recipient_count of them */
};

struct vdeliver_config {
	struct store *store; /* borrowed, as the texts are */
	struct cluster_leases *leases; /* the same: what may be written to */
	const char *domains; /* nothing is delivered outside of this folder */
	const char *host;    /* for names of files: always the same */
	const char *queue;   /* for the names of messages without a UUID */
	const struct over_quota *over_quota; /* borrowed, to be told; or NULL */
	size_t cached_maildirs; /* that stay open */
	unsigned sync_threads;  /* for each filesystem */
	struct vdeliver_options options;
	/*
	 * Who cannot be delivered to here gets a process of his own: this
	 * program, with "--dot-qmail" (vdelivermail(8)).  NULL: the answer is
	 * JOB_GENERAL.
	 */
	const char *general_program;
	const char *queue_dir; /* where its forwards go; or NULL */
	/*
	 * Called for each recipient that is done, JOB_DELIVERED only when it is
	 * durable: from vdeliver_end() and vdeliver_reap().
	 */
	void (*answer)(const struct vdeliver_item *item, void *context);
	void *context;
};

/* NULL with the reason. */
struct vdeliver *vdeliver_new(
    const struct vdeliver_config *config, struct error *err);
/* Finishes all that was taken, and answers it. */
void vdeliver_free(struct vdeliver **vdeliver);

/*
 * An empty message for count recipients, with space for them in
 * job.recipients.
 */
struct vdeliver_message *vdeliver_message_new(size_t count);

/* Is it one that threads write? */
bool vdeliver_is_large(const struct vdeliver_message *message);

/*
 * A round: first vdeliver_begin(), then vdeliver_deliver(), which takes the
 * message, for what is there, then vdeliver_end(), which delivers them: all
 * recipients are asked for in one question, files of domains are looked at anew
 * in each round, and what was written is synced from its end on at the latest.
 */
void vdeliver_begin(struct vdeliver *vdeliver);
void vdeliver_deliver(
    struct vdeliver *vdeliver, struct vdeliver_message *message);
void vdeliver_end(struct vdeliver *vdeliver);

/*
 * Processes of single recipients are ended, and those that have not begun are
 * deferred: nobody waits for their results any more.
 */
void vdeliver_hurry(struct vdeliver *vdeliver);

/* Becomes readable when vdeliver_reap() has something to do. */
int vdeliver_wake_fd(const struct vdeliver *vdeliver);
void vdeliver_reap(struct vdeliver *vdeliver);

/* Recipients without an answer. */
size_t vdeliver_count(const struct vdeliver *vdeliver);

/* The recipient's domain, as senders know it. */
const char *vdeliver_domain(const struct vdeliver_item *item);

#endif
