/* SPDX-License-Identifier: ISC */
/* Tests of queue/send_client.c, with send_intake.c and send_transaction.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/intake_bench.h"

static char large[200000];

static int
fill_large(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)(i * 31 >> 3);
	return 0;
}

/* Sends a body that is too large for one packet. */
static void
send_large(int fd, uint8_t name, size_t size)
{
	struct intake_packet piece = { .type = INTAKE_BODY };
	struct intake_packet commit = make_peer_commit(name, "", 0, size);

	for (size_t at = 0; at < size; at += piece.body_length) {
		piece.body = large + at;
		piece.body_length = size - at < 50000 ? size - at : 50000;
		BENCH_UNTIL(peer_send(fd, &piece));
	}
	BENCH_UNTIL(peer_send(fd, &commit));
}

static void
a_small_message(void **state)
{
	struct intake_packet commit = make_peer_commit(1, "body\n", 5, 5);
	struct intake_message *message;
	char uuid[UUID_TEXT_SIZE], record[200];
	int fd = peer_connect(), code, length;
	uint64_t id;

	(void)state;
	assert_true(intake_is_idle(bench.intake));
	assert_true(peer_send(fd, &commit));
	BENCH_UNTIL(bench.count == 1);
	assert_false(intake_is_idle(bench.intake));
	message = bench.submitted[0];
	assert_true(uuid_is_equal(&message->uuid, &commit.uuid));
	assert_int_equal(message->uid, getuid());
	assert_int_equal(message->qp, 12);
	assert_int_equal(message->size_bytes, 5);
	assert_false(message->has_file);
	assert_false(message->is_import);
	assert_int_equal(message->body.length, 5);
	assert_memory_equal(message->body.data, "body\n", 5);
	uuid_format(&commit.uuid, uuid);
	length = snprintf(record, sizeof(record), "u%lu%cp12 %s 5",
	    (unsigned long)getuid(), '\0', uuid);
	memcpy(record + length + 1, ENVELOPE, sizeof(ENVELOPE));
	assert_int_equal(
	    message->record.length, (size_t)length + 1 + sizeof(ENVELOPE));
	assert_memory_equal(
	    message->record.data, record, message->record.length);
	assert_int_equal(peer_hear(fd, NULL), -1); /* not before it is done */
	bench_done(0, QQ_OK, 5);
	BENCH_UNTIL(peer_has_heard(fd, &code, &id));
	assert_int_equal(code, QQ_OK);
	assert_int_equal(id, 5);
	assert_true(intake_is_idle(bench.intake));
	/* The next one, over the same connection, is not stored. */
	commit = make_peer_commit(2, "", 0, 0);
	commit.qp = 1ull << 32 | 7; /* no envelope has such a number */
	assert_true(peer_send(fd, &commit));
	BENCH_UNTIL(bench.count == 2);
	assert_int_equal(bench.submitted[1]->body.length, 0);
	assert_int_equal(bench.submitted[1]->qp, 7);
	bench_done(1, QQ_WRITE_ERROR, 0);
	BENCH_UNTIL(peer_has_heard(fd, &code, &id));
	assert_int_equal(code, QQ_WRITE_ERROR);
	close(fd);
}

static void
pieces(void **state)
{
	struct intake_packet body = {
		.type = INTAKE_BODY, .body = "one ", .body_length = 4
	};
	struct intake_packet first = { .type = INTAKE_ENVELOPE,
		.envelope = ENVELOPE,
		.envelope_length = 2 };
	struct intake_packet abort_it = { .type = INTAKE_ABORT };
	struct intake_packet commit = make_peer_commit(1, "two", 3, 7);
	int fd = peer_connect();

	(void)state;
	/* What is aborted is no part of what comes next. */
	assert_true(peer_send(fd, &body) && peer_send(fd, &first) &&
	    peer_send(fd, &abort_it));
	commit.envelope = ENVELOPE + 2;
	commit.envelope_length = sizeof(ENVELOPE) - 2;
	assert_true(peer_send(fd, &body) && peer_send(fd, &first) &&
	    peer_send(fd, &commit));
	BENCH_UNTIL(bench.count == 1);
	assert_int_equal(bench.submitted[0]->body.length, 7);
	assert_memory_equal(bench.submitted[0]->body.data, "one two", 7);
	close(fd);
}

/* A body that the journal does not take is in its file, and synced. */
static void
large_messages(void **state)
{
	static const size_t sizes[] = { BODY_MAX, BODY_MAX + 1, 60000, 200000 };
	int fd = peer_connect(), code;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct intake_message *message;
		uint64_t id;

		send_large(fd, (uint8_t)(i + 1), sizes[i]);
		BENCH_UNTIL(bench.count == i + 1);
		message = bench.submitted[i];
		assert_int_equal(message->has_file, sizes[i] > BODY_MAX);
		assert_int_equal(message->size_bytes, sizes[i]);
		id = message->id;
		if (message->has_file)
			expect_file(bench.dir, QUEUE_MESS, id, large, sizes[i]);
		bench_done(i, QQ_OK, id);
		BENCH_UNTIL(peer_has_heard(fd, &code, NULL));
		assert_int_equal(code, QQ_OK);
		bench_settle();
		assert_int_equal(has_file(bench.dir, QUEUE_MESS, id, ""),
		    sizes[i] > BODY_MAX);
	}
	close(fd);
}

static void
a_large_one_that_ends_leaves_nothing(void **state)
{
	struct intake_packet piece = {
		.type = INTAKE_BODY, .body = large, .body_length = 50000
	};
	struct intake_packet abort_it = { .type = INTAKE_ABORT };

	(void)state;
	for (int round = 0; round < 3; round++) {
		int fd = peer_connect();
		uint64_t id = bench.next_id;

		assert_true(peer_send(fd, &piece));
		BENCH_UNTIL(has_file(bench.dir, QUEUE_MESS, id, ""));
		switch (round) {
		case 0:
			assert_true(peer_send(fd, &abort_it));
			break;
		case 1:
			close(fd);
			break;
		case 2: /* a COMMIT that is wrong */
			piece.type = INTAKE_COMMIT;
			piece.uuid.bytes[0] = 1;
			assert_true(peer_send(fd, &piece));
			break;
		}
		BENCH_UNTIL(!has_file(bench.dir, QUEUE_MESS, id, ""));
		if (round != 1)
			close(fd);
	}
	assert_int_equal(bench.count, 0);
}

/* The disk's error is the answer's code, and nothing is left. */
static void
a_disk_that_fails(void **state)
{
	int fd = peer_connect(), code;

	(void)state;
	put_file(bench.dir, QUEUE_MESS, FIRST_ID, "other", 5);
	send_large(fd, 1, 200000);
	BENCH_UNTIL(peer_has_heard(fd, &code, NULL));
	assert_int_equal(code, QQ_MESS);
	assert_int_equal(bench.count, 0);
	assert_true(intake_is_idle(bench.intake));
	bench_settle();
	EXPECT_FILE(bench.dir, QUEUE_MESS, FIRST_ID, "other");
	close(fd);
}

/* A file that no message has goes; also when an older message is meant. */
static void
large_ones_that_were_not_queued(void **state)
{
	static const int results[] = { QQ_SYNC, QQ_OK };
	int fd = peer_connect(), code;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint64_t id;

		send_large(fd, (uint8_t)(i + 1), 200000);
		BENCH_UNTIL(bench.count == i + 1);
		id = bench.submitted[i]->id;
		assert_true(has_file(bench.dir, QUEUE_MESS, id, ""));
		bench_done(i, results[i], 7);
		BENCH_UNTIL(peer_has_heard(fd, &code, NULL));
		assert_int_equal(code, results[i]);
		BENCH_UNTIL(!has_file(bench.dir, QUEUE_MESS, id, ""));
	}
	close(fd);
}

/* After COMMIT it counts, whether or not its client is still there. */
static void
clients_that_go(void **state)
{
	struct intake_packet commit = make_peer_commit(1, "x", 1, 1);
	int fd = peer_connect();

	(void)state;
	assert_true(peer_send(fd, &commit));
	BENCH_UNTIL(bench.count == 1);
	close(fd);
	bench_settle();
	assert_false(intake_is_idle(bench.intake));
	bench_done(0, QQ_OK, 9);
	assert_true(intake_is_idle(bench.intake));
	fd = peer_connect();
	send_large(fd, 2, 150000);
	close(fd);
	BENCH_UNTIL(bench.count == 2);
	expect_file(
	    bench.dir, QUEUE_MESS, bench.submitted[1]->id, large, 150000);
}

static void
questions(void **state)
{
	struct intake_packet ask = { .type = INTAKE_ASK,
		.uuid = { { [15] = 1 } } };
	struct intake_packet commit = make_peer_commit(1, "x", 1, 1);
	int fd = peer_connect(), other = peer_connect(), gone, code;
	uint64_t id;

	(void)state;
	assert_true(peer_send(fd, &ask));
	BENCH_UNTIL(peer_has_heard(fd, &code, &id));
	assert_int_equal(code, INTAKE_ABSENT);
	bench.known = INTAKE_KNOWN;
	assert_true(peer_send(fd, &ask));
	BENCH_UNTIL(peer_has_heard(fd, &code, &id));
	assert_int_equal(code, QQ_OK);
	assert_int_equal(id, 77);
	/* Not decided: a message with it is on its way ... */
	bench.known = INTAKE_UNKNOWN;
	assert_true(peer_send(other, &commit));
	BENCH_UNTIL(bench.count == 1);
	gone = peer_connect();
	assert_true(peer_send(fd, &ask) && peer_send(gone, &ask));
	bench_settle();
	close(gone);
	bench_settle();
	assert_int_equal(peer_hear(fd, NULL), -1);
	bench_done(0, QQ_SYNC, 0);
	BENCH_UNTIL(peer_has_heard(fd, &code, &id));
	assert_int_equal(code, INTAKE_ABSENT);
	/* ... or has been submitted by somebody else. */
	bench.known = INTAKE_PENDING;
	assert_true(peer_send(fd, &ask));
	bench_settle();
	intake_tick(bench.intake);
	assert_int_equal(peer_hear(fd, NULL), -1);
	bench.known = INTAKE_KNOWN;
	intake_tick(bench.intake);
	BENCH_UNTIL(peer_has_heard(fd, &code, &id));
	assert_int_equal(code, QQ_OK);
	close(fd);
	close(other);
}

/* A message whose file is being synced has not been submitted, but may be. */
static void
a_question_about_a_file(void **state)
{
	struct intake_packet ask = { .type = INTAKE_ASK,
		.uuid = { { [15] = 3 } } };
	int fd = peer_connect(), other = peer_connect(), code;

	(void)state;
	bench.is_done_at_once = true;
	send_large(fd, 3, 200000);
	assert_true(peer_send(other, &ask));
	BENCH_UNTIL(!LIST_EMPTY(&bench.intake->handovers) || bench.count == 1);
	bench.known = INTAKE_KNOWN; /* when it is */
	BENCH_UNTIL(peer_has_heard(other, &code, NULL));
	assert_int_equal(code, QQ_OK);
	assert_int_equal(bench.count, 1);
	close(fd);
	close(other);
}

/* What is said about it, and no transaction; the connection goes on. */
static void
refused_messages(void **state)
{
	static char header[40000] = "H";
	struct intake_packet rows[] = {
		{ .size_bytes = 2, .body = "x", .body_length = 1 },
		{ .envelope = "Fs", .envelope_length = 2 },
		{ .envelope = "Ts", .envelope_length = 3 },
		{ .envelope = "u0\0Fs\0Ta", .envelope_length = 9 },
		{ .envelope = "Fs\0Da", .envelope_length = 6 },
		{ .envelope = "Fs\0\0Ta", .envelope_length = 7 },
		{ .envelope = header, .envelope_length = sizeof(header) },
	};
	static const int codes[] = { QQ_BUG, QQ_ENVELOPE, QQ_ENVELOPE,
		QQ_ENVELOPE, QQ_ENVELOPE, QQ_ENVELOPE, QQ_ENVELOPE };
	struct intake_packet good = make_peer_commit(1, "", 0, 0);
	int fd = peer_connect(), code;

	(void)state;
	memset(header + 1, 'x', sizeof(header) - 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rows[i].type = INTAKE_COMMIT;
		rows[i].uuid.bytes[0] = 1;
		assert_true(peer_send(fd, &rows[i]));
		BENCH_UNTIL(peer_has_heard(fd, &code, NULL));
		if (code != codes[i])
			fail_msg("row %zu: %d", i, code);
	}
	assert_int_equal(bench.count, 0);
	assert_true(peer_send(fd, &good));
	BENCH_UNTIL(bench.count == 1);
	close(fd);
}

static void
imports(void **state)
{
	static const char envelope[] = "b7\0a2\0nwhy\0Fs\0Da\0Tb";
	struct intake_packet commit = make_peer_commit(1, "", 0, 0);
	int fd = peer_connect();

	(void)state;
	commit.is_import = true;
	commit.envelope = envelope;
	commit.envelope_length = sizeof(envelope);
	assert_true(peer_send(fd, &commit));
	BENCH_UNTIL(bench.count == 1);
	assert_true(bench.submitted[0]->is_import);
	close(fd);
}

/* What ends the connection. */
static void
bad_conversations(void **state)
{
	enum { HELLO = 1, OLD, BODY, COMMIT, ASK, ANSWER, JUNK, FD, HUGE };
	static const struct {
		const char *name;
		int packets[4];
	} rows[] = {
		{ "no hello", { BODY } },
		{ "no hello, a question", { ASK } },
		{ "another version", { OLD } },
		{ "two hellos", { HELLO, HELLO } },
		{ "an answer", { HELLO, ANSWER } },
		{ "no packet", { HELLO, JUNK } },
		{ "a descriptor", { HELLO, FD } },
		{ "more before the answer", { HELLO, COMMIT, BODY } },
		{ "a question before the answer", { HELLO, COMMIT, ASK } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct intake_packet commit = make_peer_commit(1, "", 0, 0);
		struct error err;
		int fd = packet_connect_within(bench.path, 60000, &err),
		    code = -1;

		for (const int *at = rows[i].packets; *at != 0; at++) {
			struct intake_packet packet = { .text = "",
				.uuid = { { 1 } },
				.version = INTAKE_VERSION };

			packet.type = *at == HELLO ? INTAKE_HELLO
			    : *at == OLD           ? INTAKE_HELLO
			    : *at == BODY          ? INTAKE_BODY
			    : *at == ASK           ? INTAKE_ASK
						   : INTAKE_ANSWER;
			packet.version -= *at == OLD;
			if (*at == JUNK)
				packet_send(fd, "\377", 1, -1, 0);
			else if (*at == FD)
				packet_send(fd, "\006", 1, 0, 0);
			else
				peer_send(
				    fd, *at == COMMIT ? &commit : &packet);
			bench_settle();
		}
		/* The kernel may have kept the descriptor to itself. */
		if (strcmp(rows[i].name, "a descriptor") == 0 &&
		    bench.intake->has_no_foreign_fds) {
			close(fd);
			continue;
		}
		BENCH_UNTIL(peer_has_heard(fd, &code, NULL));
		if (code != -2)
			fail_msg("%s: %d", rows[i].name, code);
		close(fd);
	}
}

static void
envelopes_have_a_limit(void **state)
{
	struct intake_packet piece = { .type = INTAKE_ENVELOPE,
		.envelope = large,
		.envelope_length = 50000 };
	int fd = peer_connect(), code = -1;
	size_t sent = 0;

	(void)state;
	while (sent < 17 * 1024 * 1024) {
		if (!peer_send(fd, &piece)) {
			if (errno != EAGAIN)
				break;
			loop_wait(bench.loop, 5);
			continue;
		}
		sent += 50000;
	}
	BENCH_UNTIL(peer_has_heard(fd, &code, NULL));
	assert_int_equal(code, -2);
	close(fd);
}

/* Whoever does not read is not waited for. */
static void
a_client_that_does_not_read(void **state)
{
	struct intake_packet ask = { .type = INTAKE_ASK, .uuid = { { 1 } } };
	int fd = peer_connect(), i;

	(void)state;
	for (i = 0; i < 100000 && peer_send(fd, &ask); i++)
		loop_wait(bench.loop, 0);
	assert_true(i < 100000);
	BENCH_UNTIL(LIST_EMPTY(&bench.intake->clients));
	close(fd);
}

static void
a_stop(void **state)
{
	struct intake_packet commit = make_peer_commit(1, "x", 1, 1);
	int fd = peer_connect(), other = peer_connect(), code;

	(void)state;
	assert_true(peer_send(fd, &commit));
	BENCH_UNTIL(bench.count == 1);
	intake_stop(bench.intake);
	commit.uuid.bytes[0] = 2;
	assert_true(peer_send(other, &commit));
	BENCH_UNTIL(peer_has_heard(other, &code, NULL));
	assert_int_equal(code, QQ_UNAVAILABLE);
	assert_false(intake_is_idle(bench.intake));
	bench_done(0, QQ_OK, 4);
	BENCH_UNTIL(peer_has_heard(fd, &code, NULL));
	assert_int_equal(code, QQ_OK);
	assert_true(intake_is_idle(bench.intake));
	close(fd);
	close(other);
}

/* Closed in the midst of everything: what is done later finds nobody. */
static void
a_close(void **state)
{
	struct intake_packet commit = make_peer_commit(1, "x", 1, 1);
	struct intake_packet ask = { .type = INTAKE_ASK, .uuid = commit.uuid };
	struct intake_packet piece = {
		.type = INTAKE_BODY, .body = large, .body_length = 50000
	};
	int fds[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		fds[i] = peer_connect();
	assert_true(peer_send(fds[0], &commit));
	BENCH_UNTIL(bench.count == 1);
	assert_true(peer_send(fds[1], &ask));
	assert_true(peer_send(fds[2], &piece));
	send_large(fds[3], 2, 200000);
	loop_wait(bench.loop, 5);
	intake_close(&bench.intake);
	bench_done(0, QQ_OK, 4);
	bench_settle();
	for (int i = 0; i < 4; i++) {
		assert_int_equal(peer_hear(fds[i], NULL), -2);
		close(fds[i]);
	}
}

/* Bodies of many clients at once, each in order. */
static void
many_at_once(void **state)
{
	enum { CLIENTS = 40, SIZE = 180000 };
	int fds[CLIENTS], code;

	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = peer_connect();
	for (size_t at = 0; at < SIZE; at += 45000)
		for (int i = 0; i < CLIENTS; i++) {
			struct intake_packet piece = { .type = INTAKE_BODY,
				.body = large + at,
				.body_length = 45000 };

			BENCH_UNTIL(peer_send(fds[i], &piece));
		}
	bench.is_done_at_once = true;
	for (int i = 0; i < CLIENTS; i++) {
		struct intake_packet commit = make_peer_commit(
		    (uint8_t)(i + 1), "", 0, SIZE);

		BENCH_UNTIL(peer_send(fds[i], &commit));
	}
	for (int i = 0; i < CLIENTS; i++) {
		uint64_t id = 0;

		BENCH_UNTIL(peer_has_heard(fds[i], &code, &id));
		assert_int_equal(code, QQ_OK);
		expect_file(bench.dir, QUEUE_MESS, id, large, SIZE);
		close(fds[i]);
	}
}

/* An operator's words are answered one by one, between messages too. */
static void
operations(void **state)
{
	struct intake_packet operate = { .type = INTAKE_OPERATE,
		.action = INTAKE_DELETE,
		.id = 9,
		.lane = "",
		.text = "" };
	struct intake_packet commit = make_peer_commit(1, "", 0, 0);
	int fd = peer_connect(), code;
	uint64_t id;

	(void)state;
	assert_true(peer_send(fd, &operate));
	BENCH_UNTIL(peer_has_heard(fd, &code, &id));
	assert_int_equal(code, INTAKE_ABSENT);
	assert_int_equal(id, 9);
	operate = (struct intake_packet){ .type = INTAKE_OPERATE,
		.action = INTAKE_HOLD,
		.lane = "example.net",
		.text = "" };
	assert_true(peer_send(fd, &operate));
	BENCH_UNTIL(peer_has_heard(fd, &code, NULL));
	assert_int_equal(code, QQ_OK);
	assert_true(peer_send(fd, &commit));
	BENCH_UNTIL(bench.count == 1);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(a_small_message),
		BENCH_TEST(pieces),
		BENCH_TEST(large_messages),
		BENCH_TEST(a_large_one_that_ends_leaves_nothing),
		BENCH_TEST(a_disk_that_fails),
		BENCH_TEST(large_ones_that_were_not_queued),
		BENCH_TEST(clients_that_go),
		BENCH_TEST(questions),
		BENCH_TEST(a_question_about_a_file),
		BENCH_TEST(refused_messages),
		BENCH_TEST(imports),
		BENCH_TEST(bad_conversations),
		BENCH_TEST(envelopes_have_a_limit),
		BENCH_TEST(a_client_that_does_not_read),
		BENCH_TEST(operations),
		BENCH_TEST(a_stop),
		BENCH_TEST(a_close),
		BENCH_TEST(many_at_once),
	};

	return cmocka_run_group_tests(tests, fill_large, NULL);
}
