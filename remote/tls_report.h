/* SPDX-License-Identifier: ISC */
/*
 * Counts for reports on TLS (RFC 8460): how many sessions with the hosts of a
 * domain came about, and why others did not, for each day (UTC).
 *
 * They are kept in memory and appended to run/tls-report/YYYY-MM-DD as lines of
 * JSON, each with what was counted since the line before it; svctool
 * tls-report adds them up, and notes in YYYY-MM-DD.sent which reports it has
 * sent.  A crash loses what was not appended yet.  For one thread.
 */
#ifndef REMOTE_TLS_REPORT_H
#define REMOTE_TLS_REPORT_H

#include <stdbool.h>
#include <time.h>

#include "base/error.h"

struct tls_report;

/* folder: run/tls-report; it may be missing, and nothing is kept then. */
struct tls_report *tls_report_new(const char *folder);
/* Appends what there is. */
void tls_report_free(struct tls_report **report);

struct tls_report_session {
	const char *domain;
	const char *policy; /* "tlsa", "sts", "no-policy-found" */
	/* The policy itself: its lines, or records, with LF between; or "" */
	const char *policy_text;
	const char *host;
	const char *ip;     /* the host's */
	const char *result; /* "": it went well; a word of RFC 8460 4.3 */
};
/* Appends, too, if the last time was some while ago. */
void tls_report_count(struct tls_report *report,
    const struct tls_report_session *session, time_t now);
/* Appends if the last time was some while ago. */
void tls_report_tick(struct tls_report *report, time_t now);

enum { TLS_REPORT_DAY_SIZE = 11, TLS_REPORT_DAYS = 14 };
/* "2026-11-30" */
void tls_report_day(time_t when, char day_out[TLS_REPORT_DAY_SIZE]);
bool tls_report_is_day(const char *text);

#endif
