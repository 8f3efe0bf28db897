/* SPDX-License-Identifier: ISC */
/* A node's report with one of each, to be shown.  Include after cmocka.h. */
#ifndef TESTS_UNIT_REPORT_H
#define TESTS_UNIT_REPORT_H

#include "svctool/show/report.h"

/* Texts of a report are borrowed here: it is not to be released. */
#define REPORT_TEXT(text) ((char[]){ text })

static struct report_service report_services[] = {
	{ .name = REPORT_TEXT("queue1"),
	    .state = { .is_supervised = true, .pid = 258, .since = 86400 },
	    .log_state = { .is_supervised = true, .pid = 259 },
	    .is_ready = true,
	    .is_fine = true,
	    .log = LOG_UP,
	    .listen = REPORT_TEXT(""),
	    .problem = REPORT_TEXT(""),
	    .log_problem = REPORT_TEXT("") },
	{ .name = REPORT_TEXT("qmail-smtpd.25"),
	    .state = { .is_supervised = true },
	    .log = LOG_STOPPED,
	    .listen = REPORT_TEXT("127.0.0.1:25"),
	    .problem = REPORT_TEXT("it is \xff down"),
	    .log_problem = REPORT_TEXT("its logger was stopped") },
	{ .name = REPORT_TEXT("other"),
	    .state = { .since = 77 },
	    .is_ready = true,
	    .is_off = true,
	    .is_fine = true,
	    .listen = REPORT_TEXT(""),
	    .problem = REPORT_TEXT(""),
	    .log_problem = REPORT_TEXT("") },
};

static struct report_queue report_queues[] = {
	{ .name = REPORT_TEXT("queue1"),
	    .health = { .state = HEALTH_UP,
		.pid = 300,
		.started_at = 1000,
		.backlog = 12,
		.backlog_todo = 5,
		.accepted = 40,
		.finished = 28,
		.delivered = 30,
		.deferred = 4,
		.failed = 2,
		.local_running = 3,
		.local_limit = 10,
		.remote_running = 1,
		.remote_limit = 20,
		.commit_latency_us = 1550,
		.commit_batch = 350,
		.free_bytes = 1536,
		.workers = 2,
		.lanes_backing_off = 1,
		.is_journal_full = true,
		.journal_used_bytes = 600,
		.journal_size_bytes = 800,
		.damaged = 3 },
	    .damage = { .count = 3, .ids = { 8, 9 }, .id_count = 2 },
	    .min_free_bytes = 100,
	    .is_fine = true,
	    .problem = REPORT_TEXT("") },
	{ .name = REPORT_TEXT("slowq"),
	    .health = { .state = HEALTH_UP, .free_bytes = 7 },
	    .min_free_bytes = 1000,
	    .is_full = true,
	    .problem = REPORT_TEXT("takes no new mail") },
};

static const struct report a_report = {
	.home = REPORT_TEXT("/n"),
	.svscan = 77,
	.services = report_services,
	.service_count = 3,
	.queues = report_queues,
	.queue_count = 2,
};

#endif
