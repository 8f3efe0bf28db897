/* SPDX-License-Identifier: ISC */
/* Figures of a node in Prometheus' text form. */
#include "adminsrv/server/metrics.h"

#include <jansson.h>
#include <string.h>

/* A figure of each queue. */
static const struct {
	const char *member, *name, *type, *help;
	double scale;
} queue_figures[] = {
	{ "backlog", "mqmail_queue_messages", "gauge", "Messages that wait.", 1 },
	{ "backlog_todo", "mqmail_queue_unprocessed", "gauge",
	    "Messages that are not routed yet.", 1 },
	{ "accepted", "mqmail_queue_accepted_total", "counter",
	    "Messages taken since the queue's start.", 1 },
	{ "finished", "mqmail_queue_finished_total", "counter",
	    "Messages that are over.", 1 },
	{ "delivered", "mqmail_queue_delivered_total", "counter",
	    "Recipients delivered.", 1 },
	{ "deferred", "mqmail_queue_deferred_total", "counter",
	    "Attempts that are to be repeated.", 1 },
	{ "failed", "mqmail_queue_failed_total", "counter",
	    "Recipients that failed.", 1 },
	{ "local_running", "mqmail_queue_local_running", "gauge",
	    "Local deliveries under way.", 1 },
	{ "remote_running", "mqmail_queue_remote_running", "gauge",
	    "Remote deliveries under way.", 1 },
	{ "commit_latency_us", "mqmail_queue_commit_latency_seconds", "gauge",
	    "How long a commit takes.", 1e-6 },
	{ "free_bytes", "mqmail_queue_free_bytes", "gauge",
	    "Free space of its disk.", 1 },
	{ "lanes_backing_off", "mqmail_queue_lanes_backing_off", "gauge",
	    "Destinations that are left alone for a while.", 1 },
	{ "damaged", "mqmail_queue_damaged", "gauge",
	    "Messages that cannot be delivered.", 1 },
	{ "journal_used_bytes", "mqmail_queue_journal_used_bytes", "gauge",
	    "Of its journal.", 1 },
	{ "held_local", "mqmail_queue_held_local", "gauge",
	    "1: local deliveries are held.", 1 },
	{ "held_remote", "mqmail_queue_held_remote", "gauge",
	    "1: remote deliveries are held.", 1 },
	{ "ok", "mqmail_queue_up", "gauge", "1: nothing is wrong with it.", 1 },
};

static void
put_family(
    struct buf *text, const char *name, const char *type, const char *help)
{
	buf_addf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Backslash, quote and newline are escaped in a label's value. */
static void
put_label(struct buf *text, const char *label, const char *value)
{
	buf_addf(text, "{%s=\"", label);
	for (; *value != '\0'; value++)
		if (*value == '\n')
			buf_adds(text, "\\n");
		else {
			if (*value == '\\' || *value == '"')
				buf_addc(text, '\\');
			buf_addc(text, *value);
		}
	buf_adds(text, "\"}");
}

static double
figure_of(const json_t *value)
{
	return json_is_boolean(value) ? json_is_true(value)
				      : json_number_value(value);
}

static void
put_value(struct buf *text, double value)
{
	buf_addf(text, " %.15g\n", value);
}

/* A member of each object of an array, which has a name. */
static void
put_members(struct buf *text, const json_t *array, const char *metric,
    const char *label, const char *member, double scale)
{
	const json_t *each;
	size_t i;

	json_array_foreach (array, i, each) {
		const char *name = json_string_value(
		    json_object_get(each, "name"));
		const json_t *value = json_object_get(each, member);

		if (name == NULL ||
		    (!json_is_number(value) && !json_is_boolean(value)))
			continue;
		buf_adds(text, metric);
		put_label(text, label, name);
		put_value(text, figure_of(value) * scale);
	}
}

static void
put_queues(struct buf *text, const json_t *queues)
{
	for (size_t i = 0; i < sizeof(queue_figures) / sizeof(queue_figures[0]);
	     i++) {
		put_family(text, queue_figures[i].name, queue_figures[i].type,
		    queue_figures[i].help);
		put_members(text, queues, queue_figures[i].name, "queue",
		    queue_figures[i].member, queue_figures[i].scale);
	}
}

/* All that is a number among lookupd's figures. */
static void
put_lookup(struct buf *text, json_t *figures)
{
	const char *name;
	const json_t *value;
	bool is_first = true;

	json_object_foreach (figures, name, value) {
		if (!json_is_number(value) && !json_is_boolean(value))
			continue;
		if (is_first)
			put_family(text, "mqmail_lookup", "untyped",
			    "Figures of lookupd, by name.");
		is_first = false;
		buf_adds(text, "mqmail_lookup");
		put_label(text, "figure", name);
		put_value(text, figure_of(value));
	}
}

static void
put_nodes(struct buf *text, const char *nodes)
{
	json_t *rows = nodes == NULL ? NULL : json_loads(nodes, 0, NULL);

	put_family(text, "mqmail_database_up", "gauge",
	    "1: adminsrv reaches the database.");
	buf_adds(text, "mqmail_database_up");
	put_value(text, rows != NULL);
	put_family(
	    text, "mqmail_node_up", "gauge", "1: the node's lease runs.");
	put_members(text, rows, "mqmail_node_up", "node", "is_alive", 1);
	put_family(text, "mqmail_node_draining", "gauge",
	    "1: the node hands its mail to others.");
	put_members(
	    text, rows, "mqmail_node_draining", "node", "is_draining", 1);
	json_decref(rows);
}

int
metrics_write(const char *status, size_t length, const char *nodes,
    struct buf *text)
{
	json_t *report = json_loadb(status, length, 0, NULL);

	if (!json_is_object(report)) {
		json_decref(report);
		return -1;
	}
	put_family(text, "mqmail_up", "gauge", "1: nothing is wrong here.");
	buf_adds(text, "mqmail_up");
	put_value(text, figure_of(json_object_get(report, "ok")));
	put_family(text, "mqmail_service_up", "gauge",
	    "1: the service does its work.");
	put_members(text, json_object_get(report, "services"),
	    "mqmail_service_up", "service", "ok", 1);
	put_queues(text, json_object_get(report, "queues"));
	put_lookup(text, json_object_get(report, "lookup"));
	put_nodes(text, nodes);
	json_decref(report);
	return 0;
}
