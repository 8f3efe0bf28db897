/* SPDX-License-Identifier: ISC */
/*
 * Answers that a program gives in a user's name (RFC 3834): vacation.  Each
 * sender gets at most so many in a period; lists, bulk mail, other automatic
 * mail and null senders get none.
 */
#ifndef DELIVERY_AUTORESPOND_H
#define DELIVERY_AUTORESPOND_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/uuid.h"
#include "delivery/forward.h"
#include "delivery/header.h"

struct autorespond {
	/* what is answered, and how */
	const char *text_path; /* the answer: fields, a blank line, text; or
				* text alone */
	const char *folder;    /* remembers who was answered; made if missing */
	uint64_t most;         /* answers to a sender in a period */
	uint64_t period_s;
	const char *subject_prefix; /* in front of the message's subject, where
				     * the answer has no Subject field */
	bool has_copy;              /* the message goes with the answer */
	/* the message */
	const char *sender;
	const char *const *addresses; /* ours, NULL-ended; the first is From */
	const struct header *header;
	int fd;
	uint64_t size_bytes;
	struct uuid uuid;
	const char *recipient; /* as in Delivered-To */
	const char *host;      /* of Message-ID */
	struct forwarder *forwarder;
};

/*
 * Answers, if the message is one to be answered: *why_not_out is NULL then,
 * else a reason for people.  0; -1 with the reason when it is to be tried
 * again.
 */
int autorespond(const struct autorespond *answer, time_t now,
    const char **why_not_out, struct error *err);

/* Why a message gets no answer, whoever is answered how often; or NULL. */
const char *autorespond_why_not(const struct header *header, const char *sender,
    const char *const *addresses);

#endif
