/* SPDX-License-Identifier: ISC */
/* Is the node up, and all of it?  As svctool status sees it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "svctool/check/check.h"
#include "svctool/run/ready.h"
#include "svctool/run/rspawn.h"
#include "svctool/show/report.h"

/* What was just started gets the time to come up. */
enum { LOOKS = 4, PAUSE_MS = 500 };

static bool
has_any_process(const struct report_service *service)
{
	return service->state.is_supervised || service->is_ready;
}

static bool
is_starting(const struct report *report)
{
	for (size_t i = 0; i < report->service_count; i++)
		if (strcmp(report_service_state(&report->services[i]),
			"starting") == 0)
			return true;
	return false;
}

static int
look_at_node(
    const struct node *node, struct report *report_out, struct error *err)
{
	for (int i = 1;; i++) {
		int result = report_collect(node, report_out, err);

		if (result == -1 || i == LOOKS || !is_starting(report_out))
			return result;
		report_release(report_out);
		clock_sleep_ms(PAUSE_MS);
	}
}

/* Not a process of it is left.  Its last states tell whether that was meant. */
static void
find_stopped_node(struct check *check, const struct report *report)
{
	const char *service = check->node->home->service;
	unsigned were_up = 0;

	for (size_t i = 0; i < report->service_count; i++)
		were_up += report->services[i].state.was_up;
	if (were_up == 0) {
		check_find(check, CHECK_NOTE, service, 0,
		    "the node is not running" REMEDY "svctool start");
		return;
	}
	check_find(check, CHECK_ERROR, service, 0,
	    "the node is not running, and nobody stopped it: %u of its "
	    "services ran until they, or the host, went down" REMEDY
	    "svctool start, and see the ends of its logs",
	    were_up);
}

static void
find_down_by_wish(
    struct check *check, const char *path, const struct report_service *service)
{
	const char *name = service->name;

	check_find(check, service->is_off ? CHECK_NOTE : CHECK_WARNING, path, 0,
	    "the service is down by wish (%s)",
	    service->is_off ? "a file 'down'" : "svc -d");
	if (service->is_off)
		check_remedy(check, "rm '%s/down' and svc -u '%s' start %s",
		    path, path, name);
	else
		check_remedy(check, "svc -u '%s' starts it", path);
}

static void
check_service_state(struct check *check, const struct report_service *service)
{
	const struct node *node = check->node;
	const char *state = report_service_state(service);
	OWN_TEXT path = xasprintf("%s/%s", node->home->service, service->name);
	struct error wish;

	if (strcmp(state, "up") == 0)
		;
	else if (ready_is_down_by_wish(
		     node, service->name, &service->state, &wish))
		find_down_by_wish(check, path, service);
	else if (service->is_hung) {
		check_find(check, CHECK_ERROR, path, 0,
		    "the service hangs" REMEDY "%s", service->problem);
	} else {
		check_find(check, CHECK_ERROR, path, 0,
		    "the service is %s: %s" REMEDY
		    "see the end of %s/%s/current",
		    state, service->problem, node->home->log, service->name);
	}
}

/* That its filesystem is full is found by check_space(). */
static void
check_log(struct check *check, const struct report_service *service)
{
	OWN_TEXT path = NULL;

	if (*service->log_problem == '\0' || service->log == LOG_FULL)
		return;
	path = xasprintf(
	    "%s/%s/log", check->node->home->service, service->name);
	check_find(check, CHECK_ERROR, path, 0,
	    "the service's log is %s" REMEDY "%s", log_look_name(service->log),
	    service->log_problem);
}

/* Mail may go to a wrong host, or bounce, until it is read. */
static void
check_has_read(struct check *check)
{
	OWN_TEXT path = rspawn_unread(check->node);

	if (path != NULL)
		check_find(check, CHECK_WARNING, path, 0,
		    "it was changed after remote delivery has read its "
		    "settings, and does not count yet" REMEDY "svc -h '%s/%s'",
		    check->node->home->service, node_remote_service);
}

static void
check_report(struct check *check, const struct report *report)
{
	bool is_running = report->svscan != 0;

	for (size_t i = 0; i < report->service_count; i++)
		is_running |= has_any_process(&report->services[i]);
	if (!is_running && report->service_count > 0)
		find_stopped_node(check, report);
	if (!is_running)
		return;
	if (report->has_lost_svscan)
		check_find(check, CHECK_ERROR, check->node->home->service, 0,
		    "svscan does not run, so a supervise that ends is not "
		    "started again" REMEDY
		    "svctool start ends the services and starts all anew");
	for (size_t i = 0; i < report->service_count; i++) {
		check_service_state(check, &report->services[i]);
		check_log(check, &report->services[i]);
	}
	check_has_read(check);
}

void
check_running(struct check *check)
{
	AUTO(report_release) struct report report = { .home = NULL };
	struct error err;

	if (look_at_node(check->node, &report, &err) == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "svctool restart makes it anew");
	else
		check_report(check, &report);
}
