/* SPDX-License-Identifier: ISC */
/* Tests of base/wire.c. */
#include "base/wire.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void
put_all(struct buf *buf)
{
	buf_init(buf);
	wire_put_u8(buf, 0xfe);
	wire_put_u32(buf, 0x01020304);
	wire_put_u64(buf, 0x0102030405060708);
	wire_put_bytes(buf, "a\0b", 3);
	wire_put_text(buf, "hello");
	wire_put_text(buf, "");
}

static void
comes_back(void **state)
{
	struct wire_reader reader;
	struct buf buf;
	const char *bytes;
	size_t length;

	(void)state;
	put_all(&buf);
	/* The numbers are little-endian. */
	assert_memory_equal(
	    buf.data, "\xfe\4\3\2\1\x8\7\6\5\4\3\2\1\3\0\0\0", 17);
	wire_open(&reader, buf.data, buf.length);
	assert_int_equal(wire_get_u8(&reader), 0xfe);
	assert_int_equal(wire_get_u32(&reader), 0x01020304);
	assert_int_equal(wire_get_u64(&reader), 0x0102030405060708);
	bytes = wire_get_bytes(&reader, &length);
	assert_int_equal(length, 3);
	assert_memory_equal(bytes, "a\0b", 3);
	assert_string_equal(wire_get_text(&reader), "hello");
	assert_false(wire_done(&reader));
	assert_string_equal(wire_get_text(&reader), "");
	assert_true(wire_done(&reader));
	buf_release(&buf);
}

/* Cut anywhere, a packet has failed, and nothing behind its end is read. */
static void
every_cut_fails(void **state)
{
	struct buf whole;

	(void)state;
	put_all(&whole);
	for (size_t cut = 0; cut < whole.length; cut++) {
		struct wire_reader reader;
		struct buf part = BUF_INIT;
		size_t length;

		buf_add(&part, whole.data, cut);
		wire_open(&reader, part.data, part.length);
		wire_get_u8(&reader);
		wire_get_u32(&reader);
		wire_get_u64(&reader);
		assert_non_null(wire_get_bytes(&reader, &length));
		assert_non_null(wire_get_text(&reader));
		assert_non_null(wire_get_text(&reader));
		assert_true(reader.has_failed);
		assert_false(wire_done(&reader));
		buf_release(&part);
	}
	buf_release(&whole);
}

static void
failed_gives_zeros(void **state)
{
	struct wire_reader reader;
	size_t length = 99;

	(void)state;
	wire_open(&reader, "\1\2\3", 3);
	assert_int_equal(wire_get_u32(&reader), 0);
	assert_int_equal(wire_get_u8(&reader), 0);
	assert_int_equal(wire_get_u64(&reader), 0);
	assert_string_equal(wire_get_bytes(&reader, &length), "");
	assert_int_equal(length, 0);
	assert_string_equal(wire_get_text(&reader), "");
	assert_false(wire_done(&reader));
}

static void
bad_texts(void **state)
{
	static const struct {
		const char *name, *data;
		size_t length;
	} rows[] = {
		{ "no NUL at the end", "\1\0\0\0a", 5 },
		{ "NUL inside", "\3\0\0\0a\0\0", 7 },
		{ "of no bytes", "\0\0\0\0", 4 },
		{ "length behind the end", "\5\0\0\0ab\0", 7 },
		{ "largest length",
		    "\xff\xff\xff\xff"
		    "a",
		    5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_reader reader;

		wire_open(&reader, rows[i].data, rows[i].length);
		assert_string_equal(wire_get_text(&reader), "");
		if (!reader.has_failed)
			fail_msg("%s: was taken", rows[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(every_cut_fails),
		cmocka_unit_test(failed_gives_zeros),
		cmocka_unit_test(bad_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
