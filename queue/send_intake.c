/* SPDX-License-Identifier: ISC */
/*
 * The intake as qmail-send sees it: who connects, messages on their way from a
 * client to the journal, and whether one was committed.
 */
#include "queue/send_intake.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "control/layout.h"
#include "queue/exitcode.h"
#include "queue/send_client.h"

/* Clients that are accepted before others get their turn. */
enum { CLIENTS_A_TURN = 64 };

/* -- questions */

/* A message whose file is not whole yet has not been submitted. */
static bool
is_handed_over(const struct intake *intake, const struct uuid *uuid)
{
	const struct handover *handover;

	LIST_FOREACH(handover, &intake->handovers, in_handovers)
		if (uuid_is_equal(&handover->message->uuid, uuid))
			return true;
	return false;
}

void
intake_forget_ask(struct ask *ask)
{
	if (ask->is_waiting)
		LIST_REMOVE(ask, in_asks);
	ask->is_waiting = false;
}

/* False when it is not decided yet. */
static bool
answer_ask(struct intake *intake, struct ask *ask)
{
	uint64_t id = 0;
	enum intake_known known;

	if (is_handed_over(intake, &ask->uuid))
		return false;
	known = intake_find(intake->send, &ask->uuid, &id);
	if (known == INTAKE_PENDING || known == INTAKE_UNSURE)
		return false;
	intake_forget_ask(ask);
	ask->answer(ask->context, known == INTAKE_KNOWN, id);
	return true;
}

void
intake_ask(struct intake *intake, struct ask *ask)
{
	ask->is_waiting = false;
	if (answer_ask(intake, ask))
		return;
	ask->is_waiting = true;
	LIST_INSERT_HEAD(&intake->asks, ask, in_asks);
}

static void
answer_asks(struct intake *intake)
{
	struct ask *ask, *next;

	for (ask = LIST_FIRST(&intake->asks); ask != NULL; ask = next) {
		next = LIST_NEXT(ask, in_asks);
		answer_ask(intake, ask);
	}
}

/* -- messages */

/* Frees it, and tells who waits. */
static void
end_handover(
    struct handover *handover, int result, uint64_t id, const char *text)
{
	struct intake *intake = handover->intake;

	if (intake != NULL)
		LIST_REMOVE(handover, in_handovers);
	body_file_remove(&handover->file);
	intake_message_free(&handover->message);
	if (handover->answer != NULL)
		handover->answer(handover->context, result, id, text);
	free(handover);
	if (intake != NULL)
		answer_asks(intake);
}

/* Its file is the message's now, if that is what was queued. */
static void
message_done(
    struct intake_message *message, int result, uint64_t id, const char *text)
{
	struct handover *handover = message->context;

	if (result == QQ_OK && id == message->id)
		body_file_free(&handover->file);
	end_handover(handover, result, id, text);
}

static void
refuse_handover(struct handover *handover, int result, const char *text)
{
	log_line("warning: message not queued: %s", text);
	end_handover(handover, result, 0, text);
}

static void
file_changed(struct body_file *file, void *context)
{
	struct handover *handover = context;

	if (handover->intake == NULL)
		refuse_handover(
		    handover, QQ_UNAVAILABLE, "the queue was stopped");
	else if (file->is_running)
		return; /* there was more to write */
	else if (file->result != QQ_OK)
		refuse_handover(handover, file->result, file->err.text);
	else
		intake_submit(handover->intake->send, handover->message);
}

void
intake_hand_over(struct intake *intake, struct intake_message *message,
    struct body_file **file,
    void (*answer)(void *context, int result, uint64_t id, const char *text),
    void *context, struct handover **handover_out)
{
	struct handover *handover = xcalloc(1, sizeof(*handover));

	handover->intake = intake;
	handover->message = message;
	handover->file = *file;
	handover->answer = answer;
	handover->context = context;
	*file = NULL;
	*handover_out = handover;
	LIST_INSERT_HEAD(&intake->handovers, handover, in_handovers);
	message->done = message_done;
	message->context = handover;
	if (intake->is_stopping) {
		end_handover(
		    handover, QQ_UNAVAILABLE, 0, "the queue is being stopped");
		return;
	}
	if (handover->file == NULL) {
		intake_submit(intake->send, message);
		return;
	}
	handover->file->changed = file_changed;
	handover->file->context = handover;
	handover->file->is_whole = true;
	body_file_post(handover->file);
	if (!handover->file->is_running)
		file_changed(handover->file, handover); /* it has failed */
}

/* -- connections */

static bool
is_trusted(const struct intake *intake, uid_t uid)
{
	return uid == 0 || uid == getuid() || uid == intake->options.smtpd_uid;
}

static void
intake_ready(uint32_t events, void *context)
{
	struct intake *intake = context;

	(void)events;
	for (int turn = 0; turn < CLIENTS_A_TURN; turn++) {
		int fd = accept4(intake->source.fd, NULL, NULL,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		uid_t uid;
		pid_t pid;

		if (fd == -1 && errno != EAGAIN) {
			/* EMFILE: they wait until the next tick. */
			log_line("warning: cannot accept a client: %m");
			loop_change(intake->options.loop, &intake->source, 0);
		}
		if (fd == -1)
			return;
		if (packet_peer(fd, &uid, &pid) == -1)
			close(fd);
		else if (!is_trusted(intake, uid))
			stranger_new(intake, fd, uid);
		else if (intake->client_count >= intake->clients_max)
			close(fd); /* the rest of our files is for others */
		else
			client_new(intake, fd, uid);
	}
}

static int
listen_for_clients(struct intake *intake, struct error *err)
{
	AUTO(mem_free)
	char *path = queue_lock_path(intake->options.dir->path, "intake");
	int fd = packet_listen(
	    path, layout_rows[LAYOUT_queue_intake].mode, err);

	if (fd == -1)
		return -1;
	/* Connections have it from the listening socket. */
	intake->has_no_foreign_fds = packet_refuse_fds(fd);
	intake->source = (struct loop_source){
		.fd = fd, .ready = intake_ready, .context = intake
	};
	if (loop_add(intake->options.loop, &intake->source, EPOLLIN, err) == 0)
		return 0;
	close(fd);
	intake->source.fd = -1;
	return -1;
}

void
intake_tick(struct intake *intake)
{
	struct error err;

	if (intake->source.fd != -1)
		loop_change(intake->options.loop, &intake->source, EPOLLIN);
	else if (!intake->is_stopping)
		listen_for_clients(intake, &err);
	strangers_tick(intake);
	answer_asks(intake);
}

/*
 * Half of the files that we may have open are for trusted clients, and a fifth
 * for strangers, so that these leave none of the others without: a stranger has
 * up to three, with those of a large body.
 */
static void
set_client_limits(struct intake *intake)
{
	struct rlimit limit = { .rlim_cur = 1024 };
	unsigned files = 2000000;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < files)
		files = (unsigned)limit.rlim_cur;
	intake->clients_max = files / 2;
	intake->strangers_max = files / 15 < STRANGERS_MAX ? files / 15
							   : STRANGERS_MAX;
}

/* On a full disk it is tried again at each tick, and deliveries go on. */
static int
listen_if_there_is_room(struct intake *intake, struct error *err)
{
	if (listen_for_clients(intake, err) == 0)
		return 0;
	if (errno != ENOSPC && errno != EDQUOT)
		return -1;
	log_line("alert: %s; new mail waits", err->text);
	return 0;
}

struct intake *
intake_open(
    struct send *send, const struct intake_options *options, struct error *err)
{
	struct intake *intake = xcalloc(1, sizeof(*intake));

	intake->send = send;
	intake->options = *options;
	set_client_limits(intake);
	intake->source.fd = intake->calls.fd = -1;
	if (strangers_open(intake, err) == -1 ||
	    listen_if_there_is_room(intake, err) == -1)
		intake_close(&intake);
	return intake;
}

static void
stop_listening(struct intake *intake)
{
	if (intake->source.fd == -1)
		return;
	loop_remove(intake->options.loop, &intake->source);
	close(intake->source.fd);
	intake->source.fd = -1;
}

void
intake_stop(struct intake *intake)
{
	intake->is_stopping = true;
	stop_listening(intake);
}

bool
intake_is_idle(const struct intake *intake)
{
	return LIST_EMPTY(&intake->handovers);
}

void
intake_close(struct intake **intake_in)
{
	struct intake *intake = *intake_in;
	struct handover *handover;

	if (intake == NULL)
		return;
	stop_listening(intake);
	while (!LIST_EMPTY(&intake->clients))
		client_drop(LIST_FIRST(&intake->clients));
	LIST_FOREACH(handover, &intake->handovers, in_handovers) {
		handover->intake = NULL;
		handover->answer = NULL;
	}
	strangers_close(intake);
	free(intake);
	*intake_in = NULL;
}
