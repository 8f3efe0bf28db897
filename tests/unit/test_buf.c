/* SPDX-License-Identifier: ISC */
/* Tests of base/buf.c. */
#include "base/buf.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void
check(const struct buf *buf, const char *wanted, size_t length)
{
	assert_int_equal(buf->length, length);
	assert_true(buf->length < buf->size);
	assert_memory_equal(buf->data, wanted, length);
	assert_int_equal(buf->data[length], '\0');
}

static void
adds(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf);
	check(&buf, "", 0);
	buf_adds(&buf, "ab");
	buf_addc(&buf, '\0');
	buf_add(&buf, "c\0d", 3);
	buf_add(&buf, NULL, 0);
	buf_addf(&buf, "-%d-%s", 42, "x");
	check(&buf, "ab\0c\0d-42-x", 11);
	buf_reset(&buf);
	check(&buf, "", 0);
	buf_release(&buf);
	assert_null(buf.data);
	buf_release(&buf);
}

static void
empty_without_init(void **state)
{
	struct buf buf = BUF_INIT, zeroed = BUF_INIT;

	(void)state;
	buf_reset(&buf);
	assert_null(buf.data);
	buf_adds(&buf, "x");
	check(&buf, "x", 1);
	buf_addf(&zeroed, "%s", "y");
	check(&zeroed, "y", 1);
	buf_release(&buf);
	buf_release(&zeroed);
}

/* Every length around the places where the memory grows. */
static void
grows(void **state)
{
	struct buf one, formatted, at_once;

	(void)state;
	buf_init(&one);
	for (size_t length = 1; length <= 1000; length++) {
		char text[1001];

		memset(text, 'a' + (int)(length % 26), length);
		text[length] = '\0';
		buf_addc(&one, (char)('a' + length % 26));
		assert_int_equal(one.length, length);
		assert_int_equal(one.data[length - 1], 'a' + length % 26);
		assert_int_equal(one.data[length], '\0');
		buf_init(&formatted);
		buf_init(&at_once);
		buf_addf(&formatted, "%s", text);
		buf_add(&at_once, text, length);
		check(&formatted, text, length);
		check(&at_once, text, length);
		buf_release(&formatted);
		buf_release(&at_once);
	}
	buf_release(&one);
}

static void
reserves(void **state)
{
	struct buf buf;
	char *data;

	(void)state;
	buf_init(&buf);
	buf_adds(&buf, "abc");
	buf_reserve(&buf, 10000);
	assert_true(buf.size >= 10004);
	data = buf.data;
	for (unsigned i = 0; i < 10000; i++)
		buf_addc(&buf, 'x');
	assert_ptr_equal(buf.data, data);
	assert_memory_equal(buf.data, "abcx", 4);
	buf_release(&buf);
}

static void
drops(void **state)
{
	static const struct {
		size_t count;
		const char *wanted;
	} rows[] = { { 0, "abcdef" }, { 1, "bcdef" }, { 5, "f" }, { 6, "" } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf buf;

		buf_init(&buf);
		buf_adds(&buf, "abcdef");
		buf_drop(&buf, rows[i].count);
		check(&buf, rows[i].wanted, strlen(rows[i].wanted));
		buf_release(&buf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds),
		cmocka_unit_test(empty_without_init),
		cmocka_unit_test(grows),
		cmocka_unit_test(reserves),
		cmocka_unit_test(drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
