/* SPDX-License-Identifier: ISC */
/*
 * The Received field, in the form of qmail-smtpd:
 *
 *	Received: from HOST (HELO name) (info@address)
 *	  by us with ESMTPS (TLSv1.3 CIPHER 256/256)
 *	  id 018bcfe5-6800-7c3a-9f2e-5b1d0c4e7a91; Tue, 14 Nov 2023 ...
 */
#include "smtp/received.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "control/cluster_nodes.h"
#include "smtp/text.h"

/* Each of a line's texts, so that no line gets near 998 (RFC 5322 2.1.1). */
enum { TEXT_MAX = 255 };

/* RFC 3848, RFC 6531 4.3: who said HELO inside TLS still is ESMTPS. */
static void
put_protocol(struct buf *buf, const struct smtp_received *received)
{
	bool has_tls = received->tls_version != NULL;

	if (received->protocol != NULL)
		buf_adds(buf, received->protocol);
	else if (received->is_utf8)
		buf_adds(buf, received->is_lmtp ? "UTF8LMTP" : "UTF8SMTP");
	else if (received->is_lmtp)
		buf_adds(buf, "LMTP");
	else
		buf_adds(
		    buf, has_tls || received->is_extended ? "ESMTP" : "SMTP");
	if (has_tls)
		buf_addc(buf, 'S');
	if (received->is_authenticated)
		buf_addc(buf, 'A');
}

static void
put_from(struct buf *buf, const struct smtp_received *received)
{
	const char *host = received->remote_host;

	if (host == NULL || *host == '\0')
		host = "unknown";
	buf_adds(buf, "Received: from ");
	smtp_text_put_header(buf, host, TEXT_MAX);
	if (*received->helo != '\0' && strcasecmp(received->helo, host) != 0) {
		buf_adds(buf, " (HELO ");
		smtp_text_put_header(buf, received->helo, TEXT_MAX);
		buf_addc(buf, ')');
	}
	buf_adds(buf, " (");
	if (received->remote_info != NULL && *received->remote_info != '\0') {
		smtp_text_put_header(buf, received->remote_info, TEXT_MAX);
		buf_addc(buf, '@');
	}
	smtp_text_put_header(buf, received->remote_ip, 64);
	buf_adds(buf, ")\n");
}

void
smtp_received_put(struct buf *buf, const struct smtp_received *received)
{
	char date[CLOCK_DATE_SIZE];

	put_from(buf, received);
	buf_adds(buf, "  by ");
	smtp_text_put_header(buf, received->by, TEXT_MAX);
	buf_adds(buf, " with ");
	put_protocol(buf, received);
	if (received->tls_version != NULL)
		buf_addf(buf, " (%s %s %d/%d)", received->tls_version,
		    received->tls_cipher, received->tls_bits,
		    received->tls_bits);
	if (received->cluster_hops > 0)
		buf_addf(buf, "\n  " CLUSTER_HOP_WORDS "%u)",
		    received->cluster_hops);
	clock_date(received->when, date);
	buf_addf(buf, "\n  id %s; %s\n", received->id, date);
}
