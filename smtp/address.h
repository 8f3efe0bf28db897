/* SPDX-License-Identifier: ISC */
/*
 * The paths of MAIL and RCPT (RFC 5321 4.1.2, RFC 6531 3.3).
 */
#ifndef SMTP_ADDRESS_H
#define SMTP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

enum {
	/*
	 * RFC 5321 4.5.3.1.3: a path has 256 octets, its brackets included.
	 * 4.5.3.1.1 names 64 for the local part as what every server takes;
	 * return paths that carry another address (VERP, SRS) are longer, so
	 * only the whole is bounded.
	 */
	SMTP_ADDRESS_MAX = 254,
	SMTP_DOMAIN_MAX = 255, /* 4.5.3.1.2 */
	SMTP_LABEL_MAX = 63    /* RFC 1035 2.3.4; of ASCII */
};

enum smtp_address_result {
	SMTP_ADDRESS_OK,
	SMTP_ADDRESS_SYNTAX,
	SMTP_ADDRESS_TOO_LONG
};

/*
 * A mailbox as it goes into an envelope: source route and quotes are gone, so
 * the local part may hold blanks and '@'; never a control character.
 */
struct smtp_address {
	char text[SMTP_ADDRESS_MAX + 1]; /* "" for the null sender */
	const char *domain; /* in text, behind its last @; or NULL */
	bool is_literal;    /* the domain is "[...]" */
	bool is_utf8;       /* not ASCII, but valid UTF-8 */
};

/*
 * Reads the path that path begins with: "<", a source route that is ignored,
 * a mailbox or nothing, ">".  Clients that leave the brackets out are
 * understood up to the next blank.  *used_out is how much of path it was.
 * address_out points into itself and must not be copied by assignment.
 */
enum smtp_address_result smtp_address_parse(const char *path, size_t length,
    struct smtp_address *address_out, size_t *used_out);

/*
 * The same of a mailbox as envelopes and QMTP have it, without brackets and
 * quotes; nothing is the null sender.
 */
enum smtp_address_result smtp_address_read(
    const char *text, size_t length, struct smtp_address *address_out);

#endif
