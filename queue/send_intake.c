/* SPDX-License-Identifier: ISC */
/*
 * Clients with new mail (queue/intake_packet.h).  The order that makes a 250
 * true is the committer's; here is who may say what when.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/exitcode.h"
#include "queue/intake_packet.h"
#include "queue/send.h"

/* Packets of one client that are read before others get their turn. */
enum { PACKETS_A_TURN = 16, CLIENTS_A_TURN = 64 };

/* What a file may have in holes: a filesystem's own are small. */
enum { SPARSE_MAX_BYTES = 64 * 1024 };

/* What clients of other users may take up, all together but for the first. */
enum {
	STRANGERS_OF_A_USER = 32,
	STRANGERS_MAX = 256,
	STRANGERS_BYTES = 64 * 1024 * 1024, /* of envelopes */
	IDLE_MS = 3600 * 1000
};

enum client_state {
	CLIENT_IDLE,
	CLIENT_OPEN,      /* it writes */
	CLIENT_COMMITTING /* the committer works */
};

struct client {
	struct client *next, **link;
	struct send *send;
	struct loop_source source;
	enum client_state state;
	struct spare spare;
	struct buf envelope;
	unsigned long uid;
	unsigned long qp;
	int64_t active_at; /* clock_ms() of the last packet */
	bool is_gone;      /* freed when its commit is done */
	atomic_bool is_closed;
};

/* A commit under way; the client may go meanwhile. */
struct intake {
	struct client *client;
	struct buf record;
	uint64_t size_bytes;
	bool wants_next;
};

static void
client_free(struct client *client)
{
	if (client->spare.mess_fd != -1)
		spare_give(client->send->spares, &client->spare);
	*client->link = client->next;
	if (client->next != NULL)
		client->next->link = client->link;
	buf_release(&client->envelope);
	free(client);
}

/*
 * A recycled file still has the last message in it, which the next one is
 * written over.  Only our own programs are known to say truly how much they
 * wrote; to anybody else the file is given empty.
 */
static bool
is_trusted(const struct client *client)
{
	return client->uid == 0 || client->uid == getuid() ||
	    client->uid == client->send->smtpd_uid;
}

/*
 * Unread packets may hold descriptors of a stranger's, whose end can take as
 * long as he likes (SO_LINGER): he waits, in a thread of his own.
 */
static void *
close_aside(void *context)
{
	struct client *client = context;

	close(client->source.fd);
	atomic_store(&client->is_closed, true);
	return NULL;
}

static void
client_close(struct client *client)
{
	pthread_t thread;

	if (!is_trusted(client) && !client->send->has_no_foreign_fds &&
	    pthread_create(&thread, NULL, close_aside, client) == 0)
		pthread_detach(thread);
	else
		close_aside(client);
}

/* Frees one that is gone, when nothing works with it any more. */
static void
client_reap(struct client *client)
{
	if (client->is_gone && client->state != CLIENT_COMMITTING &&
	    atomic_load(&client->is_closed))
		client_free(client); /* else at a later tick */
}

/* It has no transaction; a stranger's memory is not kept for the next. */
static void
client_idle(struct client *client)
{
	client->state = CLIENT_IDLE;
	if (is_trusted(client))
		buf_reset(&client->envelope);
	else
		buf_release(&client->envelope);
}

/* The connection is over; a commit under way is not. */
static void
client_drop(struct client *client)
{
	loop_remove(client->send->loop, &client->source);
	client->is_gone = true;
	if (client->state != CLIENT_COMMITTING) {
		if (client->spare.mess_fd != -1)
			spare_give(client->send->spares, &client->spare);
		client_idle(client);
	}
	client_close(client);
	client_reap(client);
}

/* Answers never wait: a client that does not read its answer is dropped. */
static int
answer(struct client *client, const struct intake_packet *packet, int fd)
{
	struct buf buf = BUF_INIT;
	int result;

	intake_put(&buf, packet);
	result = packet_send(
	    client->source.fd, buf.data, buf.length, fd, MSG_DONTWAIT);
	buf_release(&buf);
	return result;
}

static int
refuse(struct client *client, int code, const char *text)
{
	struct intake_packet refused = {
		.type = INTAKE_REFUSED, .code = (uint32_t)code, .text = text
	};

	return answer(client, &refused, -1);
}

/* The error of a file operation as one of qmail-queue's exit codes. */
static int
code_of(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return QQ_WRITE_ERROR;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return QQ_OUT_OF_MEMORY;
	default:
		return QQ_CREATE;
	}
}

/*
 * A spare for the client's next message, and a description of its file that is
 * the client's own, so that the lease can tell it is closed.  The descriptor,
 * or -1 with errno and the reason.
 */
static int
open_spare(struct client *client, struct error *err)
{
	struct send *send = client->send;
	int fd, saved_errno;

	if (spare_take(send->spares, &client->spare, err) == -1)
		return -1;
	if (!is_trusted(client) && ftruncate(client->spare.mess_fd, 0) == -1)
		fd = error_sys(err, "cannot empty the message file");
	else {
		fd = queue_open_file(
		    send->dir, QUEUE_MESS, client->spare.id, O_WRONLY);
		if (fd == -1)
			error_sys(err, "cannot open the message file");
	}
	if (fd == -1) {
		saved_errno = errno;
		spare_give(send->spares, &client->spare);
		errno = saved_errno;
		return -1;
	}
	client->state = CLIENT_OPEN;
	buf_reset(&client->envelope);
	return fd;
}

static int
handle_open(struct client *client, const struct intake_packet *packet)
{
	struct intake_packet opened = { .type = INTAKE_OPENED };
	struct error err;
	int fd, result;

	if (client->state != CLIENT_IDLE || packet->version != INTAKE_VERSION)
		return -1;
	if (client->send->is_stopping)
		return refuse(client, 71, "the queue is being stopped");
	fd = open_spare(client, &err);
	if (fd == -1) {
		int code = code_of(errno);

		log_line("warning: %s", err.text);
		return refuse(client, code, err.text);
	}
	opened.id = client->spare.id;
	result = answer(client, &opened, fd);
	close(fd);
	return result;
}

/* The end of a commit: its result, and the next file if one is wanted. */
static void
answer_commit(
    struct client *client, const struct commit_job *job, bool wants_next)
{
	struct intake_packet committed = { .type = INTAKE_COMMITTED,
		.id = job->id,
		.code = (uint32_t)job->result,
		.text = job->result == QQ_OK ? "" : job->err.text };
	int fd = -1, result;

	client_idle(client);
	if (client->is_gone) {
		client_reap(client);
		return;
	}
	/* Without a file it asks again, and then hears why. */
	if (wants_next && job->result == QQ_OK && !client->send->is_stopping)
		fd = open_spare(client, NULL);
	result = answer(client, &committed, fd);
	if (fd != -1)
		close(fd);
	if (result == -1)
		client_drop(client);
}

static void
commit_done(struct commit_job *job, void *context)
{
	struct intake *intake = context;
	struct send *send = intake->client->send;

	send->commits_running--;
	answer_commit(intake->client, job, intake->wants_next);
	if (job->result == QQ_OK)
		message_new(send, job->id, intake->size_bytes, &intake->record,
		    &job->spare, 0);
	else
		log_line("warning: message not queued: %s", job->err.text);
	job->text[COMMIT_RECORD] = (struct buf)BUF_INIT; /* intake's */
	buf_release(&intake->record);
	free(intake);
	commit_job_free(&job);
}

static int
refuse_commit(struct client *client, int code, const char *text)
{
	struct intake_packet committed = {
		.type = INTAKE_COMMITTED, .code = (uint32_t)code, .text = text
	};

	log_line("warning: message refused: %s", text);
	spare_give(client->send->spares, &client->spare);
	client_idle(client);
	return answer(client, &committed, -1);
}

/*
 * Makes the todo record of what the client sent; false if it is no envelope.
 * It is read as input, without u and p, which are not the client's to say.
 */
static bool
make_record(struct client *client, struct buf *record, struct error *err)
{
	struct envelope envelope;

	buf_addc(&client->envelope, '\0'); /* the input's end */
	if (envelope_parse(client->envelope.data, client->envelope.length, true,
		&envelope, err) == -1)
		return false;
	envelope_release(&envelope);
	buf_addf(record, "u%lu", client->uid);
	buf_addc(record, '\0');
	buf_addf(record, "p%lu", client->qp);
	buf_addc(record, '\0');
	buf_add(record, client->envelope.data, client->envelope.length - 1);
	return true;
}

/* A file that claims far more than it takes would fill others' disks. */
static bool
is_sparse(const struct client *client, uint64_t size_bytes)
{
	struct stat st;

	return fstat(client->spare.mess_fd, &st) == -1 ||
	    (uint64_t)st.st_blocks * 512 + SPARSE_MAX_BYTES < size_bytes ||
	    (uint64_t)st.st_blocks * 512 + SPARSE_MAX_BYTES <
	    (uint64_t)st.st_size;
}

static int
handle_commit(struct client *client, const struct intake_packet *packet)
{
	struct send *send = client->send;
	struct commit_job *job;
	struct intake *intake;
	struct error err;

	/* Nobody may be able to write to it from here on. */
	switch (spare_is_unshared(client->spare.mess_fd)) {
	case 1:
		break;
	case 0:
		return refuse_commit(client, QQ_MESS,
		    "the message file is still open elsewhere");
	default:
		return refuse_commit(client, QQ_MESS,
		    "the queue's filesystem has no leases (F_SETLEASE)");
	}
	if (!is_trusted(client) && is_sparse(client, packet->size_bytes))
		return refuse_commit(
		    client, QQ_MESS, "the message file has holes");
	client->qp = (unsigned long)packet->qp;
	intake = xcalloc(1, sizeof(*intake));
	intake->client = client;
	intake->size_bytes = packet->size_bytes;
	intake->wants_next = packet->wants_next;
	if (!make_record(client, &intake->record, &err)) {
		buf_release(&intake->record);
		free(intake);
		return refuse_commit(client, QQ_ENVELOPE, err.text);
	}
	job = commit_job_new(COMMIT_NEW, client->spare.id);
	job->spare = client->spare;
	client->spare = (struct spare)SPARE_NONE;
	job->size_bytes = packet->size_bytes;
	job->text[COMMIT_RECORD] = intake->record; /* borrowed: only read */
	job->done = commit_done;
	job->context = intake;
	client->state = CLIENT_COMMITTING;
	send->commits_running++;
	commit_post(send->committer, job);
	return 0;
}

/* Would this piece be too much, alone or beside other users' envelopes? */
static bool
is_too_much(const struct client *client, size_t piece_length)
{
	const struct client *other;
	size_t total = piece_length;

	if (client->envelope.length + piece_length > ENVELOPE_MAX_BYTES)
		return true;
	if (is_trusted(client))
		return false;
	for (other = client->send->clients; other != NULL; other = other->next)
		if (!is_trusted(other))
			total += other->envelope.length;
	return total > STRANGERS_BYTES;
}

static int
handle_packet(struct client *client, const struct intake_packet *packet)
{
	switch (packet->type) {
	case INTAKE_OPEN:
		return handle_open(client, packet);
	case INTAKE_ENVELOPE:
	case INTAKE_COMMIT:
		if (client->state != CLIENT_OPEN ||
		    is_too_much(client, packet->piece_length))
			return -1;
		buf_add(&client->envelope, packet->piece, packet->piece_length);
		return packet->type == INTAKE_COMMIT
		    ? handle_commit(client, packet)
		    : 0;
	case INTAKE_ABORT:
		if (client->state != CLIENT_OPEN)
			return -1;
		spare_give(client->send->spares, &client->spare);
		client_idle(client);
		return 0;
	case INTAKE_OPENED:
	case INTAKE_REFUSED:
	case INTAKE_COMMITTED:
		break;
	}
	return -1;
}

static void
client_ready(uint32_t events, void *context)
{
	static char buffer[PACKET_MAX]; /* the loop has one thread */
	struct client *client = context;
	struct intake_packet packet;
	int turn, fd;

	(void)events;
	client->active_at = clock_ms();
	for (turn = 0; turn < PACKETS_A_TURN; turn++) {
		ssize_t n;

		if (!is_trusted(client) && !client->send->has_no_foreign_fds &&
		    packet_has_fds(client->source.fd)) {
			client_drop(client); /* nobody sends us one */
			return;
		}
		n = packet_receive(client->source.fd, buffer, sizeof(buffer),
		    &fd, MSG_DONTWAIT);
		if (fd != -1)
			close(fd);
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0 || !intake_get(buffer, (size_t)n, &packet) ||
		    handle_packet(client, &packet) == -1) {
			client_drop(client);
			return;
		}
	}
}

/* Has this client's user, or have all others together, enough connections? */
static bool
is_one_too_many(const struct client *client)
{
	const struct client *other;
	unsigned count = 0, count_of_user = 0;

	if (is_trusted(client))
		return false;
	for (other = client->send->clients; other != NULL;
	     other = other->next) {
		count += !is_trusted(other);
		count_of_user += other->uid == client->uid;
	}
	return count > STRANGERS_MAX || count_of_user > STRANGERS_OF_A_USER;
}

static void
intake_ready(uint32_t events, void *context)
{
	struct send *send = context;
	int turn;

	(void)events;
	for (turn = 0; turn < CLIENTS_A_TURN; turn++) {
		int fd = accept4(send->intake_source.fd, NULL, NULL,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct client *client;
		uid_t uid;
		pid_t pid;

		if (fd == -1 && errno != EAGAIN) {
			/* EMFILE: they wait until the next tick. */
			log_line("warning: cannot accept a client: %m");
			loop_change(send->loop, &send->intake_source, 0);
		}
		if (fd == -1)
			return;
		if (packet_peer(fd, &uid, &pid) == -1) {
			close(fd);
			continue;
		}
		client = xcalloc(1, sizeof(*client));
		client->send = send;
		client->uid = uid;
		client->spare = (struct spare)SPARE_NONE;
		client->source = (struct loop_source){
			.fd = fd, .ready = client_ready, .context = client
		};
		client->link = &send->clients;
		client->next = send->clients;
		if (client->next != NULL)
			client->next->link = &client->next;
		send->clients = client;
		client->active_at = clock_ms();
		if (loop_add(send->loop, &client->source, EPOLLIN, NULL) ==
			-1 ||
		    is_one_too_many(client))
			client_drop(client);
	}
}

/* It may write to its file for long without a packet. */
static bool
is_asleep(const struct client *client)
{
	struct stat st;

	if (client->is_gone || client->state == CLIENT_COMMITTING ||
	    clock_ms() - client->active_at < IDLE_MS)
		return false;
	if (client->state == CLIENT_IDLE)
		return !is_trusted(client);
	return fstat(client->spare.mess_fd, &st) == -1 ||
	    time(NULL) - st.st_mtime >= IDLE_MS / 1000;
}

void
intake_tick(struct send *send)
{
	struct client *client, *next;

	for (client = send->clients; client != NULL; client = next) {
		next = client->next;
		if (is_asleep(client))
			client_drop(client);
		else
			client_reap(client);
	}
	loop_change(send->loop, &send->intake_source, EPOLLIN);
}

int
intake_open(struct send *send, struct error *err)
{
	char *path = queue_lock_path(send->dir->path, "intake");
	int fd = packet_listen(path, 0666, err); /* as qmail-queue: anybody */

	free(path);
	if (fd == -1)
		return -1;
	/* Connections have it from the listening socket. */
	send->has_no_foreign_fds = packet_refuse_fds(fd);
	send->intake_source = (struct loop_source){
		.fd = fd, .ready = intake_ready, .context = send
	};
	return loop_add(send->loop, &send->intake_source, EPOLLIN, err);
}

void
intake_close(struct send *send)
{
	struct client *client, *next;

	for (client = send->clients; client != NULL; client = next) {
		next = client->next;
		if (!client->is_gone)
			client_drop(client);
		else
			client_reap(client); /* or it ends with the process */
	}
	if (send->intake_source.fd > 0) {
		loop_remove(send->loop, &send->intake_source);
		close(send->intake_source.fd);
		send->intake_source.fd = -1;
	}
}
