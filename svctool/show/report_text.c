/* SPDX-License-Identifier: ISC */
/* A node's report for people. */
#include "base/mem.h"
#include "svctool/run/rests.h"
#include "svctool/show/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DATE_SIZE = 32, AMOUNT_SIZE = 32, STATE_SIZE = 16 };

/* Local time, as the operator's clock shows it; "-" for none. */
static const char *
date(time_t when, char out[DATE_SIZE])
{
	struct tm parts;

	if (when == 0 || localtime_r(&when, &parts) == NULL ||
	    strftime(out, DATE_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		snprintf(out, DATE_SIZE, "-");
	return out;
}

static const char *
bytes(uint64_t count, char out[AMOUNT_SIZE])
{
	static const char units[] = "BKMGTPE";
	double amount = (double)count;
	unsigned unit = 0;

	while (amount >= 1024 && units[unit + 1] != '\0') {
		amount /= 1024;
		unit++;
	}
	snprintf(out, AMOUNT_SIZE,
	    amount < 10 && unit > 0 ? "%.1f%c" : "%.0f%c", amount, units[unit]);
	return out;
}

/* A star for a service that works, but not under supervise. */
static void
service_state(const struct report_service *service, char out[STATE_SIZE])
{
	snprintf(out, STATE_SIZE, "%s%s", report_service_state(service),
	    !service->state.is_supervised && service->is_ready ? "*" : "");
}

static void
print_service(const struct report_service *service)
{
	char when[DATE_SIZE], state[STATE_SIZE];

	service_state(service, state);
	printf("%-20s %-10s %8ld  %-19s  %-7s  %s\n", service->name, state,
	    (long)service->state.pid,
	    date(service->state.is_supervised ? service->state.since : 0, when),
	    log_look_name(service->log), service->listen);
	if (*service->problem != '\0')
		printf("    %s\n", service->problem);
	if (*service->log_problem != '\0')
		printf("    %s\n", service->log_problem);
}

static const char *
held(const struct health *health)
{
	if (health->is_held_local)
		return health->is_held_remote ? "all" : "local";
	return health->is_held_remote ? "remote" : "-";
}

/* What needs somebody's hand, or tells why new mail waits. */
static void
print_remarks(const struct report_queue *queue)
{
	const struct health *health = &queue->health;
	const struct look_damage *damage = &queue->damage;
	AUTO(buf_release) struct buf ids = BUF_INIT;

	if (*queue->problem != '\0')
		printf("    %s\n", queue->problem);
	if (damage->count > 0) {
		look_damage_format(damage, &ids);
		printf("    %" PRIu64 " damaged message%s cannot be delivered "
		       "(qmail-qread says why): %s\n",
		    damage->count, damage->count == 1 ? "" : "s",
		    ids.length == 0 ? "see its log" : ids.data);
	}
	if (health->is_journal_full)
		printf("    its journal is full, and new mail waits: see its "
		       "log, and control/journalsize\n");
	if (health->lanes_backing_off > 0)
		printf("    %u lane%s of deliveries back%s off: 'svctool queue "
		       "ages' and its log say why\n",
		    health->lanes_backing_off,
		    health->lanes_backing_off == 1 ? "" : "s",
		    health->lanes_backing_off == 1 ? "s" : "");
	for (size_t i = 0; i < queue->held_lanes.count; i++) {
		OWN_TEXT lane = rests_clean(queue->held_lanes.items[i]);

		printf("    lane %s is held: 'svctool queue release --lane %s' "
		       "lets its mail go\n",
		    lane, lane);
	}
}

static void
print_queue(const struct report_queue *queue)
{
	const struct health *health = &queue->health;
	char running[AMOUNT_SIZE], space[AMOUNT_SIZE];

	snprintf(running, sizeof(running), "%u/%u", health->local_running,
	    health->local_limit);
	printf("%-10s %-9s %9" PRIu64 " %7" PRIu64 " %9s %8.1fms %7s %9" PRIu64
	       " %8" PRIu64 " %6" PRIu64 "  %s\n",
	    queue->name, report_queue_state(queue), health->backlog,
	    health->backlog_todo, running, health->commit_latency_us / 1000.0,
	    bytes(health->free_bytes, space), health->delivered,
	    health->deferred, health->failed, held(health));
	print_remarks(queue);
}

void
report_print_text(const struct report *report)
{
	OWN_TEXT summary = report_queue_summary(report);
	bool is_star = false;

	printf(
	    "node %s: %s", report->home, report->is_fine ? "up" : "NOT fine");
	if (report->svscan != 0)
		printf(", svscan pid %ld\n", (long)report->svscan);
	else if (report->has_lost_svscan)
		printf(", svscan does not run: its services do, but what "
		       "starts them again is gone; 'svctool start' ends them "
		       "and starts all anew\n");
	else
		printf(", svscan does not run\n");
	if (*summary != '\0')
		printf("%s\n", summary);
	printf("\n%-20s %-10s %8s  %-19s  %-7s  %s\n", "SERVICE", "STATE",
	    "PID", "SINCE", "LOG", "LISTENS");
	for (size_t i = 0; i < report->service_count; i++) {
		print_service(&report->services[i]);
		is_star |= !report->services[i].state.is_supervised &&
		    report->services[i].is_ready;
	}
	if (is_star)
		printf("  * works, but not under supervise\n");
	printf("\n%-10s %-9s %9s %7s %9s %10s %7s %9s %8s %6s  %s\n", "QUEUE",
	    "STATE", "BACKLOG", "NEW", "RUNNING", "COMMIT", "FREE", "DELIVERED",
	    "DEFERRED", "FAILED", "HELD");
	for (size_t i = 0; i < report->queue_count; i++)
		print_queue(&report->queues[i]);
	if (report->lookup != NULL)
		report_print_lookup(report);
}
