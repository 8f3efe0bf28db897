/* SPDX-License-Identifier: ISC */
/* Tests of queue/remembered.c. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "queue/remembered.h"

#define BYTES(text) text, sizeof(text) - 1

/* "OFFSET mark address;" for each recipient, then "end" or the reason. */
static char *
read_list(const char *bytes, size_t length)
{
	/* Of just that size, for the address sanitizer. */
	char *list = xmalloc(length > 0 ? length : 1);
	struct buf text = BUF_INIT;
	struct remembered recipient;
	struct error err;
	size_t at = 0;
	int result;

	memcpy(list, bytes, length);
	while ((result = remembered_next(
		    list, length, &at, &recipient, &err)) == 1)
		buf_addf(&text, "%zu %s %s;", recipient.offset,
		    recipient.is_done ? "done" : "to do", recipient.address);
	buf_adds(&text, result == 0 ? "end" : err.text);
	free(list);
	return text.data;
}

static void
lists_of_recipients(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		const char *wanted;
	} rows[] = {
		{ BYTES("Ta@b\0"), "0 to do a@b;end" },
		{ BYTES("Da@b\0Tc@d\0De\0"),
		    "0 done a@b;5 to do c@d;10 done e;end" },
		{ BYTES("T\0D\0"), "0 to do ;2 done ;end" },
		{ BYTES(""), "is not complete" },
		{ BYTES("T"), "is not complete" },
		{ BYTES("Ta@b\0Tc"), "is not complete" },
		{ BYTES("\0"), "unknown record type 0" },
		{ BYTES("Ta@b\0\0"), "0 to do a@b;unknown record type 0" },
		{ BYTES("Ta@b\0xTc@d\0"),
		    "0 to do a@b;unknown record type 120" },
		{ BYTES("\377a\0"), "unknown record type 255" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = read_list(rows[i].bytes, rows[i].length);

		if (strcmp(got, rows[i].wanted) != 0)
			fail_msg("row %zu: got '%s', wanted '%s'", i, got,
			    rows[i].wanted);
		free(got);
	}
}

static void
fields_of_info(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		char type;
		const char *wanted; /* NULL: none */
	} rows[] = {
		{ BYTES("Fa@b\0"), 'F', "a@b" },
		{ BYTES("F\0"), 'F', "" },
		{ BYTES("Fa@b\0HX: y\n\0"), 'F', "a@b" },
		{ BYTES("Fa@b\0HX: y\n\0"), 'H', "X: y\n" },
		{ BYTES("Fa@b\0Fc@d\0"), 'F', "a@b" },
		{ BYTES("Fa@b\0"), 'H', NULL },
		{ BYTES("xF\0\0F\0"), 'F', "" },
		{ BYTES("Fa@b\0HX: y"), 'F', NULL },
		{ BYTES("Fa@b"), 'F', NULL },
		{ BYTES("F"), 'F', NULL },
		{ BYTES("\0"), 'F', NULL },
		{ BYTES(""), 'F', NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = remembered_field(
		    rows[i].bytes, rows[i].length, rows[i].type);
		const char *wanted = rows[i].wanted;

		if ((got == NULL) != (wanted == NULL) ||
		    (got != NULL && strcmp(got, wanted) != 0))
			fail_msg("row %zu: got '%s', wanted '%s'", i,
			    got == NULL ? "none" : got,
			    wanted == NULL ? "none" : wanted);
	}
}

/* "sender|attempt@at|uuid|size|header", or the reason. */
static char *
read_info(const char *bytes, size_t length)
{
	char *info = xmalloc(length > 0 ? length : 1);
	struct buf text = BUF_INIT;
	struct remembered_info got;
	struct error err;
	char uuid[UUID_TEXT_SIZE];

	memcpy(info, bytes, length);
	if (remembered_get_info(info, length, &got, &err) == -1)
		buf_adds(&text, err.text);
	else {
		uuid_format(&got.uuid, uuid);
		buf_addf(&text, "%s|%u@%zu|%s|", got.sender, got.attempt,
		    got.attempt_at, uuid_is_none(&got.uuid) ? "" : uuid);
		if (got.has_size)
			buf_addf(
			    &text, "%llu", (unsigned long long)got.size_bytes);
		buf_addf(&text, "|%s", got.header);
	}
	free(info);
	return text.data;
}

#define UUID "0190163d-8694-739b-aea5-966c26f8ad91"

static void
whole_infos(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		const char *wanted;
	} rows[] = {
		{ BYTES("Fa@b\0"), "a@b|0@0|||" },
		{ BYTES("F\0"), "|0@0|||" },
		{ BYTES("Fa@b\0HX: y\n\0"), "a@b|0@0|||X: y\n" },
		{ BYTES("Fa@b\0A000012\0I" UUID "\0S34\0HX: y\n\0"),
		    "a@b|12@6|" UUID "|34|X: y\n" },
		{ BYTES("Fa@b\0A000000\0S0\0"), "a@b|0@6||0|" },
		{ BYTES(""), "has no sender" },
		{ BYTES("A000012\0"), "has no sender" },
		{ BYTES("Fa@b\0A000012\0S3"), "has no sender" },
		{ BYTES("Fa@b\0A12\0"), "bad number of attempts" },
		{ BYTES("Fa@b\0A00001x\0"), "bad number of attempts" },
		{ BYTES("Fa@b\0I" UUID "0\0"), "bad UUID" },
		{ BYTES("Fa@b\0I\0"), "bad UUID" },
		{ BYTES("Fa@b\0S-1\0"), "bad size" },
		{ BYTES("Fa@b\0S\0"), "bad size" },
		{ BYTES("Fa@b\0Bx\0"), "bad birth" },
		{ BYTES("Fa@b\0B7\0"), "a@b|0@0|||" },
		{ BYTES("Fa@b\0E ENVID=x\0"), "a@b|0@0|||" },
		{ BYTES("Fa@b\0E ENVID=x\r\nDATA\0"), "bad DSN parameters" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = read_info(rows[i].bytes, rows[i].length);

		if (strcmp(got, rows[i].wanted) != 0)
			fail_msg("row %zu: got '%s', wanted '%s'", i, got,
			    rows[i].wanted);
		free(got);
	}
}

static void
infos_that_are_put(void **state)
{
	static const struct {
		struct remembered_info info;
		const char *wanted;
		size_t length;
	} rows[] = {
		{ { .sender = "", .header = "" }, BYTES("F\0A000000\0W00\0") },
		{ { .sender = "a@b",
		      .attempt = 12,
		      .has_size = true,
		      .size_bytes = 34,
		      .birth = 56,
		      .is_told = { false, true },
		      .dsn = " RET=HDRS",
		      .header = "X: y\n" },
		    BYTES("Fa@b\0A000012\0W01\0S34\0B56\0E RET=HDRS\0"
			  "HX: y\n\0") },
		{ { .sender = "a@b",
		      .attempt = 1000000,
		      .has_size = true,
		      .header = "" },
		    BYTES("Fa@b\0A999999\0W00\0S0\0") },
		{ { .sender = "a@b",
		      .uuid = { { 0x01, 0x90, 0x16, 0x3d, 0x86, 0x94, 0x73,
			  0x9b, 0xae, 0xa5, 0x96, 0x6c, 0x26, 0xf8, 0xad,
			  0x91 } },
		      .header = "" },
		    BYTES("Fa@b\0A000000\0W00\0I" UUID "\0") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf buf = BUF_INIT;
		struct remembered_info again;
		struct error err;

		remembered_put_info(&buf, &rows[i].info);
		assert_int_equal(buf.length, rows[i].length);
		assert_memory_equal(buf.data, rows[i].wanted, rows[i].length);
		assert_int_equal(
		    remembered_get_info(buf.data, buf.length, &again, &err), 0);
		/* What a try changes is written over in place. */
		assert_true(again.has_told);
		assert_int_equal(again.is_told[1], rows[i].info.is_told[1]);
		remembered_try(
		    77, (bool[2]){ true, false }, buf.data + again.attempt_at);
		assert_int_equal(strlen(buf.data + again.attempt_at),
		    REMEMBERED_ATTEMPT_DIGITS);
		assert_int_equal(
		    remembered_get_info(buf.data, buf.length, &again, &err), 0);
		assert_true(again.is_told[0] && !again.is_told[1]);
		assert_int_equal(again.attempt, 77);
		buf_release(&buf);
	}
}

/* What recipients' senders want to be told, in a list's order. */
static void
recipients_dsn(void **state)
{
	struct remembered_dsn sent[] = { { false, 0, " NOTIFY=NEVER" },
		{ true, 17, " NOTIFY=SUCCESS ORCPT=rfc822;a@b" } };
	struct remembered_dsn got;
	struct buf buf = BUF_INIT;
	struct error err = { "" };
	size_t at = 0, i;

	(void)state;
	remembered_put_info(
	    &buf, &(struct remembered_info){ .sender = "N", .header = "" });
	for (i = 0; i < 2; i++)
		remembered_put_dsn(&buf, &sent[i]);
	for (i = 0; i < 2; i++) {
		assert_int_equal(
		    remembered_next_dsn(buf.data, buf.length, &at, &got, &err),
		    1);
		assert_int_equal(got.is_remote, sent[i].is_remote);
		assert_int_equal(got.offset, sent[i].offset);
		assert_string_equal(got.dsn, sent[i].dsn);
	}
	assert_int_equal(
	    remembered_next_dsn(buf.data, buf.length, &at, &got, &err), 0);
	at = 0;
	assert_int_equal(remembered_next_dsn("Nx1\0", 4, &at, &got, &err), -1);
	at = 0;
	assert_int_equal(
	    remembered_next_dsn("Nl1 X\0", 7, &at, &got, &err), -1);
	buf_release(&buf);
}

/* Only right behind the digits can it be written with them. */
static void
without_a_place_for_told(void **state)
{
	struct remembered_info info;

	(void)state;
	assert_int_equal(
	    remembered_get_info(BYTES("F\0A000001\0S1\0W00\0"), &info, NULL),
	    0);
	assert_false(info.has_told);
	assert_true(info.is_told[0] && info.is_told[1]);
}

/* The file's time, unless it is that of a try. */
static void
births(void **state)
{
	static const struct {
		const char *info;
		size_t length;
		time_t mtime, wanted;
	} rows[] = {
		{ BYTES("Fa@b\0"), 100, 100 },
		{ BYTES("Fa@b\0B100\0"), 100, 100 },
		{ BYTES("Fa@b\0B100\0"), 200, 100 },
		{ BYTES("Fa@b\0B100\0"), 50, 50 },
		{ BYTES("Fa@b\0B0\0"), 50, 50 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct remembered_info info;

		assert_int_equal(remembered_get_info(
				     rows[i].info, rows[i].length, &info, NULL),
		    0);
		assert_int_equal(
		    remembered_birth(&info, rows[i].mtime), rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_recipients),
		cmocka_unit_test(fields_of_info),
		cmocka_unit_test(whole_infos),
		cmocka_unit_test(infos_that_are_put),
		cmocka_unit_test(births),
		cmocka_unit_test(recipients_dsn),
		cmocka_unit_test(without_a_place_for_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
