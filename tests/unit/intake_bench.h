/* SPDX-License-Identifier: ISC */
/*
 * An intake with its loop and helpers, and in qmail-send's place a list of what
 * was submitted.  Include after cmocka.h.
 */
#ifndef TESTS_UNIT_INTAKE_BENCH_H
#define TESTS_UNIT_INTAKE_BENCH_H

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/exitcode.h"
#include "queue/intake_packet.h"
#include "queue/send_client.h"
#include "tests/unit/queue_folder.h"

enum { BODY_MAX = 1000, FIRST_ID = 1000000, WAIT_MS = 10000 };

static struct bench {
	struct loop *loop;
	struct queue_dir *dir;
	struct work_pool *helpers;
	struct loop_source wake;
	struct intake *intake;
	char *path; /* of the socket */
	/* as submitted; they are done when a test says so, or at once */
	struct intake_message *submitted[400];
	size_t count;
	bool is_done_at_once;
	enum intake_known known; /* the answer to every intake_find() */
	uint64_t next_id;
} bench;

static inline void
bench_done(size_t number, int result, uint64_t id)
{
	struct intake_message *message = bench.submitted[number];

	bench.submitted[number] = NULL;
	message->done(message, result, id, result == QQ_OK ? "" : "planned");
}

void
intake_submit(struct send *send, struct intake_message *message)
{
	assert_null(send);
	if (!message->has_file)
		message->id = bench.next_id++;
	bench.submitted[bench.count++] = message;
	if (bench.is_done_at_once)
		bench_done(bench.count - 1, QQ_OK, message->id);
}

enum intake_known
intake_find(struct send *send, const struct uuid *uuid, uint64_t *id_out)
{
	assert_null(send);
	assert_false(uuid_is_none(uuid));
	if (bench.known == INTAKE_KNOWN)
		*id_out = 77;
	return bench.known;
}

/* Answered at once: done, of a lane; not there, of a message. */
void
intake_operate(struct send *send, const struct intake_packet *packet, uid_t uid,
    void (*answer)(void *context, uint32_t code, uint64_t id, const char *text),
    void *context, struct operation **operation_out)
{
	static struct operation operation;

	assert_null(send);
	assert_true(uid == 0 || uid == getuid());
	*operation_out = &operation;
	answer(context, packet->id == 0 ? QQ_OK : INTAKE_ABSENT, packet->id,
	    packet->text);
}

uint64_t
intake_next_id(struct send *send)
{
	assert_null(send);
	return bench.next_id++;
}

static inline void
bench_wake(uint32_t events, void *context)
{
	uint64_t count;

	(void)events;
	(void)context;
	if (read(bench.wake.fd, &count, sizeof(count)) > 0)
		work_pool_reap(bench.helpers);
}

static inline int
bench_setup(void **state)
{
	struct intake_options options = { .body_max_bytes = BODY_MAX,
		.smtpd_uid = 65533 };
	struct error err = { "" };

	if (folder_setup(state) != 0)
		return -1;
	bench = (struct bench){ .next_id = FIRST_ID };
	bench.dir = make_bare_queue("queue", 3);
	/* Strangers connect, too. */
	chmod(folder, 0755);
	chmod(bench.dir->path, 0755);
	chmod(folder_path("queue/lock"), 0755);
	bench.path = queue_lock_path(bench.dir->path, "intake");
	bench.loop = loop_new();
	bench.wake = (struct loop_source){ .fd = eventfd(
					       0, EFD_CLOEXEC | EFD_NONBLOCK),
		.ready = bench_wake };
	bench.helpers = work_pool_new(2, bench.wake.fd);
	options.loop = bench.loop;
	options.dir = bench.dir;
	options.bodies = bench.helpers;
	bench.intake = intake_open(NULL, &options, &err);
	if (bench.intake == NULL ||
	    loop_add(bench.loop, &bench.wake, EPOLLIN, &err) == -1)
		fail_msg("%s", err.text);
	return 0;
}

static inline int
bench_teardown(void **state)
{
	intake_close(&bench.intake);
	for (size_t i = 0; i < bench.count; i++)
		if (bench.submitted[i] != NULL)
			bench_done(i, QQ_OK, bench.submitted[i]->id);
	work_pool_free(&bench.helpers);
	loop_remove(bench.loop, &bench.wake);
	close(bench.wake.fd);
	loop_free(&bench.loop);
	queue_dir_close(&bench.dir);
	free(bench.path);
	return folder_teardown(state);
}

/* Runs the loop until the condition is true. */
#define BENCH_UNTIL(condition)                                       \
	do {                                                         \
		int64_t give_up_at = clock_ms() + WAIT_MS;           \
                                                                     \
		while (!(condition)) {                               \
			if (clock_ms() >= give_up_at)                \
				fail_msg("not yet: %s", #condition); \
			loop_wait(bench.loop, 5);                    \
		}                                                    \
	} while (0)

/* All that is under way without waiting for us. */
static inline void
bench_settle(void)
{
	int i;

	for (i = 0; i < 5 || work_pool_count(bench.helpers) > 0; i++)
		loop_wait(bench.loop, 5);
}

static inline bool
peer_send(int fd, const struct intake_packet *packet)
{
	struct buf buf = BUF_INIT;
	int result;

	intake_put(&buf, packet);
	result = packet_send(fd, buf.data, buf.length, -1, MSG_DONTWAIT);
	buf_release(&buf);
	return result == 0;
}

static inline int
peer_connect(void)
{
	struct intake_packet hello = { .type = INTAKE_HELLO,
		.version = INTAKE_VERSION };
	struct error err;
	int fd = packet_connect_within(bench.path, 60000, &err);

	assert_int_not_equal(fd, -1);
	assert_true(peer_send(fd, &hello));
	return fd;
}

#define ENVELOPE "Fs@x\0Tr@y"

/* COMMIT with the last length bytes of a body of size. */
static inline struct intake_packet
make_peer_commit(uint8_t name, const char *body, size_t length, uint64_t size)
{
	return (struct intake_packet){ .type = INTAKE_COMMIT,
		.uuid = { { [15] = name } },
		.qp = 12,
		.size_bytes = size,
		.body = body,
		.body_length = length,
		.envelope = ENVELOPE,
		.envelope_length = sizeof(ENVELOPE) };
}

/*
 * The answer, if there is one: its code, and id and text; -1 when there is none
 * yet, -2 when the connection is over.
 */
static inline int
peer_hear(int fd, uint64_t *id_out)
{
	struct intake_packet answer;
	char buffer[2048];
	int passed;
	ssize_t n = packet_receive(
	    fd, buffer, sizeof(buffer), &passed, MSG_DONTWAIT);

	if (n == -1 && errno == EAGAIN)
		return -1;
	if (n <= 0)
		return -2;
	assert_true(intake_get(buffer, (size_t)n, &answer));
	assert_int_equal(answer.type, INTAKE_ANSWER);
	if (id_out != NULL)
		*id_out = answer.id;
	return (int)answer.code;
}

static inline bool
peer_has_heard(int fd, int *code_out, uint64_t *id_out)
{
	*code_out = peer_hear(fd, id_out);
	return *code_out != -1;
}

#define BENCH_TEST(function) \
	cmocka_unit_test_setup_teardown(function, bench_setup, bench_teardown)

#endif
