/* SPDX-License-Identifier: ISC */
/* What a node is doing now. */
#include "svctool/show/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/scan.h"
#include "control/settings.h"
#include "queue/held.h"
#include "svctool/run/dovecot.h"
#include "svctool/run/ports.h"
#include "svctool/run/ready.h"
#include "svctool/run/session.h"
#include "svctool/show/log_tail.h"

const char *
report_service_state(const struct report_service *service)
{
	if (service->is_restarting)
		return "restarting";
	if (service->is_hung)
		return "hung";
	if (service->state.is_supervised ? service->state.pid == 0
					 : !service->is_ready)
		return "down";
	return service->is_ready ? "up" : "starting";
}

const char *
report_queue_state(const struct report_queue *queue)
{
	if (queue->is_hung)
		return "hung";
	return queue->is_full ? "full" : health_state_name(queue->health.state);
}

/*
 * Under another supervisor (systemd) there is no state of supervise: then it
 * counts that the service does its work.
 */
static void
judge_service(const struct node *node, struct report_service *service)
{
	const struct supervise_state *state = &service->state;
	struct error err = { .text = "" };
	struct error wish;
	bool is_running = !state->is_supervised || state->pid != 0;
	enum ready ready = ready_service(node, service->name, state, &err);

	service->is_off = ready_has_down_file(node, service->name);
	service->is_hung = ready == READY_HUNG;
	service->is_ready = ready_does_work(ready);
	if (service->is_off &&
	    (state->is_supervised ? state->pid == 0 : !service->is_ready))
		service->is_fine = true;
	else
		service->is_fine = is_running && service->is_ready;
	if (!is_running && service->is_ready)
		error_set(
		    &err, "it is down, but another process does its work");
	if (state->is_supervised &&
	    ready_is_down_by_wish(node, service->name, state, &wish))
		err = wish;
	else if (service->is_fine)
		err.text[0] = '\0';
	service->problem = xstrdup(err.text);
}

/* A service whose lines nobody reads comes to wait for that. */
static void
judge_log(const struct node *node, struct report_service *service)
{
	struct error err = { .text = "" };

	service->log = log_look(
	    node, service->name, &service->state, &service->log_state, &err);
	service->log_problem = xstrdup(err.text);
	service->is_fine &= service->log == LOG_NONE || service->log == LOG_UP;
}

/* After all services were looked at: one that keeps ending is not up. */
static void
judge_restarting(const struct node *node, struct report *report)
{
	report_find_restarting(node, report);
	for (size_t i = 0; i < report->service_count; i++) {
		struct report_service *service = &report->services[i];
		OWN_TEXT line = NULL;
		char *problem;

		if (!service->is_restarting)
			continue;
		line = log_last_line(node, service->name);
		problem = xasprintf(
		    "it ends again and again%s%s; its log %s/%s/current ends "
		    "with: %s",
		    *service->problem != '\0' ? ": " : "", service->problem,
		    node->home->log, service->name,
		    *line != '\0' ? line : "nothing");
		free(service->problem);
		service->problem = problem;
		service->is_fine = service->is_ready = false;
		report->is_fine = false;
	}
}

static void
add_address(struct buf *text, const struct port_address *address)
{
	if (address->port != 0)
		buf_addf(text,
		    strchr(address->ip, ':') == NULL ? "%s%s:%u" : "%s[%s]:%u",
		    text->length == 0 ? "" : " ", address->ip, address->port);
}

/* Where a service listens, for people; "" for one that does not. */
static char *
find_addresses(const struct node *node, const char *name)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct dovecot_listeners dovecot;

	if (node_is_listener(name))
		return node_variable(node, name, "LISTEN");
	buf_init(&text);
	if (node_is_imap(name) &&
	    dovecot_read_listeners(node, &dovecot, NULL) == 1) {
		add_address(&text, &dovecot.imap);
		add_address(&text, &dovecot.imaps);
	}
	return xstrdup(text.data);
}

static int
collect_service(const struct node *node, const char *name,
    struct report_service *service, struct error *err)
{
	OWN_TEXT folder = node_path(node, "%s/%s", node->home->service, name);
	OWN_TEXT log = node_path(node, "%s/%s/log", node->home->service, name);
	int result = 0;

	service->name = xstrdup(name);
	service->listen = find_addresses(node, name);
	if (supervise_read(folder, &service->state, err) == -1 ||
	    supervise_read(log, &service->log_state, err) == -1)
		result = -1;
	else {
		judge_service(node, service);
		judge_log(node, service);
	}
	return result;
}

/*
 * The free space that new mail wants: what the settings say, or more where a
 * listener's own variable does.  A setting that is wrong has its default here:
 * it is check that says so.
 */
static uint64_t
wanted_free(const struct node *node, const struct strlist *services)
{
	AUTO(settings_free)
	struct settings *settings = settings_load_all(
	    node->home->control, NULL, NULL, NULL);
	uint64_t wanted = settings_number(settings, SETTING_min_free);

	for (size_t i = 0; i < services->count; i++) {
		OWN_TEXT text = node_variable(
		    node, services->items[i], "MIN_FREE");
		uint64_t number;

		if (scan_u64(text, INT64_MAX, &number) && number > wanted)
			wanted = number;
	}
	return wanted;
}

/* A queue that runs, but is skipped for lack of space. */
static void
judge_space(const char *folder, struct report_queue *queue, struct error *err)
{
	const struct health *health = &queue->health;
	struct statvfs fs;
	bool has_no_inodes = statvfs(folder, &fs) == 0 && fs.f_files > 0 &&
	    fs.f_favail == 0;

	queue->is_full = (health->state == HEALTH_UP ||
			     health->state == HEALTH_STARTING) &&
	    (health->free_bytes < queue->min_free_bytes ||
		health->free_bytes == 0 || has_no_inodes);
	if (!queue->is_full)
		return;
	if (health->free_bytes == 0)
		error_set(err,
		    "takes no new mail: no byte is free on its filesystem: "
		    "make room there");
	else if (health->free_bytes >= queue->min_free_bytes)
		error_set(err,
		    "takes no new mail: no inode is free on its filesystem: "
		    "remove files there ('df -i' counts)");
	else
		error_set(err,
		    "takes no new mail: %" PRIu64 " bytes are free on its "
		    "filesystem, and MIN_FREE wants %" PRIu64
		    ": make room there, or lower control/min_free",
		    health->free_bytes, queue->min_free_bytes);
}

/* Messages that are looked at for damage: so many take about a second. */
enum { LOOKED_AT_MAX = 100000 };

/*
 * A queue that runs knows what it cannot use, but not by name.  A reason is
 * given only when there was none before.
 */
static void
look_into_queue(
    const char *folder, struct report_queue *queue, struct error *err)
{
	struct health *health = &queue->health;
	bool is_down = health->state == HEALTH_DOWN;
	struct look_count count = { .messages = 0 };
	struct error reason = { .text = "" };
	AUTO(queue_dir_close) struct queue_dir *dir = NULL;

	if (!is_down && health->damaged == 0)
		return;
	dir = look_queue(folder, &reason);
	if (dir != NULL)
		look_damage(dir, is_down ? LOOK_EVERYWHERE : LOOK_IN_FILES,
		    LOOKED_AT_MAX, &queue->damage, is_down ? &count : NULL,
		    &reason);
	if (is_down) {
		health->backlog = count.messages;
		health->backlog_todo = count.not_preprocessed;
	}
	if (err->text[0] == '\0')
		*err = reason;
	/* Those beyond the ones that were looked at. */
	if (!is_down && queue->damage.count < health->damaged)
		queue->damage.count = health->damaged;
}

static bool
takes_mail(const struct report_queue *queue)
{
	return !queue->is_full && !queue->is_hung &&
	    (queue->health.state == HEALTH_UP ||
		queue->health.state == HEALTH_STARTING);
}

static void
collect_held_lanes(const char *folder, struct report_queue *queue)
{
	struct held held = { .lanes = { .count = 0 } };
	struct error unused;

	if (held_read(folder, &held, &unused) == 0) {
		queue->held_lanes = held.lanes;
		held.lanes = (struct strlist){ .count = 0 };
	}
	held_release(&held);
}

static void
collect_queue(const struct node *node, const char *name, uint64_t min_free,
    struct report_queue *queue)
{
	OWN_TEXT folder = node_path(node, "%s/%s", node->home->queue, name);
	struct error err = { .text = "" }, reason;
	int found = health_read(folder, &queue->health, &err);

	queue->name = xstrdup(name);
	queue->min_free_bytes = min_free;
	if (found == 0)
		error_set(&err, "it has never run");
	if (found != 1)
		memset(&queue->health, 0, sizeof(queue->health));
	else if (ready_queue(node, name, &reason) == READY_HUNG) {
		queue->is_hung = true;
		err = reason;
	} else
		judge_space(folder, queue, &err);
	if (!queue->is_hung)
		look_into_queue(folder, queue, &err);
	collect_held_lanes(folder, queue);
	queue->problem = xstrdup(err.text);
	queue->is_fine = takes_mail(queue) ||
	    (!queue->is_full && !queue->is_hung &&
		ready_has_down_file(node, name));
}

/* A queue that does not run: why is known of its service. */
static void
explain_queue(const struct node *node, const struct report *report,
    struct report_queue *queue)
{
	const struct report_service *service = NULL;
	OWN_TEXT problem = NULL;

	if (queue->health.state != HEALTH_DOWN || queue->is_hung)
		return;
	for (size_t i = 0; i < report->service_count; i++)
		if (strcmp(report->services[i].name, queue->name) == 0)
			service = &report->services[i];
	problem = queue->problem;
	queue->problem = service == NULL
	    ? xasprintf("%s%sit has no service: 'svctool queue add %s --home "
			"%s' makes one",
		  problem, *problem != '\0' ? "; " : "", queue->name,
		  node->home->root)
	    : xasprintf("%s%sits service is %s%s%s", problem,
		  *problem != '\0' ? "; " : "", report_service_state(service),
		  *service->problem != '\0' ? ": " : "", service->problem);
}

char *
report_queue_summary(const struct report *report)
{
	size_t count = 0;
	AUTO(buf_release) struct buf names = BUF_INIT;
	char *text;

	for (size_t i = 0; i < report->queue_count; i++) {
		const struct report_queue *queue = &report->queues[i];

		if (takes_mail(queue))
			continue;
		buf_addf(&names, "%s%s (%s)", count++ > 0 ? ", " : "",
		    queue->name, report_queue_state(queue));
	}
	if (count == 0)
		text = xstrdup("");
	else
		text = xasprintf("%zu of %zu queue%s take%s no new mail: %s%s",
		    count, report->queue_count, plural(report->queue_count),
		    count == 1 ? "s" : "", names.data,
		    count < report->queue_count
			? ""
			: "; clients are told to try again later");
	return text;
}

int
report_collect(
    const struct node *node, struct report *report_out, struct error *err)
{
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	AUTO(strlist_release) struct strlist queues = { .count = 0 };
	uint64_t min_free;
	int result = 0;

	memset(report_out, 0, sizeof(*report_out));
	report_out->home = xstrdup(node->home->root);
	report_out->svscan = session_svscan(node);
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
		report_out->has_lost_svscan |= report_out->svscan == 0 &&
		    service->state.is_supervised;
	}
	report_out->is_fine &= !report_out->has_lost_svscan;
	judge_restarting(node, report_out);
	report_lookup(node, report_out);
	report_cluster(node, report_out);
	min_free = wanted_free(node, &services);
	report_out->queues = xcalloc(
	    queues.count + 1, sizeof(*report_out->queues));
	for (size_t i = 0; result == 0 && i < queues.count; i++) {
		struct report_queue *queue =
		    &report_out->queues[report_out->queue_count++];

		collect_queue(node, queues.items[i], min_free, queue);
		explain_queue(node, report_out, queue);
		report_out->is_fine &= queue->is_fine;
	}
	return result;
}

void
report_release(struct report *report)
{
	for (size_t i = 0; i < report->service_count; i++) {
		free(report->services[i].name);
		free(report->services[i].listen);
		free(report->services[i].problem);
		free(report->services[i].log_problem);
	}
	for (size_t i = 0; i < report->queue_count; i++) {
		free(report->queues[i].name);
		free(report->queues[i].problem);
		strlist_release(&report->queues[i].held_lanes);
	}
	free(report->services);
	free(report->queues);
	free(report->home);
	json_decref(report->lookup);
	memset(report, 0, sizeof(*report));
}
