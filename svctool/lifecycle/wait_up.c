/* SPDX-License-Identifier: ISC */
/* Waiting for the services of a node that was just started. */
#include "svctool/lifecycle/lifecycle.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/plural.h"
#include "svctool/make.h"
#include "svctool/run/ready.h"
#include "svctool/show/log_tail.h"
#include "svctool/wait.h"

enum {
	STARTS_MAX = 4, /* of one service, a second between them */
	/* A queue that holds a million messages looks through them for long,
	 * and takes mail meanwhile. */
	SCAN_WAIT_MS = 5000
};

enum outcome { WAITING, UP, SCANNING, DOWN, ENDING, LATE };

struct service {
	const char *name;
	struct log_mark mark;
	enum outcome outcome;
	struct error reason; /* why it is down, or not ready */
	pid_t pid;           /* the last that was seen */
	unsigned starts;     /* how many pids were */
	int64_t scan_from;   /* when it was first seen scanning; 0: not yet */
};

struct wait_up {
	const struct node *node;
	struct service *services;
	size_t count;
};

struct wait_up *
wait_up_begin(const struct node *node, const struct strlist *services)
{
	struct wait_up *wait = xcalloc(1, sizeof(*wait));

	wait->node = node;
	wait->count = services->count;
	wait->services = xcalloc(wait->count + 1, sizeof(*wait->services));
	for (size_t i = 0; i < wait->count; i++) {
		wait->services[i].name = services->items[i];
		log_mark_set(node, services->items[i], &wait->services[i].mark);
	}
	return wait;
}

void
wait_up_free(struct wait_up **wait)
{
	if (*wait == NULL)
		return;
	free((*wait)->services);
	free(*wait);
	*wait = NULL;
}

/* One look at a service; at one that was ready, only whether it still runs. */
static enum outcome
look_at_service(const struct node *node, struct service *service)
{
	struct error *err = &service->reason;
	struct supervise_state state;

	if (ready_read_state(node, service->name, &state, err) == -1)
		return WAITING;
	if (ready_is_down_by_wish(node, service->name, &state, err))
		return DOWN;
	if (state.pid == service->pid && service->outcome != WAITING)
		return service->outcome;
	if (state.pid != 0 && state.pid != service->pid) {
		service->pid = state.pid;
		service->starts++;
	}
	switch (ready_service(node, service->name, &state, err)) {
	case READY_YES:
		return UP;
	case READY_SCANNING:
		if (service->scan_from == 0)
			service->scan_from = clock_ms();
		return clock_ms() - service->scan_from >= SCAN_WAIT_MS
		    ? SCANNING
		    : WAITING;
	case READY_NO:
	case READY_HUNG:
		break;
	}
	return service->starts > STARTS_MAX ? ENDING : WAITING;
}

/* To stderr: why a service is not up. */
static void
say_failure(
    const struct node *node, const struct service *service, const char *what)
{
	AUTO(buf_release) struct buf lines = BUF_INIT;

	log_tail(node, service->name, &service->mark, &lines);
	fflush(stdout);
	fprintf(stderr, "svctool: %s %s: %s\n", service->name, what,
	    service->reason.text);
	if (lines.length > 0)
		fprintf(stderr, "its log %s/%s/current since this start:\n%s",
		    node->home->log, service->name, lines.data);
	else
		fprintf(stderr,
		    "its log %s/%s/current has nothing of this start; "
		    "%s/svscan.log has what svscan and supervise say\n",
		    node->home->log, service->name, node->home->log);
}

static void
say(const struct node *node, const struct service *service)
{
	switch (service->outcome) {
	case WAITING:
		break;
	case UP:
		make_say("up", "%s", service->name);
		break;
	case SCANNING:
		make_say("up",
		    "%s (takes mail, and still looks through what it holds)",
		    service->name);
		break;
	case DOWN:
		make_say("down", "%s: %s", service->name, service->reason.text);
		break;
	case ENDING:
		say_failure(node, service, "ends whenever it is started");
		break;
	case LATE:
		say_failure(node, service, "is not ready in time");
		break;
	}
}

/* Says what is new; counts those that are waited for. */
static size_t
look_at_all(struct wait_up *wait)
{
	size_t waiting = 0;

	for (size_t i = 0; i < wait->count; i++) {
		struct service *service = &wait->services[i];
		enum outcome before = service->outcome;

		service->outcome = look_at_service(wait->node, service);
		waiting += service->outcome == WAITING;
		if (service->outcome != before)
			say(wait->node, service);
	}
	return waiting;
}

int
wait_up_end(struct wait_up *wait, unsigned timeout_s, unsigned *down_out,
    struct error *err)
{
	int64_t deadline = clock_ms() + (int64_t)timeout_s * 1000;
	size_t failed = 0;

	while (look_at_all(wait) > 0 && wait_more(deadline))
		;
	*down_out = 0;
	for (size_t i = 0; i < wait->count; i++) {
		struct service *service = &wait->services[i];

		if (service->outcome == WAITING) {
			service->outcome = service->scan_from != 0 ? SCANNING
								   : LATE;
			say(wait->node, service);
		}
		*down_out += service->outcome == DOWN;
		failed += service->outcome == ENDING ||
		    service->outcome == LATE;
	}
	if (failed == 0)
		return 0;
	return error_set(err,
	    "%zu of %zu service%s of the node %s not up; 'svctool status' shows "
	    "what they do, 'svctool stop' ends those that are",
	    failed, wait->count, plural(wait->count),
	    failed == 1 ? "is" : "are");
}
