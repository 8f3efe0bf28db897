/* SPDX-License-Identifier: ISC */
/* What a node is doing now. */
#include "svctool/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "svctool/proc.h"
#include "svctool/ready.h"

/*
 * Under another supervisor (systemd) there is no state of supervise: then it
 * counts that the service does its work.
 */
static void
judge_service(const struct node *node, struct report_service *service)
{
	struct error err = { .text = "" };
	bool is_running = !service->state.is_supervised ||
	    service->state.pid != 0;

	service->is_off = ready_is_down(node, service->name);
	service->is_ready = ready_service(node, service->name, &err);
	service->is_fine = service->is_off || (is_running && service->is_ready);
	if (!is_running && service->is_ready && !service->is_off)
		error_set(
		    &err, "it is down, but somebody else listens on its port");
	service->problem = xstrdup(service->is_fine ? "" : err.text);
}

static int
collect_service(const struct node *node, const char *name,
    struct report_service *service, struct error *err)
{
	char *folder = node_path(node, "%s/%s", node->home->service, name);
	char *log = node_path(node, "%s/%s/log", node->home->service, name);
	int result = 0;

	service->name = xstrdup(name);
	service->listen = node_is_listener(name)
	    ? node_variable(node, name, "LISTEN")
	    : xstrdup("");
	if (supervise_read(folder, &service->state, err) == -1 ||
	    supervise_read(log, &service->log_state, err) == -1)
		result = -1;
	else
		judge_service(node, service);
	free(log);
	free(folder);
	return result;
}

static void
collect_queue(
    const struct node *node, const char *name, struct report_queue *queue)
{
	char *folder = node_path(node, "%s/%s", node->home->queue, name);
	struct error err = { .text = "" };
	int found = health_read(folder, &queue->health, &err);

	queue->name = xstrdup(name);
	if (found == 0)
		error_set(&err, "it has never run");
	if (found != 1)
		memset(&queue->health, 0, sizeof(queue->health));
	queue->problem = xstrdup(err.text);
	queue->is_fine = queue->health.state == HEALTH_UP ||
	    queue->health.state == HEALTH_STARTING || ready_is_down(node, name);
	free(folder);
}

int
report_collect(
    const struct node *node, struct report *report_out, struct error *err)
{
	struct arg_list services = { .count = 0 };
	struct arg_list queues = { .count = 0 };
	int result = 0;

	memset(report_out, 0, sizeof(*report_out));
	report_out->home = xstrdup(node->home->root);
	report_out->svscan = proc_find_svscan(node->home->service);
	report_out->is_fine = true;
	if (node_services(node, &services, err) == -1 ||
	    node_queues(node, &queues, err) == -1)
		result = -1;
	report_out->services = xcalloc(
	    services.count + 1, sizeof(*report_out->services));
	for (size_t i = 0; result == 0 && i < services.count; i++) {
		struct report_service *service =
		    &report_out->services[report_out->service_count++];

		result = collect_service(node, services.items[i], service, err);
		report_out->is_fine &= service->is_fine;
	}
	report_out->queues = xcalloc(
	    queues.count + 1, sizeof(*report_out->queues));
	for (size_t i = 0; result == 0 && i < queues.count; i++) {
		struct report_queue *queue =
		    &report_out->queues[report_out->queue_count++];

		collect_queue(node, queues.items[i], queue);
		report_out->is_fine &= queue->is_fine;
	}
	arg_list_release(&services);
	arg_list_release(&queues);
	return result;
}

void
report_release(struct report *report)
{
	for (size_t i = 0; i < report->service_count; i++) {
		free(report->services[i].name);
		free(report->services[i].listen);
		free(report->services[i].problem);
	}
	for (size_t i = 0; i < report->queue_count; i++) {
		free(report->queues[i].name);
		free(report->queues[i].problem);
	}
	free(report->services);
	free(report->queues);
	free(report->home);
	memset(report, 0, sizeof(*report));
}
