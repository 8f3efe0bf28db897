/* SPDX-License-Identifier: ISC */
/*
 * What a submission server does to the header of a message (RFC 6409 8), as
 * ofmipd does: missing fields are added, addresses without a domain get one,
 * Bcc and what others have added at delivery is taken out.
 *
 * It works on bytes as they come, with LF at line ends, and keeps one field at
 * a time; what is no header stays as it is, behind an empty line.
 */
#ifndef SMTP_ORIGINATE_H
#define SMTP_ORIGINATE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/buf.h"

/* A longer field is passed as it is (or taken out, if it is one of those). */
enum { ORIGINATE_FIELD_MAX = 32 * 1024 };

/* Texts are borrowed. */
struct originate_options {
	const char *host;   /* of an address without a domain */
	const char *domain; /* behind one without a dot; "": nothing */
	const char *from;   /* for a From that is missing; "": none */
	const char *id;     /* ... Message-ID: its part before the "@" */
	const char *me;     /* ... and that behind it */
	time_t when;        /* ... Date */
	bool keeps_authors;
};

struct originate {
	struct originate_options options;
	struct buf field;
	bool is_in_body;
	bool is_in_line;    /* the last byte was no line end */
	bool is_first_line; /* of the field */
	bool is_long, is_dropped;
	unsigned found; /* which fields have been there */
	/* With keeps_authors: the lists of From and Sender as they go on, with
	 * NUL behind each; are_authors_long: they are too long to be kept. */
	struct buf authors;
	bool are_authors_long;
	/* Takes what is to be stored. */
	void (*emit)(void *context, const char *data, size_t length);
	void *context;
};

void originate_init(struct originate *originate,
    const struct originate_options *options,
    void (*emit)(void *context, const char *data, size_t length),
    void *context);
void originate_read(
    struct originate *originate, const char *data, size_t length);
/* The message is over. */
void originate_finish(struct originate *originate);
void originate_release(struct originate *originate);

/*
 * Puts a field's list of addresses (RFC 5322 3.4), each with a domain; what is
 * none stays as it is.
 */
void originate_put_addresses(struct buf *buf, const char *text, size_t length,
    const struct originate_options *options);

#endif
