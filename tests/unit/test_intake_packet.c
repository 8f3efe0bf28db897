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
		{ .type = INTAKE_OPEN, .version = INTAKE_VERSION },
		{ .type = INTAKE_OPENED, .id = 1ull << 40 },
		{ .type = INTAKE_REFUSED, .code = 53, .text = "full" },
		{ .type = INTAKE_ENVELOPE,
		    .piece = "Fs\0Ta",
		    .piece_length = 6 },
		{ .type = INTAKE_COMMIT,
		    .size_bytes = 1ull << 41,
		    .qp = 12,
		    .wants_next = true,
		    .piece = "Fs\0Ta",
		    .piece_length = 6 },
		{ .type = INTAKE_COMMIT,
		    .size_bytes = 0,
		    .qp = 0,
		    .piece = "",
		    .piece_length = 0 },
		{ .type = INTAKE_COMMITTED, .id = 3, .code = 0, .text = "" },
		{ .type = INTAKE_ABORT },
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
		assert_string_equal(
		    got.text, sent->text == NULL ? "" : sent->text);
		assert_int_equal(got.size_bytes, sent->size_bytes);
		assert_int_equal(got.qp, sent->qp);
		assert_int_equal(got.wants_next, sent->wants_next);
		assert_int_equal(got.piece_length, sent->piece_length);
		assert_memory_equal(got.piece,
		    sent->piece == NULL ? "" : sent->piece, sent->piece_length);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(unknown_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
