/* SPDX-License-Identifier: ISC */
/* A node's report for programs; jansson, as in svctool/check/find.c. */
#include "base/mem.h"
#include "svctool/show/report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/json_text.h"

/* Unless it is empty. */
static void
set_text(json_t *object, const char *name, const char *text)
{
	if (*text != '\0')
		json_object_set_new(object, name, json_text(text));
}

static json_t *
service_json(const struct report_service *service)
{
	json_t *object = json_pack(
	    "{s:o, s:s, s:b, s:I, s:I, s:b, s:b, s:b, s:s, s:b}", "name",
	    json_text(service->name), "state", report_service_state(service),
	    "supervised", service->state.is_supervised, "pid",
	    (json_int_t)service->state.pid, "since",
	    (json_int_t)service->state.since, "ready", service->is_ready, "off",
	    service->is_off, "log", service->log_state.pid != 0, "log_state",
	    log_look_name(service->log), "ok", service->is_fine);

	set_text(object, "listen", service->listen);
	set_text(object, "problem", service->problem);
	set_text(object, "log_problem", service->log_problem);
	return object;
}

static void
set_number(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *
ids_json(const struct look_damage *damage)
{
	json_t *ids = json_array();

	for (unsigned i = 0; i < damage->id_count; i++)
		json_array_append_new(
		    ids, json_integer((json_int_t)damage->ids[i]));
	return ids;
}

static json_t *
queue_json(const struct report_queue *queue)
{
	const struct health *health = &queue->health;
	json_t *object = json_pack("{s:o, s:s, s:b, s:b, s:b}", "name",
	    json_text(queue->name), "state", report_queue_state(queue), "ok",
	    queue->is_fine, "held_local", health->is_held_local, "held_remote",
	    health->is_held_remote);

	set_number(object, "pid", (uint64_t)health->pid);
	set_number(object, "since", (uint64_t)health->started_at);
	set_number(object, "backlog", health->backlog);
	set_number(object, "backlog_todo", health->backlog_todo);
	set_number(object, "accepted", health->accepted);
	set_number(object, "finished", health->finished);
	set_number(object, "delivered", health->delivered);
	set_number(object, "deferred", health->deferred);
	set_number(object, "failed", health->failed);
	set_number(object, "local_running", health->local_running);
	set_number(object, "local_limit", health->local_limit);
	set_number(object, "remote_running", health->remote_running);
	set_number(object, "remote_limit", health->remote_limit);
	set_number(object, "commit_latency_us", health->commit_latency_us);
	json_object_set_new(
	    object, "commit_batch", json_real(health->commit_batch / 100.0));
	set_number(object, "free_bytes", health->free_bytes);
	set_number(object, "min_free_bytes", queue->min_free_bytes);
	set_number(object, "workers", health->workers);
	set_number(object, "lanes_backing_off", health->lanes_backing_off);
	json_object_set_new(
	    object, "journal_full", json_boolean(health->is_journal_full));
	set_number(object, "journal_used_bytes", health->journal_used_bytes);
	set_number(object, "journal_size_bytes", health->journal_size_bytes);
	set_number(object, "damaged", queue->damage.count);
	json_object_set_new(object, "damaged_ids", ids_json(&queue->damage));
	set_text(object, "problem", queue->problem);
	return object;
}

void
report_print_json(const struct report *report)
{
	json_t *services = json_array();
	json_t *queues = json_array();
	OWN_TEXT summary = report_queue_summary(report);
	json_t *object;

	for (size_t i = 0; i < report->service_count; i++)
		json_array_append_new(
		    services, service_json(&report->services[i]));
	for (size_t i = 0; i < report->queue_count; i++)
		json_array_append_new(queues, queue_json(&report->queues[i]));
	object = json_pack("{s:o, s:b, s:I, s:o, s:o}", "home",
	    json_text(report->home), "ok", report->is_fine, "svscan",
	    (json_int_t)report->svscan, "services", services, "queues", queues);
	set_text(object, "queue_problem", summary);
	if (report->lookup != NULL)
		json_object_set(object, "lookup", report->lookup);
	json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(object);
}
