/* SPDX-License-Identifier: ISC */
/* Tests of queue/envelope.c. */
#include "queue/envelope.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define TEXT(text) text, sizeof(text) - 1

static void
parse(void **state)
{
	static const struct {
		const char *name;
		const char *record;
		size_t length;
		enum envelope_form form;
		const char *wanted; /* sender|header|recipient|..., or "-" and
				     * a part of the reason */
	} rows[] = {
		{ "todo", TEXT("u5\0p7\0Fs@x\0Ta@b\0Tc\0"), ENVELOPE_TODO,
		    "s@x||a@b|c" },
		{ "todo with header", TEXT("u5\0p7\0HX-A: b\n\0F\0Ta\0"),
		    ENVELOPE_TODO, "|X-A: b\n|a" },
		{ "no recipient", TEXT("u5\0p7\0Fs\0"), ENVELOPE_TODO, "s|" },
		{ "no sender", TEXT("u5\0p7\0"), ENVELOPE_TODO,
		    "-not complete" },
		{ "empty", TEXT(""), ENVELOPE_TODO, "-not complete" },
		{ "no NUL", TEXT("u5\0p7\0Fs\0Ta"), ENVELOPE_TODO,
		    "-not complete" },
		{ "bad number", TEXT("ux\0p7\0Fs\0"), ENVELOPE_TODO,
		    "-bad number" },
		{ "large number", TEXT("u99999999999\0p7\0Fs\0"), ENVELOPE_TODO,
		    "-bad number" },
		{ "unknown", TEXT("u5\0p7\0Fs\0Xa\0"), ENVELOPE_TODO,
		    "-unknown record type 88" },
		{ "empty field", TEXT("u5\0p7\0\0Fs\0"), ENVELOPE_TODO,
		    "-unknown record type 0" },
		{ "two senders", TEXT("u5\0p7\0Fs\0Fr\0"), ENVELOPE_TODO,
		    "-second" },
		{ "recipient first", TEXT("u5\0p7\0Ta\0Fs\0"), ENVELOPE_TODO,
		    "-before the sender" },
		{ "input", TEXT("Fs@x\0Ta@b\0\0"), ENVELOPE_INPUT, "s@x||a@b" },
		{ "input without end", TEXT("Fs@x\0Ta@b\0"), ENVELOPE_INPUT,
		    "-not complete" },
		{ "input with more behind its end", TEXT("Fs\0Ta\0\0Tb\0"),
		    ENVELOPE_INPUT, "-not complete" },
		{ "input may not say who it is", TEXT("u0\0Fs\0Ta\0\0"),
		    ENVELOPE_INPUT, "-unknown record type 117" },
		{ "empty recipient of todo", TEXT("u5\0p7\0Fs\0T\0"),
		    ENVELOPE_TODO, "s||" },
		{ "empty recipient", TEXT("Fs@x\0Ta@b\0T\0\0"), ENVELOPE_INPUT,
		    "-empty recipient" },
		{ "todo with UUID",
		    TEXT("u5\0p7 0190163d-8694-739b-aea5-966c26f8ad91\0Fs\0"),
		    ENVELOPE_TODO, "s|" },
		{ "todo of another queue",
		    TEXT("u5\0p7\0b9\0a2\0nwhy\0Fs\0Da\0Tb\0"), ENVELOPE_TODO,
		    "s||+a|b" },
		{ "import", TEXT("b9\0a2\0nwhy\0HX: y\n\0Fs\0Ta\0Db\0\0"),
		    ENVELOPE_IMPORT, "s|X: y\n|a|+b" },
		{ "import may not say who it is", TEXT("u0\0Fs\0Ta\0\0"),
		    ENVELOPE_IMPORT, "-unknown record type 117" },
		{ "import without end", TEXT("Fs\0Da\0"), ENVELOPE_IMPORT,
		    "-not complete" },
		{ "import of nobody", TEXT("Fs\0D\0\0"), ENVELOPE_IMPORT,
		    "-empty recipient" },
		{ "input is no import", TEXT("Fs\0Da\0\0"), ENVELOPE_INPUT,
		    "-unknown record type 68" },
		{ "nor has attempts", TEXT("a1\0Fs\0Ta\0\0"), ENVELOPE_INPUT,
		    "-unknown record type 97" },
		{ "too many attempts", TEXT("a1000000\0Fs\0\0"),
		    ENVELOPE_IMPORT, "-bad number" },
		{ "bad birth", TEXT("b-1\0Fs\0\0"), ENVELOPE_IMPORT,
		    "-bad number" },
		{ "input with DSN",
		    TEXT("e RET=HDRS\0Fs\0r NOTIFY=NEVER\0Ta\0Tb\0\0"),
		    ENVELOPE_INPUT, "s||a NOTIFY=NEVER|b" },
		{ "import with DSN", TEXT("Fs\0Ta\0r ORCPT=rfc822;x\0Db\0\0"),
		    ENVELOPE_IMPORT, "s||a|+b ORCPT=rfc822;x" },
		{ "no DSN of SMTP", TEXT("e RET=HDRS\r\nDATA\0Fs\0\0"),
		    ENVELOPE_INPUT, "-bad DSN" },
		{ "nor of RCPT", TEXT("Fs\0r NOTIFY=NEVER SIZE=1\0Ta\0\0"),
		    ENVELOPE_INPUT, "-bad DSN" },
		{ "twice for a recipient",
		    TEXT("Fs\0r NOTIFY=NEVER\0r NOTIFY=NEVER\0Ta\0\0"),
		    ENVELOPE_INPUT, "-bad DSN" },
		{ "DSN of nobody", TEXT("Fs\0Ta\0r NOTIFY=NEVER\0\0"),
		    ENVELOPE_INPUT, "s||a" },
		{ "only an end", TEXT("\0"), ENVELOPE_INPUT, "-not complete" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct envelope envelope;
		struct error err = { "" };
		struct buf got = BUF_INIT;
		int result = envelope_parse(rows[i].record, rows[i].length,
		    rows[i].form, &envelope, &err);

		if (rows[i].wanted[0] == '-') {
			if (result != -1 ||
			    strstr(err.text, rows[i].wanted + 1) == NULL)
				fail_msg("%s: %d, '%s', wanted '%s'",
				    rows[i].name, result, err.text,
				    rows[i].wanted);
			continue;
		}
		if (result != 0)
			fail_msg("%s: %s", rows[i].name, err.text);
		buf_addf(&got, "%s|%s", envelope.sender, envelope.header);
		for (size_t j = 0; j < envelope.recipient_count; j++)
			buf_addf(&got, "|%s%s%s",
			    envelope.is_done != NULL && envelope.is_done[j]
				? "+"
				: "",
			    envelope.recipients[j], envelope_dsn(&envelope, j));
		assert_string_equal(got.data, rows[i].wanted);
		envelope_release(&envelope);
		buf_release(&got);
	}
}

static void
limits(void **state)
{
	static const struct {
		char type;
		size_t length; /* of the text behind the type */
		int wanted;
	} rows[] = {
		{ 'T', ENVELOPE_ADDRESS_MAX - 1, 0 },
		{ 'T', ENVELOPE_ADDRESS_MAX, -1 },
		{ 'F', ENVELOPE_ADDRESS_MAX, -1 },
		{ 'H', ENVELOPE_HEADER_MAX - 1, 0 },
		{ 'H', ENVELOPE_HEADER_MAX, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf record = BUF_INIT;
		struct envelope envelope;
		struct error err = { "" };

		if (rows[i].type != 'F')
			buf_add(&record, "Fs", 3);
		buf_addc(&record, rows[i].type);
		for (size_t j = 0; j < rows[i].length; j++)
			buf_addc(&record, 'a');
		buf_addc(&record, '\0');
		buf_addc(&record, '\0');
		assert_int_equal(envelope_parse(record.data, record.length,
				     ENVELOPE_INPUT, &envelope, &err),
		    rows[i].wanted);
		if (rows[i].wanted == 0)
			envelope_release(&envelope);
		else
			assert_non_null(strstr(err.text, "too long"));
		buf_release(&record);
	}
}

/* What is written of it is what was read. */
static void
format(void **state)
{
	static const struct {
		const char *record;
		size_t length;
	} rows[] = {
		{ TEXT("u5\0p7\0HX: y\n\0Fs@x\0Ta\0Tb\0") },
		{ TEXT("u0\0p0\0F\0") },
		{ TEXT("u5\0p7 0190163d-8694-739b-aea5-966c26f8ad91\0Fs@x\0"
		       "Ta\0") },
		{ TEXT("u5\0p7 0190163d-8694-739b-aea5-966c26f8ad91 0\0Fs@x\0"
		       "Ta\0") },
		{ TEXT("u5\0p7 - 12345\0Fs@x\0Ta\0") },
		{ TEXT("u5\0p7\0b1700000000\0a12\0nwhy\n\0HX: y\n\0Fs\0Ta\0"
		       "Db\0Tc\0Td\0De\0") },
		{ TEXT("u5\0p7\0e RET=FULL ENVID=x REQUIRETLS\0Fs\0Ta\0"
		       "r NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;c\0Tb\0") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf record = BUF_INIT;
		struct envelope envelope;
		struct error err;

		assert_int_equal(envelope_parse(rows[i].record, rows[i].length,
				     ENVELOPE_TODO, &envelope, &err),
		    0);
		envelope_format(&record, &envelope);
		assert_int_equal(record.length, rows[i].length);
		assert_memory_equal(
		    record.data, rows[i].record, rows[i].length);
		envelope_release(&envelope);
		buf_release(&record);
	}
}

static void
fields(void **state)
{
	static const char record[] =
	    "u5\0p7 0190163D-8694-739b-aea5-966c26f8ad91\0b9\0a2\0nwhy\0Fs";
	static const char *const no_sizes[] = { "p7 12", "p7 - 12x", "p7 - ",
		"p7 x 99999999999999999999", "p7 - 1 2", "p7 - -1" };
	static const char *const no_uuids[] = { "p7", "p7 ", "p7 x",
		"p7x0190163d-8694-739b-aea5-966c26f8ad91",
		"p7 0190163d-8694-739b-aea5-966c26f8ad9" };
	struct envelope envelope;
	struct error err;
	struct uuid uuid;

	(void)state;
	assert_true(uuid_parse("0190163d-8694-739b-aea5-966c26f8ad91", &uuid));
	assert_int_equal(envelope_parse(record, sizeof(record), ENVELOPE_TODO,
			     &envelope, &err),
	    0);
	assert_int_equal(envelope.uid, 5);
	assert_int_equal(envelope.qp, 7);
	assert_true(uuid_is_equal(&envelope.uuid, &uuid));
	assert_int_equal(envelope.birth, 9);
	assert_int_equal(envelope.attempt, 2);
	assert_string_equal(envelope.notes, "why");
	assert_null(envelope.is_done);
	envelope_release(&envelope);
	for (size_t i = 0; i < sizeof(no_uuids) / sizeof(no_uuids[0]); i++) {
		struct buf buf = BUF_INIT;

		buf_add(&buf, no_uuids[i], strlen(no_uuids[i]) + 1);
		buf_add(&buf, "Fs", 3);
		assert_int_equal(envelope_parse(buf.data, buf.length,
				     ENVELOPE_TODO, &envelope, &err),
		    0);
		assert_int_equal(envelope.qp, 7);
		if (!uuid_is_none(&envelope.uuid))
			fail_msg("'%s' has a UUID", no_uuids[i]);
		envelope_release(&envelope);
		buf_release(&buf);
	}
	for (size_t i = 0; i < sizeof(no_sizes) / sizeof(no_sizes[0]); i++) {
		struct buf buf = BUF_INIT;

		buf_add(&buf, no_sizes[i], strlen(no_sizes[i]) + 1);
		buf_add(&buf, "Fs", 3);
		assert_int_equal(envelope_parse(buf.data, buf.length,
				     ENVELOPE_TODO, &envelope, &err),
		    0);
		if (envelope.has_size)
			fail_msg("'%s' has a length", no_sizes[i]);
		envelope_release(&envelope);
		buf_release(&buf);
	}
}

static void
lengths(void **state)
{
	struct error err = { "" };

	(void)state;
	assert_int_equal(envelope_check_size(9, 5, 5, &err), 0);
	assert_int_equal(envelope_check_size(9, 4, 5, &err), -1);
	assert_string_equal(
	    err.text, "mess/9 has 4 bytes, and had 5 when it was accepted");
	assert_int_equal(envelope_check_size(9, 6, 5, &err), -1);
}

/* Marks at each place, over all sizes of the array. */
static void
marks(void **state)
{
	enum { COUNT = 40 };

	(void)state;
	for (size_t done = 0; done < COUNT; done++) {
		struct buf record = BUF_INIT;
		struct envelope envelope;
		struct error err;

		buf_add(&record, "Fs", 3);
		for (size_t i = 0; i < COUNT; i++)
			buf_add(&record, i == done ? "Dx" : "Tx", 3);
		assert_int_equal(envelope_parse(record.data, record.length,
				     ENVELOPE_TODO, &envelope, &err),
		    0);
		assert_int_equal(envelope.recipient_count, COUNT);
		for (size_t i = 0; i < COUNT; i++)
			assert_int_equal(envelope.is_done[i], i == done);
		envelope_release(&envelope);
		buf_release(&record);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test(limits),
		cmocka_unit_test(format),
		cmocka_unit_test(fields),
		cmocka_unit_test(lengths),
		cmocka_unit_test(marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
