/* SPDX-License-Identifier: ISC */
/*
 * A report on TLS as it is sent (RFC 8460): whom a domain wants to have it, its
 * JSON, and the mail that carries it.
 */
#ifndef REMOTE_TLS_REPORT_MAIL_H
#define REMOTE_TLS_REPORT_MAIL_H

#include <stdbool.h>
#include <time.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/strlist.h"
#include "remote/tls_report.h"

enum { TLS_REPORT_TARGETS_MAX = 10 }; /* others of a record do not count */

/*
 * Adds the targets of a TXT record of _smtp._tls.DOMAIN (RFC 8460 3):
 * "mailto:MAILBOX", whose escapes are gone, and "https://..." as it stands.
 * False: it is not a record of TLSRPTv1, or names none that can be used.
 */
bool tls_report_read_record(const char *text, struct strlist *targets);

/* One domain's, of one day. */
struct tls_report_facts {
	const char *organization;
	const char *submitter; /* our domain */
	const char *contact;   /* a mailbox of ours */
	const char *domain;    /* whom it is about */
	const char *day;       /* "2026-11-30", UTC */
};

/* The caller frees it. */
char *tls_report_id(const struct tls_report_facts *facts);

/*
 * The report, gzip'ed.  rows: an array of lines as run/tls-report/DAY has
 * them, the domain's.
 */
void tls_report_put_gzip(
    const struct tls_report_facts *facts, json_t *rows, struct buf *out);

/* The mail with it, LF line ends. */
void tls_report_put_mail(const struct tls_report_facts *facts, const char *to,
    time_t now, const struct buf *gzip, struct buf *out);

#endif
