/* SPDX-License-Identifier: ISC */
/*
 * Does what the lines of a .qmail file say, as qmail-local does: in the process
 * of one delivery, which has the rights of the user whose file it is.
 *
 * Lines are followed in their order; forwards are gathered, and handed in last,
 * as one message.  What fails ends it: the message is tried again as a whole,
 * and what had been done is done again, but for what knows itself by the
 * message's UUID: forwards and files in Maildirs.
 */
#ifndef DELIVERY_LOCAL_H
#define DELIVERY_LOCAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "delivery/dotqmail_lines.h"
#include "delivery/forward.h"
#include "queue/job.h"

enum { LOCAL_TEXT_SIZE = 1024 };

struct local_result {
	enum job_outcome outcome;   /* K, Z or D */
	char text[LOCAL_TEXT_SIZE]; /* ends with a newline */
	unsigned files, forwards, programs;
};

struct local_delivery {
	/* for whom; names as in qmail-command(8) */
	const char *user;
	const char *home; /* the folder that lines are relative to */
	const char *local;
	const char *dash;
	const char *extension;
	const char *default_part; /* or NULL */
	const char *host;
	const char *sender;
	const char *forward_sender; /* NEWSENDER; local_new_sender() */
	const char *recipient;      /* as in Delivered-To */

	/* the message */
	int fd; /* a file; its position is ours to move */
	uint64_t size_bytes;
	struct uuid uuid; /* or none */

	const char *root; /* files are written only below it; NULL: anywhere */
	const char *file_host;   /* the node's name, for names of files */
	const char *program_dir; /* in front of PATH; or NULL */
	int program_timeout_ms;
	const atomic_bool *is_stopping; /* set by a signal, or NULL */
	struct forwarder *forwarder;
	/*
	 * A Maildir that has a quota: what a line that names it does.
	 * own_dir: the folder that holds it; NULL: there is none.
	 */
	const char *own_dir;
	void (*deliver_own)(void *context, struct local_result *result);
	void *context;
};

/* The caller's process has to ignore SIGPIPE.  Changes its folder to home. */
void local_run(const struct local_delivery *delivery,
    const struct dotqmail_lines *lines, struct local_result *result_out);

/* One instruction of those, by itself. */
void local_run_program(const struct local_delivery *delivery,
    const char *command, struct local_result *result_out);
void local_forward(const struct local_delivery *delivery,
    const char *const *recipients, size_t count,
    struct local_result *result_out);

/*
 * Who is the sender of forwards (dot-qmail(5)): with a -owner file NAME-owner,
 * with -owner-default NAME-owner-@HOST-@[] (each recipient's own: VERP); a null
 * sender and #@[] stay.  The caller frees.
 */
char *local_new_sender(const char *sender, const char *name, const char *host,
    bool has_owner, bool has_owner_default);

/*
 * With NAME-@HOST-@[] a recipient's own sender, NAME-box=domain@HOST, which the
 * caller frees; NULL: it is no such sender.
 */
char *local_verp_sender(const char *sender, const char *recipient);

/* Sets outcome and text, made printable, with a newline. */
void local_result_set(struct local_result *result, enum job_outcome outcome,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The delivered one: "did 1+0+0". */
void local_result_did(struct local_result *result);

#endif
