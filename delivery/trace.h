/* SPDX-License-Identifier: ISC */
/*
 * The lines that final delivery puts in front of a message (RFC 5321 4.4:
 * Return-Path; and qmail's Delivered-To), and the loop that they reveal.
 */
#ifndef DELIVERY_TRACE_H
#define DELIVERY_TRACE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Puts "Return-Path: <SENDER>\n".  The local part is quoted where RFC 5321
 * 4.1.2 wants it; control bytes, which could end the line, become '_'.
 */
void trace_put_return_path(struct buf *buf, const char *sender);

/* Puts "Delivered-To: RECIPIENT\n", control bytes as '_'. */
void trace_put_delivered_to(struct buf *buf, const char *recipient);

/* Puts LOCAL@DOMAIN, quoted, control bytes as '_'. */
void trace_put_address(struct buf *buf, const char *local, const char *domain);

/*
 * Looks for a line in the header of a message that comes in pieces.  The line
 * (without "\n") is borrowed; ASCII case does not matter.
 */
struct trace_search {
	const char *line;
	size_t length;
	size_t matched;   /* bytes of line found so far in this line */
	bool is_matching; /* all bytes of this line so far are line's */
	bool is_blank;    /* no byte in this line so far, but CR */
	bool is_found;
	bool is_over; /* found, or the header has ended */
};

void trace_search_init(
    struct trace_search *search, const char *line, size_t length);

/* Looks through the next bytes; returns is_over. */
bool trace_search_feed(
    struct trace_search *search, const char *data, size_t length);

/* The message has ended, perhaps within a line; returns is_found. */
bool trace_search_end(struct trace_search *search);

#endif
