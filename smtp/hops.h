/* SPDX-License-Identifier: ISC */
/* Counts the hops of a message (RFC 5321 6.3) as its header goes by. */
#ifndef SMTP_HOPS_H
#define SMTP_HOPS_H

#include <stddef.h>
#include <stdint.h>

struct smtp_hops {
	uint64_t count;    /* of Received and Delivered-To fields */
	unsigned column;   /* of the next byte; past the longest name: stays */
	unsigned possible; /* names that the line's start still fits, as bits */
	enum { SMTP_HOPS_HEADER, SMTP_HOPS_BODY } part;
};

#define SMTP_HOPS_INIT          \
	{                       \
		.possible = ~0u \
	}

/* The next bytes of the message as stored, with LF at line ends. */
void smtp_hops_read(struct smtp_hops *hops, const char *data, size_t length);

#endif
