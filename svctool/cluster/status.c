/* SPDX-License-Identifier: ISC */
/* svctool cluster status: how the cluster is, as this node knows it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "svctool/cluster/cluster.h"
#include "svctool/show/report.h"
#include "svctool/svctool.h"

enum {
	WATCH_MS = 1000,
	NODES_SHOWN = 6, /* of the whole of ten lines; --json has all */
	CLOCK_MAX_MS = 5000,
	BUS_LOST_MS = 6000,
	MIN_FREE_BYTES = 1 << 30
};

/* The worst that was found: a problem, and what to do. */
struct worst {
	unsigned weight; /* 0: nothing */
	char *problem, *command;
};

static void
release_worst(struct worst *worst)
{
	free(worst->problem);
	free(worst->command);
}

/* Of equals the first stays.  Takes both texts. */
static void
find_worse(struct worst *worst, unsigned weight, char *problem, char *command)
{
	if (weight > worst->weight) {
		release_worst(worst);
		*worst = (struct worst){ weight, problem, command };
		return;
	}
	free(problem);
	free(command);
}

static const char *
get_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text == NULL ? "" : text;
}

static json_int_t
get_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static bool
get_flag(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

/* -- what is wrong */

static void
judge_self(const json_t *status, struct worst *worst)
{
	const json_t *database = json_object_get(status, "database");
	const char *bus = get_text(json_object_get(status, "bus"), "reason");
	json_int_t ahead_ms = get_number(database, "clock_ahead_ms");

	if (strcmp(get_text(status, "lease"), "refused") == 0)
		find_worse(worst, 100,
		    xasprintf("this node is refused: %s",
			get_text(status, "reason")),
		    xstrdup("svctool log --service cluster"));
	if (strcmp(get_text(database, "state"), "up") != 0)
		find_worse(worst, 90,
		    xasprintf("the database is away for %" JSON_INTEGER_FORMAT
			      " s: %s",
			get_number(database, "since_ms") / 1000,
			get_text(database, "reason")),
		    xstrdup("svctool db status"));
	if (strcmp(get_text(status, "lease"), "held") != 0)
		find_worse(worst, 80,
		    xasprintf("this node has no lease: %s",
			*get_text(status, "reason") == '\0'
			    ? "it was not taken yet"
			    : get_text(status, "reason")),
		    xstrdup("svctool log --service cluster"));
	if (llabs(ahead_ms) > CLOCK_MAX_MS)
		find_worse(worst, 60,
		    xasprintf("the clock of this host is %" JSON_INTEGER_FORMAT
			      " ms ahead of the database's",
			ahead_ms),
		    xstrdup("timedatectl status"));
	if (*bus != '\0')
		find_worse(worst, 50, xstrdup(bus),
		    xstrdup("svctool showctl | grep clusterlisten"));
}

static char *
on_node(const json_t *node, const char *command)
{
	return get_flag(node, "is_self")
	    ? xstrdup(command)
	    : xasprintf("on node %s: %s", get_text(node, "name"), command);
}

static void
judge_queues(const json_t *node, struct worst *worst)
{
	const json_t *queues = json_object_get(
	    json_object_get(node, "health"), "queues");
	const json_t *queue;
	size_t i;

	json_array_foreach(queues, i, queue) {
		const char *state = get_text(queue, "state");

		if (strcmp(state, "up") != 0 && strcmp(state, "starting") != 0)
			find_worse(worst, 40,
			    xasprintf("queue %s of node %s is %s",
				get_text(queue, "name"), get_text(node, "name"),
				state),
			    on_node(node, "svctool status"));
		if (get_number(queue, "damaged") > 0)
			find_worse(worst, 30,
			    xasprintf("queue %s of node %s has "
				      "%" JSON_INTEGER_FORMAT
				      " damaged messages",
				get_text(queue, "name"), get_text(node, "name"),
				get_number(queue, "damaged")),
			    on_node(node, "svctool check"));
	}
}

static void
judge_node(const json_t *node, struct worst *worst)
{
	const char *name = get_text(node, "name");
	const json_t *health = json_object_get(node, "health");
	const json_t *services = json_object_get(health, "services");
	const json_t *lookup = json_object_get(health, "lookup");
	const json_t *service;
	size_t i;

	/* Of a revoked one nothing is expected. */
	if (get_flag(node, "is_revoked") ||
	    strcmp(get_text(node, "role"), "legacy") == 0)
		return;
	if (!get_flag(node, "is_alive") && !get_flag(node, "is_self")) {
		find_worse(worst, 70,
		    json_is_null(json_object_get(node, "heard_ms_ago"))
			? xasprintf("node %s is away: nothing was heard of it",
			      name)
			: xasprintf("node %s is away, and was heard "
				    "%" JSON_INTEGER_FORMAT " s ago",
			      name, get_number(node, "heard_ms_ago") / 1000),
		    on_node(node, "svctool status"));
		return;
	}
	if (!get_flag(node, "is_self") &&
	    (json_is_null(json_object_get(node, "heard_ms_ago")) ||
		get_number(node, "heard_ms_ago") > BUS_LOST_MS))
		find_worse(worst, 48,
		    xasprintf("nothing is heard of node %s, whose lease goes "
			      "on: the bus between the two is lost",
			name),
		    on_node(node, "svctool cluster status"));
	judge_queues(node, worst);
	json_array_foreach(services, i, service)
		if (!get_flag(service, "is_up"))
			find_worse(worst, 45,
			    xasprintf("service %s of node %s is down",
				get_text(service, "name"), name),
			    on_node(node, "svctool status"));
	if (health != NULL && !get_flag(lookup, "is_up"))
		find_worse(worst, 42,
		    xasprintf("lookupd of node %s does not answer", name),
		    on_node(node, "svctool status"));
	if (health != NULL &&
	    get_number(health, "free_bytes") < MIN_FREE_BYTES)
		find_worse(worst, 35,
		    xasprintf("node %s has %" JSON_INTEGER_FORMAT
			      " MiB of disk space left",
			name, get_number(health, "free_bytes") >> 20),
		    on_node(node, "df -h"));
}

static void
judge_status(json_t *status, struct worst *worst)
{
	const json_t *node;
	size_t i;

	judge_self(status, worst);
	json_array_foreach(json_object_get(status, "nodes"), i, node)
		judge_node(node, worst);
	json_object_set_new(status, "is_fine", json_boolean(!worst->weight));
	json_object_set_new(status, "problem",
	    worst->weight ? json_string(worst->problem) : json_null());
	json_object_set_new(status, "command",
	    worst->weight ? json_string(worst->command) : json_null());
}

/* -- ten lines */

struct queue_sums {
	json_int_t backlog, delivered_10s, commit_us;
};

static struct queue_sums
sum_queues(const json_t *node)
{
	const json_t *queues = json_object_get(
	    json_object_get(node, "health"), "queues");
	struct queue_sums sums = { 0, 0, 0 };
	const json_t *queue;
	size_t i;

	json_array_foreach(queues, i, queue) {
		sums.backlog += get_number(queue, "backlog");
		sums.delivered_10s += get_number(queue, "delivered_10s");
		if (get_number(queue, "commit_us") > sums.commit_us)
			sums.commit_us = get_number(queue, "commit_us");
	}
	return sums;
}

static const char *
node_state(const json_t *node)
{
	if (get_flag(node, "is_revoked"))
		return "revoked";
	if (!get_flag(node, "is_alive"))
		return "away";
	return get_flag(node, "is_draining") ? "draining" : "here";
}

static void
print_node(const json_t *node)
{
	const json_t *health = json_object_get(node, "health");
	const struct queue_sums sums = sum_queues(node);

	printf("%c %-16s %-6s %-8s", get_flag(node, "is_self") ? '*' : ' ',
	    get_text(node, "name"), get_text(node, "role"), node_state(node));
	if (health != NULL)
		printf(" backlog %" JSON_INTEGER_FORMAT ", %.1f/s, commit %.1f "
		       "ms, free %" JSON_INTEGER_FORMAT " GiB, load %.1f",
		    sums.backlog, (double)sums.delivered_10s / 10,
		    (double)sums.commit_us / 1000,
		    get_number(health, "free_bytes") >> 30,
		    json_number_value(json_array_get(
			json_object_get(health, "load"), 0)));
	putchar('\n');
}

/* Those that are away come first; the rest is counted. */
static void
print_nodes(const json_t *nodes)
{
	size_t count = json_array_size(nodes), shown = 0;
	size_t most = count > NODES_SHOWN ? NODES_SHOWN - 1 : count;
	const json_t *node;
	size_t i;

	for (int wanted = 0; wanted < 2; wanted++)
		json_array_foreach(nodes, i, node)
			if (get_flag(node, "is_alive") == (bool)wanted &&
			    shown < most) {
				print_node(node);
				shown++;
			}
	if (shown < count)
		printf("  and %zu more, which --json shows\n", count - shown);
}

static size_t
count_alive(const json_t *nodes)
{
	size_t count = 0, i;
	const json_t *node;

	json_array_foreach(nodes, i, node)
		count += get_flag(node, "is_alive");
	return count;
}

static void
print_status(const json_t *status)
{
	const json_t *nodes = json_object_get(status, "nodes");
	const json_t *database = json_object_get(status, "database");
	bool is_fine = get_flag(status, "is_fine");

	printf("%s: node %s of a cluster of %zu, of which %zu are here\n",
	    is_fine ? "fine" : "TROUBLE", get_text(status, "node"),
	    json_array_size(nodes), count_alive(nodes));
	printf("worst: %s\n", is_fine ? "nothing" : get_text(status, "problem"));
	if (is_fine)
		puts("next: nothing to do");
	else
		printf("next: %s\n", get_text(status, "command"));
	printf("lease %s, epoch %" JSON_INTEGER_FORMAT
	       ", %zu stores, %" JSON_INTEGER_FORMAT
	       " domains; database %s, clock %+" JSON_INTEGER_FORMAT " ms\n",
	    get_text(status, "lease"), get_number(status, "epoch"),
	    json_array_size(json_object_get(status, "stores")),
	    get_number(status, "domains"), get_text(database, "state"),
	    get_number(database, "clock_ahead_ms"));
	print_nodes(nodes);
}

static int
show_status(struct cluster_command *command)
{
	struct error err;
	json_t *status = report_ask_cluster(command->node, &err);
	struct worst worst = { .weight = 0 };
	int code;

	if (status == NULL) {
		error_context(&err,
		    "the service 'cluster' of this node is not up ('svctool "
		    "start', 'svctool log --service cluster')");
		return complain(EXIT_TROUBLE, &err);
	}
	judge_status(status, &worst);
	code = worst.weight == 0 ? EXIT_FINE : EXIT_TROUBLE;
	if (command->is_json)
		cluster_print(command, status);
	else {
		print_status(status);
		json_decref(status);
	}
	release_worst(&worst);
	return code;
}

/* Until it is interrupted; a terminal has the same lines again. */
static void
watch_status(struct cluster_command *command)
{
	bool is_terminal = isatty(STDOUT_FILENO) && !command->is_json;
	FILE *out = command->is_json ? command->json_out : stdout;

	for (;;) {
		if (is_terminal)
			fputs("\033[H\033[J", stdout);
		show_status(command);
		if (!command->is_json && !is_terminal)
			putchar('\n');
		if (fflush(out) == EOF)
			return;
		clock_sleep_ms(WATCH_MS);
	}
}

int
cluster_status(int argc, char **argv)
{
	AUTO(cluster_release) struct cluster_command command = { .home = NULL };
	bool is_watched = false;
	const struct arg_row rows[] = {
		{ "watch", ARG_FLAG, &is_watched },
		CLUSTER_ROWS(command),
		{ NULL, ARG_FLAG, NULL },
	};
	char name[CLUSTER_NAME_SIZE];
	struct error err;
	int code;

	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	code = cluster_open_named(&command, name);
	if (code != EXIT_FINE)
		return code;
	if (is_watched)
		watch_status(&command);
	return show_status(&command);
}
