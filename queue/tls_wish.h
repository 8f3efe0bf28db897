/* SPDX-License-Identifier: ISC */
/*
 * Does a message say TLS-Required: No (RFC 8689 5)?  Reads it as it goes by.
 */
#ifndef QUEUE_TLS_WISH_H
#define QUEUE_TLS_WISH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Zeroed storage is the beginning of a message. */
struct tls_wish {
	enum {
		TLS_WISH_START, /* of a line */
		TLS_WISH_NAME,
		TLS_WISH_COLON, /* the name is there */
		TLS_WISH_VALUE,
		TLS_WISH_OTHER, /* of a line, until its end */
		TLS_WISH_BODY   /* the header is over */
	} part;
	enum {
		TLS_WISH_NOTHING, /* but blanks */
		TLS_WISH_N,
		TLS_WISH_NO,
		TLS_WISH_NO_AND_BLANK,
		TLS_WISH_ANOTHER
	} value;
	unsigned name_at; /* the next byte of the name */
	bool is_ours;     /* the field that a folded line goes on with */
	unsigned fields;  /* of this name */
};

/* The next bytes, with LF at line ends. */
void tls_wish_read(struct tls_wish *wish, const char *data, size_t length);

/* Has the header, so far, exactly one such field, and does that say No? */
bool tls_wish_is_no(const struct tls_wish *wish);

/*
 * The parameters of a message (dsn.h), with what its header says: REQUIRETLS
 * counts for more.  dsn may be NULL.
 */
void tls_wish_put_dsn(
    const struct tls_wish *wish, const char *dsn, struct buf *buf);

#endif
