/* SPDX-License-Identifier: ISC */
/* The Received field that is put in front of each message (RFC 5321 4.4). */
#ifndef SMTP_RECEIVED_H
#define SMTP_RECEIVED_H

#include <stdbool.h>
#include <time.h>

#include "base/buf.h"

/* What is known of the session.  Texts of the peer are made safe here. */
struct smtp_received {
	const char *helo;        /* "" when nothing was said */
	const char *remote_host; /* from tcpserver; NULL: "unknown" */
	const char *remote_info; /* from tcpserver; NULL: none */
	const char *remote_ip;
	const char *by;          /* our name */
	const char *tls_version; /* NULL without TLS */
	const char *tls_cipher;
	int tls_bits;
	const char *protocol; /* "QMTP", or NULL: SMTP or LMTP, as follows */
	bool is_lmtp;
	bool is_extended; /* EHLO */
	bool is_utf8;     /* SMTPUTF8 at MAIL */
	bool is_authenticated;
	const char *id;   /* which also is in the log */
	unsigned cluster_hops; /* 0: it does not come from a node */
	time_t when;
};

/* Puts the field, folded, with LF at line ends, behind what buf holds. */
void smtp_received_put(struct buf *buf, const struct smtp_received *received);

#endif
