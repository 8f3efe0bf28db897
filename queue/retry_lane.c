/* SPDX-License-Identifier: ISC */
/* Has queues try a remote lane now. */
#include "queue/retry_lane.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/dir.h"
#include "queue/exitcode.h"
#include "queue/intake_packet.h"

/* A client waits for us. */
enum { QUEUE_MS = 2000, ANSWER_MAX_BYTES = 4096 };

static int
send_to_queue(int connection, const struct intake_packet *packet)
{
	AUTO(buf_release) struct buf buf = BUF_INIT;

	intake_put(&buf, packet);
	return packet_send(connection, buf.data, buf.length, -1, 0);
}

/* 1: it has mail there; 0: it has none, or is no queue; -1. */
static int
retry_in_queue(const char *socket, const char *domain, const char *client_ip,
    struct error *err)
{
	const struct intake_packet hello = { .type = INTAKE_HELLO,
		.version = INTAKE_VERSION };
	const struct intake_packet order = { .type = INTAKE_OPERATE,
		.action = INTAKE_RETRY,
		.lane = domain,
		.text = client_ip };
	AUTO(file_close)
	int connection = packet_connect_within(socket, QUEUE_MS, err);
	AUTO(file_close) int fd = -1;
	char buffer[ANSWER_MAX_BYTES];
	struct intake_packet answer;
	ssize_t n;

	if (connection == -1)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	if (send_to_queue(connection, &hello) == -1 ||
	    send_to_queue(connection, &order) == -1 ||
	    (n = packet_receive(connection, buffer, sizeof(buffer), &fd, 0)) <=
		0)
		return error_sys(err, "no answer from '%s'", socket);
	if (!intake_get(buffer, (size_t)n, &answer) ||
	    answer.type != INTAKE_ANSWER)
		return error_set(
		    err, "'%s' answered what is no answer", socket);
	if (answer.code == QQ_OK || answer.code == INTAKE_ABSENT)
		return answer.code == QQ_OK;
	return error_set(err, "%s", answer.text);
}

int
retry_lane(const char *base, const char *domain, const char *client_ip,
    struct error *err)
{
	DIR *folder = opendir(base);
	struct dirent *entry;
	int count = 0;
	bool has_failed = false;

	if (folder == NULL)
		return error_sys(err, "cannot read '%s'", base);
	while ((entry = readdir(folder)) != NULL) {
		AUTO(mem_free) char *queue = NULL;
		AUTO(mem_free) char *socket = NULL;
		int result;

		if (entry->d_name[0] == '.')
			continue;
		queue = xasprintf("%s/%s", base, entry->d_name);
		socket = queue_lock_path(queue, "intake");
		result = retry_in_queue(socket, domain, client_ip, err);
		if (result == -1)
			has_failed = true;
		else
			count += result;
	}
	closedir(folder);
	return count == 0 && has_failed ? -1 : count;
}
