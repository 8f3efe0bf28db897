/* SPDX-License-Identifier: ISC */
/*
 * A delivery to one recipient of a virtual domain in all that it can be: .qmail
 * files of the domain and of the user, aliases, filters, forwards, programs.
 * In a process of its own (vdelivermail).
 */
#ifndef DELIVERY_GENERAL_H
#define DELIVERY_GENERAL_H

#include <stdatomic.h>

#include "base/error.h"
#include "control/home.h"
#include "delivery/local.h"
#include "delivery/vdeliver.h"

struct general {
	/* how we deliver */
	const struct home *home;
	struct store *store;
	const struct vdeliver_options *options;
	const char *host; /* the node's name */
	const char *program_dir;
	struct forwarder *forwarder;
	const atomic_bool *is_stopping;

	/* for whom */
	const char *domain;     /* as in users/assign */
	const char *domain_dir; /* from there */
	const char *extension;  /* the local part */
	const char *recipient;

	/* what */
	const char *sender;
	int fd; /* a file; its position is ours to move */
	uint64_t size_bytes;
	struct uuid uuid; /* or none */
};

/*
 * Delivers, durably.  rule: what becomes of mail to absent users; NULL: the
 * domain's .qmail files say that, and all else.
 */
void general_deliver(const struct general *general,
    const struct absent_rule *rule, struct local_result *result_out);

/*
 * Whether a .qmail-default that is not the standard line can be meant as it is:
 * lines that can be followed, whose programs are there.  Otherwise (it is
 * empty, or misspelt) false with the reason in *fault_out, and users get their
 * mail as with the standard line.
 */
bool general_is_sound(const char *domain_dir, const char *program_dir,
    const struct buf *text, struct dotqmail_fault *fault_out);

#endif
