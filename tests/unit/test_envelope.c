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
		bool is_input;
		const char *wanted; /* sender|header|recipient|..., or "-" and
				     * a part of the reason */
	} rows[] = {
		{ "todo", TEXT("u5\0p7\0Fs@x\0Ta@b\0Tc\0"), false,
		    "s@x||a@b|c" },
		{ "todo with header", TEXT("u5\0p7\0HX-A: b\n\0F\0Ta\0"), false,
		    "|X-A: b\n|a" },
		{ "no recipient", TEXT("u5\0p7\0Fs\0"), false, "s|" },
		{ "no sender", TEXT("u5\0p7\0"), false, "-not complete" },
		{ "empty", TEXT(""), false, "-not complete" },
		{ "no NUL", TEXT("u5\0p7\0Fs\0Ta"), false, "-not complete" },
		{ "bad number", TEXT("ux\0p7\0Fs\0"), false, "-bad number" },
		{ "large number", TEXT("u99999999999\0p7\0Fs\0"), false,
		    "-bad number" },
		{ "unknown", TEXT("u5\0p7\0Fs\0Xa\0"), false,
		    "-unknown record type 88" },
		{ "empty field", TEXT("u5\0p7\0\0Fs\0"), false,
		    "-unknown record type 0" },
		{ "two senders", TEXT("u5\0p7\0Fs\0Fr\0"), false, "-second" },
		{ "recipient first", TEXT("u5\0p7\0Ta\0Fs\0"), false,
		    "-before the sender" },
		{ "input", TEXT("Fs@x\0Ta@b\0\0"), true, "s@x||a@b" },
		{ "input without end", TEXT("Fs@x\0Ta@b\0"), true,
		    "-not complete" },
		{ "input with more behind its end", TEXT("Fs\0Ta\0\0Tb\0"),
		    true, "-not complete" },
		{ "input may not say who it is", TEXT("u0\0Fs\0Ta\0\0"), true,
		    "-unknown record type 117" },
		{ "empty recipient of todo", TEXT("u5\0p7\0Fs\0T\0"), false,
		    "s||" },
		{ "empty recipient", TEXT("Fs@x\0Ta@b\0T\0\0"), true,
		    "-empty recipient" },
		{ "only an end", TEXT("\0"), true, "-not complete" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct envelope envelope;
		struct error err = { "" };
		struct buf got = BUF_INIT;
		int result = envelope_parse(rows[i].record, rows[i].length,
		    rows[i].is_input, &envelope, &err);

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
			buf_addf(&got, "|%s", envelope.recipients[j]);
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
				     true, &envelope, &err),
		    rows[i].wanted);
		if (rows[i].wanted == 0)
			envelope_release(&envelope);
		else
			assert_non_null(strstr(err.text, "too long"));
		buf_release(&record);
	}
}

static void
format(void **state)
{
	static const char wanted[] = "u5\0p7\0HX: y\n\0Fs@x\0Ta\0Tb";
	struct buf record = BUF_INIT;
	struct envelope envelope;
	struct error err;

	(void)state;
	assert_int_equal(
	    envelope_parse(wanted, sizeof(wanted), false, &envelope, &err), 0);
	assert_int_equal(envelope.uid, 5);
	assert_int_equal(envelope.qp, 7);
	envelope_format(&record, &envelope);
	assert_int_equal(record.length, sizeof(wanted));
	assert_memory_equal(record.data, wanted, sizeof(wanted));
	envelope_release(&envelope);
	buf_release(&record);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test(limits),
		cmocka_unit_test(format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
