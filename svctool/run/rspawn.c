/* SPDX-License-Identifier: ISC */
/* What a running qmail-rspawn is asked. */
#include "svctool/run/rspawn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"
#include "control/layout.h"
#include "control/settings.h"
#include "queue/job.h"

/* One packet of it; 0 or -1. */
static int
hear_packet(int connection, char packet[PACKET_MAX], size_t *length_out,
    struct error *err)
{
	AUTO(file_close) int fd = -1;
	ssize_t n = packet_receive(connection, packet, PACKET_MAX, &fd, 0);

	if (n == -1 && errno == EAGAIN)
		return error_set(err,
		    "qmail-rspawn does not answer: it is stopped, or hangs; "
		    "'svctool log --service remote' may say why");
	if (n == 0)
		return error_set(err,
		    "qmail-rspawn ended the connection: it was stopped, or is "
		    "of another release");
	*length_out = (size_t)n;
	return n == -1 ? error_sys(err, "cannot read from qmail-rspawn") : 0;
}

int
rspawn_connect(const struct node *node, int timeout_ms, struct error *err)
{
	static char packet[PACKET_MAX];
	AUTO(mem_free) char *path = layout_path(node->home, LAYOUT_remote);
	int connection = packet_connect_within(path, timeout_ms, err);
	struct job_hello hello;
	size_t length = 0;

	if (connection == -1) {
		int number = errno;

		if (number == ENOENT || number == ECONNREFUSED)
			error_set(err,
			    "qmail-rspawn, the service remote, does not run: "
			    "'svctool start' first");
		errno = number;
		return -1;
	}
	if (hear_packet(connection, packet, &length, err) == -1)
		goto failed;
	if (job_get_hello(packet, length, &hello) &&
	    hello.version == JOB_VERSION)
		return connection;
	error_set(err,
	    "the qmail-rspawn that runs is of another release: restart the "
	    "service remote");
failed:
	close(connection);
	errno = EPROTO;
	return -1;
}

int
rspawn_ask(int connection, enum operate_action action, const char *domain,
    void (*each)(const struct operate_destination *destination, void *context),
    void *context, int timeout_ms, struct error *err)
{
	static char packet[PACKET_MAX];
	const struct operate_request request = { action, domain };
	AUTO(buf_release) struct buf buf = BUF_INIT;
	int64_t deadline = clock_ms() + timeout_ms;
	struct operate_destination destination;
	struct operate_end end;
	size_t length;

	operate_put_request(&buf, &request);
	if (packet_send(connection, buf.data, buf.length, -1, 0) == -1)
		return error_sys(err, "cannot write to qmail-rspawn");
	while (hear_packet(connection, packet, &length, err) == 0) {
		if (clock_ms() >= deadline)
			return error_set(err,
			    "qmail-rspawn has not told all in %d s",
			    timeout_ms / 1000);
		if (operate_get_end(packet, length, &end)) {
			if (end.code != OPERATE_DONE)
				error_set(err, "%s", end.text);
			return (int)end.code;
		}
		if (each != NULL &&
		    operate_get_destination(packet, length, &destination))
			each(&destination, context);
	}
	return -1;
}

static bool
is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec
				      : a->tv_nsec > b->tv_nsec;
}

char *
rspawn_unread(const struct node *node)
{
	OWN_TEXT socket = layout_path(node->home, LAYOUT_remote);
	struct stat read_at, st;

	if (stat(socket, &read_at) == -1 || !packet_is_served(socket))
		return NULL;
	for (size_t id = 0; id < SETTING_COUNT; id++) {
		char *path;

		/* It writes that itself. */
		if (id == SETTING_suspended ||
		    !setting_has_reader(&setting_rows[id], "qmail-rspawn"))
			continue;
		path = xasprintf(
		    "%s/%s", node->home->control, setting_rows[id].name);
		if (stat(path, &st) == 0 &&
		    is_later(&st.st_ctim, &read_at.st_mtim))
			return path;
		free(path);
	}
	return NULL;
}
