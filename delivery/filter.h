/* SPDX-License-Identifier: ISC */
/* A user's filters (vfilter), and which of them a message meets. */
#ifndef DELIVERY_FILTER_H
#define DELIVERY_FILTER_H

#include <stddef.h>

#include "delivery/header.h"
#include "lookupd/store.h"

/* The fields by number, and the comparisons; NULL: no such number. */
const char *filter_header_name(int number);
const char *filter_comparison_name(int number);

/* Numbers as in the reference's manual; they are stored. */
enum filter_comparison {
	FILTER_EQUALS,
	FILTER_CONTAINS,
	FILTER_CONTAINS_NOT,
	FILTER_STARTS,
	FILTER_ENDS,
	FILTER_STRANGER, /* sender not in the address book: there is none, so
			  * it is never met */
	FILTER_NOT_TO_ME,
	FILTER_NUMBER, /* "%p > 5" of the first number in the field */
	FILTER_REGEX,
	FILTER_COMPARISONS
};

/* What of a message filters look at. */
struct filter_message {
	const struct header *header;
	const char *sender;           /* the envelope's */
	const char *const *addresses; /* the user's own, NULL-ended */
};

/* The first filter that is met, or NULL. */
const struct store_filter *filter_find(
    const struct store_filters *filters, const struct filter_message *message);

#endif
