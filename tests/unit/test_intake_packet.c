/* SPDX-License-Identifier: ISC */
/* Tests of queue/intake_packet.c. */
#include "queue/intake_packet.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void
round_trip(void **state)
{
	static const struct intake_packet rows[] = {
		{ .type = INTAKE_HELLO, .version = INTAKE_VERSION },
		{ .type = INTAKE_BODY, .body = "a\0b", .body_length = 3 },
		{ .type = INTAKE_ENVELOPE,
		    .envelope = "Fs\0Ta",
		    .envelope_length = 6 },
		{ .type = INTAKE_COMMIT,
		    .uuid = { { 1, 2, [15] = 16 } },
		    .size_bytes = 1ull << 41,
		    .qp = 12,
		    .is_import = true,
		    .body = "a\0b",
		    .body_length = 3,
		    .envelope = "Fs\0Ta",
		    .envelope_length = 6 },
		{ .type = INTAKE_COMMIT, .uuid = { { [15] = 1 } } },
		{ .type = INTAKE_ASK, .uuid = { { 0, 255, [15] = 1 } } },
		{ .type = INTAKE_ABORT },
		{ .type = INTAKE_ANSWER,
		    .id = 1ull << 40,
		    .code = 53,
		    .text = "full" },
		{ .type = INTAKE_OPERATE,
		    .action = INTAKE_BOUNCE,
		    .id = 1ull << 50,
		    .lane = "",
		    .text = "no such user" },
		{ .type = INTAKE_OPERATE,
		    .action = INTAKE_HOLD,
		    .lane = "example.net",
		    .text = "" },
		{ .type = INTAKE_ANSWER, .id = 3, .code = 0, .text = "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct intake_packet *sent = &rows[i];
		struct intake_packet got;
		struct buf buf = BUF_INIT;

		intake_put(&buf, sent);
		assert_true(intake_get(buf.data, buf.length, &got));
		assert_int_equal(got.type, sent->type);
		assert_int_equal(got.version, sent->version);
		assert_int_equal(got.id, sent->id);
		assert_int_equal(got.code, sent->code);
		assert_int_equal(got.action, sent->action);
		assert_string_equal(
		    got.lane, sent->lane == NULL ? "" : sent->lane);
		assert_string_equal(
		    got.text, sent->text == NULL ? "" : sent->text);
		assert_int_equal(got.size_bytes, sent->size_bytes);
		assert_int_equal(got.qp, sent->qp);
		assert_int_equal(got.is_import, sent->is_import);
		assert_true(uuid_is_equal(&got.uuid, &sent->uuid));
		assert_int_equal(got.body_length, sent->body_length);
		if (sent->body_length > 0)
			assert_memory_equal(
			    got.body, sent->body, sent->body_length);
		assert_int_equal(got.envelope_length, sent->envelope_length);
		if (sent->envelope_length > 0)
			assert_memory_equal(got.envelope, sent->envelope,
			    sent->envelope_length);
		for (size_t n = 0; n < buf.length; n++)
			if (intake_get(buf.data, n, &got))
				fail_msg(
				    "row %zu: %zu bytes are a packet", i, n);
		buf_addc(&buf, 'x');
		assert_false(intake_get(buf.data, buf.length, &got));
		buf_release(&buf);
	}
}

static void
unknown_types(void **state)
{
	struct intake_packet got;

	(void)state;
	for (int type = 0; type < 256; type++) {
		char packet[2] = { (char)type, 0 };

		assert_int_equal(
		    intake_get(packet, 1, &got), type == INTAKE_ABORT);
		assert_false(intake_get(packet, 2, &got));
	}
	assert_false(intake_get("", 0, &got));
}

static bool
is_taken(enum intake_action action, uint64_t id, const char *lane)
{
	const struct intake_packet sent = { .type = INTAKE_OPERATE,
		.action = action,
		.id = id,
		.lane = lane,
		.text = "" };
	struct intake_packet got;
	struct buf buf = BUF_INIT;
	bool result;

	intake_put(&buf, &sent);
	result = intake_get(buf.data, buf.length, &got);
	buf_release(&buf);
	return result;
}

/* An operation is on a message or a lane, and a lane has three. */
static void
operations(void **state)
{
	(void)state;
	assert_true(is_taken(INTAKE_FORGET, 5, ""));
	assert_true(is_taken(INTAKE_RETRY, 0, "example.net"));
	assert_false(is_taken(INTAKE_DELETE, 0, "example.net"));
	assert_false(is_taken(INTAKE_HOLD, 5, "example.net"));
	assert_false(is_taken(INTAKE_HOLD, 0, ""));
	assert_false(is_taken(0, 5, ""));
	assert_false(is_taken(INTAKE_ACTION_END, 5, ""));
}

/* What names no message cannot be asked for, nor be found twice. */
static void
no_uuid(void **state)
{
	static const enum intake_type types[] = { INTAKE_COMMIT, INTAKE_ASK };
	struct intake_packet got;

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct intake_packet packet = { .type = types[i] };
		struct buf buf = BUF_INIT;

		intake_put(&buf, &packet);
		assert_false(intake_get(buf.data, buf.length, &got));
		buf_release(&buf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(unknown_types),
		cmocka_unit_test(operations),
		cmocka_unit_test(no_uuid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
