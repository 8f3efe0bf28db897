/* SPDX-License-Identifier: ISC */
/* How this node is. */
#include "cluster/health.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/scan.h"
#include "base/strlist.h"
#include "control/json_text.h"
#include "control/layout.h"
#include "lookupd/lookup_client.h"
#include "queue/health.h"

enum {
	SILENT_MS = 3000, /* a queue that lives tells each second */
	LOOKUP_MS = 500,
	SAMPLES = 10,
	QUEUES_TOLD = 128
};

struct queue_samples {
	char *name;
	uint64_t delivered[SAMPLES]; /* of the last calls, a ring */
};

struct node_health {
	const struct home *home;
	struct lookup_client *lookup;
	struct queue_samples *queues;
	size_t queue_count;
	unsigned calls;
};

struct node_health *
node_health_new(const struct home *home)
{
	struct node_health *health = xcalloc(1, sizeof(*health));
	OWN_TEXT path = layout_path(home, LAYOUT_lookup);

	health->home = home;
	health->lookup = lookup_client_new(path);
	return health;
}

void
node_health_free(struct node_health **health_in)
{
	struct node_health *health = *health_in;

	if (health == NULL)
		return;
	for (size_t i = 0; i < health->queue_count; i++)
		free(health->queues[i].name);
	free(health->queues);
	lookup_client_free(&health->lookup);
	free(health);
	*health_in = NULL;
}

/* The names in a folder, sorted; what cannot be read has none. */
static void
list_folder(const char *path, struct strlist *names)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	if (folder == NULL)
		return;
	while ((entry = readdir(folder)) != NULL)
		if (entry->d_name[0] != '.')
			strlist_add(names, entry->d_name);
	closedir(folder);
	strlist_sort(names);
}

/* -- queues */

/* How many were delivered in the last SAMPLES calls. */
static uint64_t
count_delivered(struct node_health *health, const char *name, uint64_t now)
{
	struct queue_samples *samples = NULL;
	uint64_t *place, before;

	for (size_t i = 0; i < health->queue_count && samples == NULL; i++)
		if (strcmp(health->queues[i].name, name) == 0)
			samples = &health->queues[i];
	if (samples == NULL) {
		health->queues = mem_room(health->queues, health->queue_count,
		    sizeof(*health->queues));
		samples = &health->queues[health->queue_count++];
		samples->name = xstrdup(name);
		for (int i = 0; i < SAMPLES; i++)
			samples->delivered[i] = now;
	}
	place = &samples->delivered[health->calls % SAMPLES];
	before = *place;
	*place = now;
	return now >= before ? now - before : now; /* it started anew */
}

static json_t *
look_at_queue(struct node_health *health, const char *name, const char *path)
{
	struct health queue;
	int64_t age_ms;
	const char *state;

	if (health_look(path, &queue, &age_ms, NULL) != 1)
		return NULL;
	state = queue.state != HEALTH_DOWN && age_ms > SILENT_MS
	    ? "silent"
	    : health_state_name(queue.state);
	return json_pack(
	    "{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I}",
	    "name", json_text(name), "state", state, "backlog",
	    (json_int_t)queue.backlog, "todo", (json_int_t)queue.backlog_todo,
	    "commit_us", (json_int_t)queue.commit_latency_us, "free_bytes",
	    (json_int_t)queue.free_bytes, "delivered",
	    (json_int_t)queue.delivered, "deferred",
	    (json_int_t)queue.deferred, "failed", (json_int_t)queue.failed,
	    "delivered_10s",
	    (json_int_t)count_delivered(health, name, queue.delivered),
	    "is_held", queue.is_held_local || queue.is_held_remote, "damaged",
	    (json_int_t)queue.damaged);
}

static json_t *
look_at_queues(struct node_health *health)
{
	AUTO(strlist_release) struct strlist names = { .count = 0 };
	json_t *queues = json_array();

	list_folder(health->home->queue, &names);
	for (size_t i = 0; i < names.count && i < QUEUES_TOLD; i++) {
		OWN_TEXT path = xasprintf(
		    "%s/%s", health->home->queue, names.items[i]);
		json_t *queue = look_at_queue(health, names.items[i], path);

		if (queue != NULL)
			json_array_append_new(queues, queue);
	}
	health->calls++;
	return queues;
}

/* -- services */

/* Does the process of a listener's file live?  We may send none a signal. */
static bool
is_pid_alive(const char *text)
{
	OWN_TEXT path = NULL;
	uint64_t pid;

	if (!scan_u64n(text, strcspn(text, "\n"), INT32_MAX, &pid))
		return false;
	path = xasprintf("/proc/%" PRIu64, pid);
	return access(path, F_OK) == 0;
}

/* 1 up, 0 down, -1: it shows to nobody else. */
static int
look_at_service(const struct home *home, const char *name)
{
	static const struct {
		const char *name;
		enum layout_id socket;
	} sockets[] = { { "lookup", LAYOUT_lookup },
		{ "remote", LAYOUT_remote }, { "resolver", LAYOUT_resolver } };
	OWN_TEXT pid_file = xasprintf("%s/%s.pid", home->run, name);
	AUTO(buf_release) struct buf text = BUF_INIT;

	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++)
		if (strcmp(name, sockets[i].name) == 0) {
			OWN_TEXT path = layout_path(home, sockets[i].socket);

			return packet_is_served(path);
		}
	if (strncmp(name, "qmail-smtpd.", 12) != 0 &&
	    strncmp(name, "qmail-pop3d.", 12) != 0)
		return -1;
	return file_read(pid_file, 100, &text, NULL) == 1 &&
	    is_pid_alive(text.data);
}

static json_t *
look_at_services(const struct home *home)
{
	AUTO(strlist_release) struct strlist names = { .count = 0 };
	json_t *services = json_array();

	list_folder(home->service, &names);
	for (size_t i = 0; i < names.count && i < QUEUES_TOLD; i++) {
		OWN_TEXT down = xasprintf(
		    "%s/%s/down", home->service, names.items[i]);
		int is_up = look_at_service(home, names.items[i]);

		/* One that is down by wish is none. */
		if (is_up != -1 && (is_up || access(down, F_OK) == -1))
			json_array_append_new(services,
			    json_pack("{s:o, s:b}", "name",
				json_text(names.items[i]), "is_up", is_up));
	}
	return services;
}

/* -- the rest */

static json_t *
look_at_lookup(struct node_health *health)
{
	static const struct query query = { .kind = QUERY_STATS,
		.local = "",
		.domain = "",
		.ip = "",
		.service = "" };
	AUTO(lookup_reply_release)
	struct lookup_reply reply = { .storage = BUF_INIT };
	json_t *figures = NULL, *lookup;
	const char *database;

	if (lookup_client_ask(health->lookup, &query, 1, LOOKUP_MS, &reply,
		NULL) == 0 &&
	    reply.answers[0].state == QUERY_FOUND)
		figures = json_loadb(reply.answers[0].record,
		    reply.answers[0].length, 0, NULL);
	database = json_string_value(json_object_get(figures, "database"));
	lookup = json_pack("{s:b, s:s}", "is_up", figures != NULL, "database",
	    database == NULL ? "unknown" : database);
	json_decref(figures);
	return lookup;
}

json_t *
node_health_look(struct node_health *health)
{
	double load[3] = { 0, 0, 0 };
	struct statvfs fs;
	struct sysinfo memory;
	bool has_fs = statvfs(health->home->root, &fs) == 0;

	if (getloadavg(load, 3) != 3)
		load[0] = load[1] = load[2] = 0;
	if (sysinfo(&memory) == -1)
		memory = (struct sysinfo){ .mem_unit = 1 };
	return json_pack("{s:o, s:o, s:o, s:I, s:[f, f, f], s:I, s:i}",
	    "queues", look_at_queues(health), "services",
	    look_at_services(health->home), "lookup", look_at_lookup(health),
	    "free_bytes",
	    has_fs ? (json_int_t)(fs.f_bavail * fs.f_frsize) : 0, "load",
	    load[0], load[1], load[2], "memory_free_bytes",
	    (json_int_t)(memory.freeram * memory.mem_unit), "cpus",
	    (int)sysconf(_SC_NPROCESSORS_ONLN));
}
