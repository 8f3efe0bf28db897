/* SPDX-License-Identifier: ISC */
/* Waiting for the services of a node that was just started. */
#include "svctool/lifecycle/wait_up.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/plural.h"
#include "svctool/make.h"
#include "svctool/run/ready.h"
#include "svctool/show/log_tail.h"

enum {
	LOOK_AGAIN_MS = 20,
	STARTS_MAX = 4, /* of one service, a second between them */
	/* A queue that holds a million messages looks through them for long,
	 * and takes mail meanwhile. */
	SCAN_WAIT_MS = 5000
};

enum outcome { WAITING, UP, SCANNING, DOWN, LATE, ENDING };

struct service {
	const char *name;
	struct log_mark mark;
	pid_t pid;         /* the last that was seen */
	unsigned starts;   /* how many pids were */
	int64_t scan_from; /* when it was first seen scanning; 0: not yet */
};

struct wait_up {
	const struct node *node;
	struct service *services;
	size_t count;
};

struct wait_up *
wait_up_begin(const struct node *node, const struct arg_list *services)
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

/* One look at a service. */
static enum outcome
look(const struct node *node, struct service *service, struct error *err)
{
	struct supervise_state state;
	int64_t now = clock_ms();

	if (ready_read_state(node, service->name, &state, err) == -1)
		return WAITING;
	if (ready_is_down_by_wish(node, service->name, &state, err))
		return DOWN;
	if (state.pid != 0 && state.pid != service->pid) {
		service->pid = state.pid;
		service->starts++;
	}
	switch (ready_service(node, service->name, &state, err)) {
	case READY_YES:
		return UP;
	case READY_SCANNING:
		if (service->scan_from == 0)
			service->scan_from = now;
		return now - service->scan_from >= SCAN_WAIT_MS ? SCANNING
								: WAITING;
	case READY_NO:
	case READY_HUNG:
		break;
	}
	return service->starts > STARTS_MAX ? ENDING : WAITING;
}

/* Until its outcome is known. */
static enum outcome
wait_one(const struct node *node, struct service *service, int64_t deadline,
    struct error *err)
{
	for (;;) {
		enum outcome outcome = look(node, service, err);

		if (outcome != WAITING)
			return outcome;
		if (clock_ms() >= deadline)
			return service->scan_from != 0 ? SCANNING : LATE;
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
}

/* To stderr: why a service is not up. */
static void
say_failure(const struct node *node, const struct service *service,
    const char *what, const struct error *err)
{
	struct buf lines;

	buf_init(&lines);
	log_tail(node, service->name, &service->mark, &lines);
	fflush(stdout);
	fprintf(stderr, "svctool: %s %s: %s\n", service->name, what, err->text);
	if (lines.length > 0)
		fprintf(stderr, "its log %s/%s/current since this start:\n%s",
		    node->home->log, service->name, lines.data);
	else
		fprintf(stderr,
		    "its log %s/%s/current has nothing of this start; "
		    "%s/svscan.log has what svscan and supervise say\n",
		    node->home->log, service->name, node->home->log);
	buf_release(&lines);
}

/* Says what became of it; true when it is as it should be. */
static bool
say(const struct node *node, const struct service *service,
    enum outcome outcome, const struct error *err)
{
	switch (outcome) {
	case UP:
		make_say("up", "%s", service->name);
		return true;
	case SCANNING:
		make_say("up",
		    "%s (takes mail, and still looks through what it holds)",
		    service->name);
		return true;
	case DOWN:
		make_say("down", "%s: %s", service->name, err->text);
		return true;
	case ENDING:
		say_failure(node, service, "ends whenever it is started", err);
		return false;
	case WAITING:
	case LATE:
		say_failure(node, service, "is not ready in time", err);
		return false;
	}
	return false;
}

/*
 * Does a service that was ready still run, as the same process?  What cannot
 * be told now is not held against it.
 */
static bool
still_runs(const struct node *node, struct service *service, struct error *err)
{
	struct supervise_state state;

	if (service->pid == 0 ||
	    ready_read_state(node, service->name, &state, NULL) == -1 ||
	    ready_is_down_by_wish(node, service->name, &state, NULL) ||
	    (state.pid == service->pid &&
		ready_does_work(
		    ready_service(node, service->name, &state, err))))
		return true;
	if (state.pid != service->pid)
		error_set(err, "its process %ld has ended", (long)service->pid);
	return false;
}

int
wait_up_end(struct wait_up *wait, unsigned timeout_s, unsigned *down_out,
    struct error *err)
{
	int64_t deadline = clock_ms() + (int64_t)timeout_s * 1000;
	bool *is_up = xcalloc(wait->count + 1, sizeof(*is_up));
	size_t failed = 0;

	*down_out = 0;
	for (size_t i = 0; i < wait->count; i++) {
		struct error reason = { .text = "" };
		enum outcome outcome = wait_one(
		    wait->node, &wait->services[i], deadline, &reason);

		is_up[i] = outcome == UP || outcome == SCANNING;
		*down_out += outcome == DOWN;
		failed += !say(
		    wait->node, &wait->services[i], outcome, &reason);
	}
	/* The first may have ended while the last were waited for. */
	for (size_t i = 0; i < wait->count; i++) {
		struct error reason = { .text = "" };

		if (!is_up[i] ||
		    still_runs(wait->node, &wait->services[i], &reason))
			continue;
		say_failure(wait->node, &wait->services[i],
		    "was ready, and is no longer", &reason);
		failed++;
	}
	free(is_up);
	if (failed == 0)
		return 0;
	return error_set(err,
	    "%zu of %zu service%s of the node %s not up; 'svctool status' shows "
	    "what they do, 'svctool stop' ends those that are",
	    failed, wait->count, plural(wait->count),
	    failed == 1 ? "is" : "are");
}
