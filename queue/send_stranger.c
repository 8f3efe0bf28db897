/* SPDX-License-Identifier: ISC */
/*
 * Clients of other users, each served by a thread of his own with blocking
 * code.
 *
 * Whatever such a client does to his connection stops his thread alone.  The
 * thread asks the event loop short questions (calls) and waits for the answers;
 * when the intake is closed it gets none any more, and ends or, if it is stuck,
 * ends with the process.
 *
 * Packets that nobody read may hold descriptors, and their end can take as long
 * as their sender likes (SO_LINGER).  A thread therefore leaves the connection
 * to its own end: it takes a table of descriptors of its own, the loop closes
 * the connection in the common one, and the last reference goes with the
 * thread, where the kernel does not linger.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <linux/close_range.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/exitcode.h"
#include "queue/send_client.h"

enum { STACK_BYTES = 256 * 1024 };

enum call_type {
	CALL_ID,     /* a number for a file, please */
	CALL_ASK,    /* was this UUID committed? */
	CALL_COMMIT, /* message and file: the intake's from now on */
	CALL_LEAVE   /* the connection is over */
};

struct call {
	STAILQ_ENTRY(call) in_calls;
	enum call_type type;
	struct stranger *stranger;
	/* set by the thread */
	struct intake_message *message;
	struct body_file *file;
	bool is_private; /* LEAVE: the connection is to be closed */
	/* set by the loop */
	struct ask ask; /* its uuid by the thread */
	bool is_taken;  /* message and file are */
	bool is_done;
	int result;
	uint64_t id;
	char text[256];
};

/* While he has connections, or the room is there. */
struct stranger_user {
	SLIST_ENTRY(stranger_user) in_users;
	uid_t uid;
	unsigned connections;
	struct budget memory;
};

/* What the loop and the threads share; the last of them frees it. */
struct stranger_room {
	struct budget memory;
	SLIST_HEAD(, stranger_user) users; /* the loop's own */
	int wake_fd;                       /* calls wait */
	const struct queue_dir *dir;
	struct work_pool *pool;
	uint64_t body_max_bytes;
	atomic_uint_fast64_t min_free_bytes;
	pthread_mutex_t lock; /* for what follows, and the calls */
	pthread_cond_t quiet; /* nobody writes any more */
	unsigned references;
	unsigned writing; /* threads that write to the queue's files */
	bool is_closed;   /* no more calls, no more files */
	STAILQ_HEAD(call_list, call) calls;
};

struct stranger {
	/* the loop's own */
	TAILQ_ENTRY(stranger) in_strangers;
	int64_t came_at_ms;
	bool is_ended; /* his connection, by us */
	/* the thread's, which frees it */
	struct stranger_room *room;
	struct stranger_user *user;
	pthread_cond_t answered;
	int fd;
	bool is_one_too_many;
	bool has_hello;
	struct transaction transaction;
	size_t taken_bytes; /* of the room's memory */
};

static void
leave_room(struct stranger_room *room)
{
	struct stranger_user *user;
	bool is_last;

	pthread_mutex_lock(&room->lock);
	is_last = --room->references == 0;
	pthread_mutex_unlock(&room->lock);
	if (!is_last)
		return;
	while ((user = SLIST_FIRST(&room->users)) != NULL) {
		SLIST_REMOVE_HEAD(&room->users, in_users);
		free(user);
	}
	close(room->wake_fd);
	pthread_cond_destroy(&room->quiet);
	pthread_mutex_destroy(&room->lock);
	free(room);
}

/* -- in the threads */

/* Asks the loop, and waits.  False when it is no more. */
static bool
call_loop(struct stranger *stranger, struct call *call)
{
	struct stranger_room *room = stranger->room;
	bool is_done;

	call->stranger = stranger;
	pthread_mutex_lock(&room->lock);
	if (!room->is_closed) {
		STAILQ_INSERT_TAIL(&room->calls, call, in_calls);
		eventfd_write(room->wake_fd, 1);
	}
	while (!call->is_done && !room->is_closed)
		pthread_cond_wait(&stranger->answered, &room->lock);
	is_done = call->is_done;
	pthread_mutex_unlock(&room->lock);
	return is_done;
}

/* May the queue's files be written to?  Then until end_writing(). */
static bool
begin_writing(struct stranger_room *room)
{
	bool may_write;

	pthread_mutex_lock(&room->lock);
	may_write = !room->is_closed;
	room->writing += may_write;
	pthread_mutex_unlock(&room->lock);
	return may_write;
}

static void
end_writing(struct stranger_room *room)
{
	pthread_mutex_lock(&room->lock);
	if (--room->writing == 0)
		pthread_cond_signal(&room->quiet);
	pthread_mutex_unlock(&room->lock);
}

/* Beside his own limit there is that of all. */
static bool
take_memory(struct stranger *stranger, size_t bytes)
{
	if (!budget_take(&stranger->user->memory, bytes))
		return false;
	if (!budget_take(&stranger->room->memory, bytes)) {
		budget_give(&stranger->user->memory, bytes);
		return false;
	}
	stranger->taken_bytes += bytes;
	return true;
}

static void
give_memory(struct stranger *stranger, size_t bytes)
{
	budget_give(&stranger->user->memory, bytes);
	budget_give(&stranger->room->memory, bytes);
	stranger->taken_bytes -= bytes;
}

static void
end_transaction(struct stranger *stranger)
{
	struct transaction *transaction = &stranger->transaction;

	if (transaction->file != NULL && begin_writing(stranger->room)) {
		body_file_discard(&transaction->file);
		end_writing(stranger->room);
	}
	body_file_free(&transaction->file); /* a sweep finds it */
	transaction_reset(transaction);
	give_memory(stranger, stranger->taken_bytes);
}

static bool
has_free_space(struct stranger_room *room, struct error *err)
{
	uint64_t wanted = atomic_load(&room->min_free_bytes);
	struct statvfs fs;

	if (wanted == 0 || statvfs(room->dir->path, &fs) == -1 ||
	    (uint64_t)fs.f_bavail * fs.f_frsize >= wanted)
		return true; /* what is wrong shows when it is written */
	error_set(err, "less than min_free, %llu bytes, would be left",
	    (unsigned long long)wanted);
	return false;
}

/* After a failure nothing is written, and COMMIT hears of it. */
static bool
store_stranger_body(struct stranger *stranger)
{
	struct stranger_room *room = stranger->room;
	struct transaction *transaction = &stranger->transaction;
	size_t bytes;

	if (transaction->file == NULL) {
		struct call call = { .type = CALL_ID };

		if (transaction->body.length <= room->body_max_bytes)
			return true;
		if (!call_loop(stranger, &call))
			return false;
		transaction_set_file(
		    transaction, body_file_new(room->dir, room->pool, call.id));
	}
	if (transaction->file->result == QQ_OK &&
	    !has_free_space(room, &transaction->file->err))
		transaction->file->result = QQ_WRITE_ERROR;
	if (!begin_writing(room))
		return false;
	bytes = transaction->file->waiting.length;
	body_file_run(transaction->file);
	end_writing(room);
	give_memory(stranger, bytes);
	return true;
}

/* False when it is more than he may send. */
static bool
add_pieces(struct stranger *stranger, const struct intake_packet *packet)
{
	size_t bytes = packet->body_length + packet->envelope_length;

	return take_memory(stranger, bytes) &&
	    transaction_add(&stranger->transaction, packet) &&
	    store_stranger_body(stranger);
}

static bool
commit_stranger(struct stranger *stranger, const struct intake_packet *packet)
{
	struct call call = { .type = CALL_COMMIT };
	struct error err;
	int result = transaction_end(
	    &stranger->transaction, packet, &call.message, &err);
	bool is_alive;

	if (result == QQ_OK && stranger->transaction.file == NULL &&
	    !has_free_space(stranger->room, &err)) {
		intake_message_free(&call.message);
		log_line("warning: message refused: %s", err.text);
		result = QQ_WRITE_ERROR;
	}
	if (result != QQ_OK) {
		end_transaction(stranger);
		return transaction_answer(
		    stranger->fd, (uint32_t)result, 0, err.text);
	}
	call.file = stranger->transaction.file;
	stranger->transaction.file = NULL;
	is_alive = call_loop(stranger, &call);
	if (!call.is_taken) {
		stranger->transaction.file = call.file;
		intake_message_free(&call.message);
	}
	end_transaction(stranger);
	return is_alive &&
	    transaction_answer(
		stranger->fd, (uint32_t)call.result, call.id, call.text);
}

static bool
ask_for_stranger(struct stranger *stranger, const struct intake_packet *packet)
{
	struct call call = { .type = CALL_ASK, .ask.uuid = packet->uuid };

	uuid_bind(&call.ask.uuid, stranger->transaction.uid);
	return call_loop(stranger, &call) &&
	    transaction_answer(
		stranger->fd, (uint32_t)call.result, call.id, call.text);
}

/* False when he does what he may not, or has gone. */
static bool
handle_stranger_packet(
    struct stranger *stranger, const struct intake_packet *packet)
{
	if (stranger->has_hello == (packet->type == INTAKE_HELLO))
		return false;
	switch (packet->type) {
	case INTAKE_HELLO:
		stranger->has_hello = packet->version == INTAKE_VERSION;
		return stranger->has_hello;
	case INTAKE_BODY:
	case INTAKE_ENVELOPE:
		return add_pieces(stranger, packet);
	case INTAKE_COMMIT:
		return add_pieces(stranger, packet) &&
		    commit_stranger(stranger, packet);
	case INTAKE_ASK:
		return ask_for_stranger(stranger, packet);
	case INTAKE_ABORT:
		end_transaction(stranger);
		return true;
	case INTAKE_OPERATE:
	case INTAKE_ANSWER:
		break;
	}
	return false;
}

static void
serve_stranger(struct stranger *stranger)
{
	char *buffer = xmalloc(PACKET_MAX);
	bool is_going_on = true;

	while (is_going_on) {
		struct pollfd in = { .fd = stranger->fd, .events = POLLIN };
		struct intake_packet packet;
		int fd = -1;
		ssize_t n;

		is_going_on = false;
		if (poll(&in, 1, -1) <= 0 || packet_has_fds(stranger->fd))
			break;
		n = packet_receive(
		    stranger->fd, buffer, PACKET_MAX, &fd, MSG_DONTWAIT);
		if (fd != -1)
			close(fd);
		is_going_on = n > 0 && fd == -1 &&
		    intake_get(buffer, (size_t)n, &packet) &&
		    handle_stranger_packet(stranger, &packet);
	}
	end_transaction(stranger);
	free(buffer);
}

/* See above; where the kernel has no such thing, he waits for himself. */
static void
leave_intake(struct stranger *stranger)
{
	struct stranger_room *room = stranger->room;
	struct call call = { .type = CALL_LEAVE };
	int fd = stranger->fd;

	call.is_private = close_range(~0U, ~0U, CLOSE_RANGE_UNSHARE) == 0;
	if (!call.is_private) {
		pthread_mutex_lock(&room->lock);
		stranger->fd = -1;
		pthread_mutex_unlock(&room->lock);
		close(fd);
	}
	call_loop(stranger, &call);
	pthread_cond_destroy(&stranger->answered);
	free(stranger);
	leave_room(room);
}

static void *
run_stranger(void *context)
{
	struct stranger *stranger = context;

	if (!stranger->is_one_too_many)
		serve_stranger(stranger);
	leave_intake(stranger);
	return NULL;
}

/* -- in the loop's thread */

static void
finish_call(struct call *call, int result, uint64_t id, const char *text)
{
	struct stranger *stranger = call->stranger;
	struct stranger_room *room = stranger->room;

	pthread_mutex_lock(&room->lock);
	call->result = result;
	call->id = id;
	snprintf(call->text, sizeof(call->text), "%s", text);
	call->is_done = true;
	pthread_cond_signal(&stranger->answered);
	pthread_mutex_unlock(&room->lock);
}

static void
stranger_commit_answered(
    void *context, int result, uint64_t id, const char *text)
{
	finish_call(context, result, id, result == QQ_OK ? "" : text);
}

static void
stranger_ask_answered(void *context, bool is_known, uint64_t id)
{
	finish_call(context, is_known ? QQ_OK : INTAKE_ABSENT, id,
	    is_known ? "" : "no such message");
}

static struct stranger_user *
find_stranger_user(const struct stranger_room *room, uid_t uid)
{
	struct stranger_user *user;

	SLIST_FOREACH(user, &room->users, in_users)
		if (user->uid == uid)
			break;
	return user;
}

/* His record, made if there is none yet. */
static struct stranger_user *
join_user(struct stranger_room *room, uid_t uid)
{
	struct stranger_user *user = find_stranger_user(room, uid);

	if (user == NULL) {
		user = xcalloc(1, sizeof(*user));
		user->uid = uid;
		budget_set_limit(&user->memory, STRANGERS_BYTES_OF_A_USER);
		SLIST_INSERT_HEAD(&room->users, user, in_users);
	}
	user->connections++;
	return user;
}

static void
leave_user(struct stranger_room *room, struct stranger_user *user)
{
	if (--user->connections > 0)
		return;
	SLIST_REMOVE(&room->users, user, stranger_user, in_users);
	free(user);
}

static void
unlink_stranger(struct intake *intake, struct stranger *stranger)
{
	TAILQ_REMOVE(&intake->strangers, stranger, in_strangers);
	intake->stranger_count--;
	leave_user(stranger->room, stranger->user);
}

static void
do_call(struct intake *intake, struct call *call)
{
	struct handover *handover;

	switch (call->type) {
	case CALL_ID:
		finish_call(call, QQ_OK, intake_next_id(intake->send), "");
		break;
	case CALL_ASK:
		call->ask.answer = stranger_ask_answered;
		call->ask.context = call;
		intake_ask(intake, &call->ask);
		break;
	case CALL_COMMIT:
		call->is_taken = true;
		intake_hand_over(intake, call->message, &call->file,
		    stranger_commit_answered, call, &handover);
		break;
	case CALL_LEAVE:
		if (call->is_private)
			close(call->stranger->fd);
		unlink_stranger(intake, call->stranger);
		finish_call(call, QQ_OK, 0, "");
		break;
	}
}

static void
calls_ready(uint32_t events, void *context)
{
	struct intake *intake = context;
	struct stranger_room *room = intake->room;
	struct call_list calls = STAILQ_HEAD_INITIALIZER(calls);
	struct call *call;
	uint64_t count;

	(void)events;
	if (read(room->wake_fd, &count, sizeof(count)) == -1)
		return;
	pthread_mutex_lock(&room->lock);
	STAILQ_CONCAT(&calls, &room->calls);
	pthread_mutex_unlock(&room->lock);
	while ((call = STAILQ_FIRST(&calls)) != NULL) {
		STAILQ_REMOVE_HEAD(&calls, in_calls);
		do_call(intake, call); /* it ends when it is answered */
	}
}

/* His thread sees the end of his input, and leaves. */
static void
end_stranger(struct stranger *stranger)
{
	stranger->is_ended = true;
	pthread_mutex_lock(&stranger->room->lock);
	if (stranger->fd != -1)
		shutdown(stranger->fd, SHUT_RDWR);
	pthread_mutex_unlock(&stranger->room->lock);
}

/* The one that came first and was not ended yet, if that is so long ago. */
static struct stranger *
find_oldest(const struct intake *intake, int64_t age_ms)
{
	struct stranger *stranger;

	TAILQ_FOREACH(stranger, &intake->strangers, in_strangers)
		if (!stranger->is_ended)
			break;
	return stranger != NULL && clock_ms() >= stranger->came_at_ms + age_ms
	    ? stranger
	    : NULL;
}

void
strangers_tick(struct intake *intake)
{
	struct stranger *stranger;

	while ((stranger = find_oldest(intake, STRANGERS_MS)) != NULL)
		end_stranger(stranger);
}

/*
 * Has his user, or have all together, as many connections as they may?  One of
 * all makes room then, for whoever comes again.
 */
static bool
are_many(struct intake *intake, uid_t uid)
{
	const struct stranger_user *user = find_stranger_user(
	    intake->room, uid);
	struct stranger *oldest;

	if (user != NULL && user->connections >= STRANGERS_OF_A_USER)
		return true;
	if (intake->stranger_count < intake->strangers_max)
		return false;
	oldest = find_oldest(intake, STRANGERS_CROWDED_MS);
	if (oldest != NULL)
		end_stranger(oldest);
	return true;
}

/* Detached, small, and without signals, which are main's. */
static int
start_thread(struct stranger *stranger)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	int result;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attributes, &all);
	result = pthread_create(&thread, &attributes, run_stranger, stranger);
	pthread_attr_destroy(&attributes);
	return result == 0 ? 0 : -1;
}

void
stranger_new(struct intake *intake, int fd, uid_t uid)
{
	struct stranger_room *room = intake->room;
	bool is_one_too_many = are_many(intake, uid);
	struct stranger *stranger;

	if (is_one_too_many && intake->has_no_foreign_fds) {
		close(fd); /* nothing in it can make us wait */
		return;
	}
	stranger = xcalloc(1, sizeof(*stranger));
	stranger->room = room;
	stranger->user = join_user(room, uid);
	stranger->fd = fd;
	stranger->is_one_too_many = is_one_too_many;
	stranger->transaction.uid = uid;
	pthread_cond_init(&stranger->answered, NULL);
	stranger->came_at_ms = clock_ms();
	TAILQ_INSERT_TAIL(&intake->strangers, stranger, in_strangers);
	intake->stranger_count++;
	pthread_mutex_lock(&room->lock);
	room->references++;
	pthread_mutex_unlock(&room->lock);
	if (start_thread(stranger) == 0)
		return;
	log_line("warning: cannot start a thread for uid %lu's new mail",
	    (unsigned long)uid);
	unlink_stranger(intake, stranger);
	pthread_cond_destroy(&stranger->answered);
	free(stranger);
	close(fd);
	leave_room(room);
}

void
intake_set_min_free(struct intake *intake, uint64_t bytes)
{
	atomic_store(&intake->room->min_free_bytes, bytes);
}

int
strangers_open(struct intake *intake, struct error *err)
{
	struct stranger_room *room = xcalloc(1, sizeof(*room));

	budget_set_limit(&room->memory, STRANGERS_BYTES);
	room->dir = intake->options.dir;
	room->pool = intake->options.bodies;
	room->body_max_bytes = intake->options.body_max_bytes;
	room->references = 1;
	STAILQ_INIT(&room->calls);
	TAILQ_INIT(&intake->strangers);
	pthread_mutex_init(&room->lock, NULL);
	pthread_cond_init(&room->quiet, NULL);
	room->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	intake->room = room;
	if (room->wake_fd == -1)
		return error_sys(err, "cannot make an eventfd");
	intake->calls = (struct loop_source){
		.fd = room->wake_fd, .ready = calls_ready, .context = intake
	};
	return loop_add(intake->options.loop, &intake->calls, EPOLLIN, err);
}

void
strangers_close(struct intake *intake)
{
	struct stranger_room *room = intake->room;
	struct stranger *stranger;

	if (intake->calls.fd != -1)
		loop_remove(intake->options.loop, &intake->calls);
	pthread_mutex_lock(&room->lock);
	room->is_closed = true;
	TAILQ_FOREACH(stranger, &intake->strangers, in_strangers) {
		if (stranger->fd != -1)
			shutdown(stranger->fd, SHUT_RDWR);
		pthread_cond_signal(&stranger->answered);
	}
	while (room->writing > 0)
		pthread_cond_wait(&room->quiet, &room->lock);
	pthread_mutex_unlock(&room->lock);
	leave_room(room);
}
