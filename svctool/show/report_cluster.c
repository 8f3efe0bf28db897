/* SPDX-License-Identifier: ISC */
/* What clusterd says of the cluster, and of this node in it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/packet.h"
#include "svctool/show/report.h"

enum { ASK_MS = 3000 };

static json_t *
receive_object(int fd, char *packet, struct error *err)
{
	int passed_fd;
	ssize_t n = packet_receive(fd, packet, PACKET_MAX, &passed_fd, 0);
	json_t *object;

	if (n > 0 && passed_fd != -1)
		close(passed_fd);
	if (n <= 0) {
		error_set(err, "clusterd does not answer");
		return NULL;
	}
	object = json_loadb(packet, (size_t)n, 0, NULL);
	if (object == NULL)
		error_set(err, "clusterd's answer cannot be read");
	return object;
}

/* The nodes take the place of their number. */
static json_t *
receive_status(int fd, struct error *err)
{
	char *packet = xmalloc(PACKET_MAX);
	json_t *status = receive_object(fd, packet, err);
	json_t *nodes = json_array(), *node;
	json_int_t count =
	    json_integer_value(json_object_get(status, "nodes"));

	while (status != NULL && (json_int_t)json_array_size(nodes) < count) {
		node = receive_object(fd, packet, err);
		if (node == NULL) {
			json_decref(status);
			status = NULL;
		} else
			json_array_append_new(nodes, node);
	}
	free(packet);
	if (status == NULL) {
		json_decref(nodes);
		return NULL;
	}
	json_object_set_new(status, "nodes", nodes);
	return status;
}

json_t *
report_ask_cluster(const struct node *node, struct error *err)
{
	static const char request[] = "{\"ask\":\"status\"}";
	OWN_TEXT path = node_layout_path(node, LAYOUT_clusterd);
	int fd = packet_connect_within(path, ASK_MS, err);
	json_t *status = NULL;

	if (fd == -1)
		return NULL;
	if (packet_send(fd, request, sizeof(request) - 1, -1, 0) == -1)
		error_sys(err, "cannot ask clusterd");
	else
		status = receive_status(fd, err);
	close(fd);
	return status;
}

/* What is wrong with this node's place; NULL: nothing.  The caller frees. */
static char *
find_cluster_problem(const struct node *node)
{
	struct error err;
	json_t *status = report_ask_cluster(node, &err);
	const char *lease = json_string_value(json_object_get(status, "lease"));
	const char *reason = json_string_value(
	    json_object_get(status, "reason"));
	const char *bus = json_string_value(
	    json_object_get(json_object_get(status, "bus"), "reason"));
	char *problem = NULL;

	if (lease == NULL || reason == NULL || bus == NULL)
		problem = xstrdup(status == NULL
			? err.text
			: "clusterd's answer cannot be read");
	else if (strcmp(lease, "held") != 0 && *reason != '\0')
		problem = xstrdup(reason);
	else if (*bus != '\0')
		problem = xstrdup(bus);
	json_decref(status);
	return problem;
}

void
report_cluster(const struct node *node, struct report *report)
{
	for (size_t i = 0; i < report->service_count; i++) {
		struct report_service *service = &report->services[i];
		char *problem;

		if (!node_is_cluster(service->name) || !service->is_ready)
			continue;
		problem = find_cluster_problem(node);
		if (problem == NULL)
			continue;
		free(service->problem);
		service->problem = problem;
		service->is_fine = report->is_fine = false;
	}
}
