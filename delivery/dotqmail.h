/* SPDX-License-Identifier: ISC */
/*
 * The text of a virtual domain's .qmail-default, as far as the persistent
 * worker can act on it:
 *
 *	| [PATH/]vdelivermail '' ACTION
 *	| [PATH/]vfilter '' ACTION
 *
 * as the one line that is neither blank nor a comment; blanks and a CR at its
 * end do not count.  ACTION says what becomes of mail to a user who does not
 * exist.
 */
#ifndef DELIVERY_DOTQMAIL_H
#define DELIVERY_DOTQMAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* What is right, for reasons. */
#define DOTQMAIL_EXAMPLE "| vdelivermail '' bounce-no-mailbox"

enum absent_action {
	ABSENT_BOUNCE,  /* bounce-no-mailbox */
	ABSENT_DELETE,  /* delete */
	ABSENT_FOLDER,  /* /a/user/s/folder or /a/user/s/folder/Maildir */
	ABSENT_ADDRESS, /* user@domain */
	ABSENT_GENERAL  /* anything else: not for us */
};

struct absent_rule {
	enum absent_action action;
	char *target; /* of FOLDER and ADDRESS; dotqmail_release() frees it */
};

#define ABSENT_RULE_INIT                                 \
	{                                                \
		.action = ABSENT_GENERAL, .target = NULL \
	}

/* Why a file is not the standard line, for those who write it. */
struct dotqmail_fault {
	unsigned line;       /* 0: the file as a whole */
	struct error reason; /* ends with "; " and what would be right */
};

/*
 * Reads the text of a .qmail file.  True, with the rule, when it is the
 * standard line with an action that we know; else false, the rule is
 * ABSENT_GENERAL, and *fault_out, which may be NULL, says why.  What rule_out
 * held is not released.
 */
bool dotqmail_read(const char *text, size_t length,
    struct absent_rule *rule_out, struct dotqmail_fault *fault_out);

/* Reads an ACTION alone, with the same results. */
bool dotqmail_read_action(
    const char *text, size_t length, struct absent_rule *rule_out);

void dotqmail_release(struct absent_rule *rule);

#endif
