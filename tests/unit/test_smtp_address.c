/* SPDX-License-Identifier: ISC */
#include "smtp/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct row {
	const char *path;
	enum smtp_address_result wanted;
	const char *text;
	const char *domain; /* NULL: has none */
	const char *rest;   /* what follows the path */
};

static const struct row rows[] = {
	{ "<a@b.example>", SMTP_ADDRESS_OK, "a@b.example", "b.example", "" },
	{ "<>", SMTP_ADDRESS_OK, "", NULL, "" },
	{ "<> SIZE=1", SMTP_ADDRESS_OK, "", NULL, " SIZE=1" },
	{ "<a@b> SIZE=1", SMTP_ADDRESS_OK, "a@b", "b", " SIZE=1" },
	{ "a@b SIZE=1", SMTP_ADDRESS_OK, "a@b", "b", " SIZE=1" },
	{ "a@b", SMTP_ADDRESS_OK, "a@b", "b", "" },
	{ "<postmaster>", SMTP_ADDRESS_OK, "postmaster", NULL, "" },
	{ "<PostMaster@Example.ORG>", SMTP_ADDRESS_OK, "PostMaster@Example.ORG",
	    "Example.ORG", "" },
	{ "<@x.example,@y.example:a@b>", SMTP_ADDRESS_OK, "a@b", "b", "" },
	{ "<@[192.0.2.1]:a@b>", SMTP_ADDRESS_OK, "a@b", "b", "" },
	{ "<@x.example:postmaster>", SMTP_ADDRESS_OK, "postmaster", NULL, "" },
	{ "<\"john smith\"@b>", SMTP_ADDRESS_OK, "john smith@b", "b", "" },
	{ "<\"a@c\"@b>", SMTP_ADDRESS_OK, "a@c@b", "b", "" },
	{ "<\"a\\\"\\\\b>\"@b>", SMTP_ADDRESS_OK, "a\"\\b>@b", "b", "" },
	{ "<!#$%&'*+-/=?^_`{|}~@b>", SMTP_ADDRESS_OK, "!#$%&'*+-/=?^_`{|}~@b",
	    "b", "" },
	{ "<a..b.@c>", SMTP_ADDRESS_OK, "a..b.@c", "c", "" },
	{ "<a@[192.0.2.1]>", SMTP_ADDRESS_OK, "a@[192.0.2.1]", "[192.0.2.1]",
	    "" },
	{ "<a@[IPv6:2001:db8::1]>", SMTP_ADDRESS_OK, "a@[IPv6:2001:db8::1]",
	    "[IPv6:2001:db8::1]", "" },
	{ "<a@x_y.b>", SMTP_ADDRESS_OK, "a@x_y.b", "x_y.b", "" },
	{ "<j\xc3\xbcrgen@b\xc3\xbc.example>", SMTP_ADDRESS_OK,
	    "j\xc3\xbcrgen@b\xc3\xbc.example", "b\xc3\xbc.example", "" },
	{ "<\xf0\x9f\x93\xa7@b>", SMTP_ADDRESS_OK, "\xf0\x9f\x93\xa7@b", "b",
	    "" },
	{ "<\"\xc3\xbc x\"@b>", SMTP_ADDRESS_OK, "\xc3\xbc x@b", "b", "" },
	/* what is no address */
	{ "", SMTP_ADDRESS_SYNTAX, "", NULL, NULL },
	{ " ", SMTP_ADDRESS_SYNTAX, "", NULL, NULL },
	{ "<", SMTP_ADDRESS_SYNTAX, "", NULL, NULL },
	{ "<a@b", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@b:>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@b,a@c>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@b:@c:a@d>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@:a@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@b@c>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a b@c>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@b>x", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@b>>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<<a@b>>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@b.>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@.b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@b..c>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@-b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@b->", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@b/c>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@[192.0.2]>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@[192.0.2.1>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@[]>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@[IPv6:x]>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@[x-tag:y]>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"\"@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"a@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"a\\", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"a\tb\"@c>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"a\"b@c>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a\\@b@c>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a\xff@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a\xc3@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a@b\xc3>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a\xc0\xaf@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a\xe0\x80\xaf@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a\xed\xa0\x80@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a\xf4\x90\x80\x80@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<a\xc2\x85@b>", SMTP_ADDRESS_SYNTAX, NULL, NULL, NULL },
};

/* In memory of exactly its size, so that sanitizers see a byte too many. */
static enum smtp_address_result
parse(
    const char *path, size_t length, struct smtp_address *address, size_t *used)
{
	char *copy = xmalloc(length == 0 ? 1 : length);
	enum smtp_address_result result;

	memcpy(copy, path, length);
	result = smtp_address_parse(copy, length, address, used);
	free(copy);
	return result;
}

static void
paths(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		struct smtp_address address;
		size_t used;
		enum smtp_address_result result = parse(
		    row->path, strlen(row->path), &address, &used);

		if (result != row->wanted)
			fail_msg("'%s': result %d, wanted %d", row->path,
			    (int)result, (int)row->wanted);
		if (result != SMTP_ADDRESS_OK)
			continue;
		assert_string_equal(address.text, row->text);
		assert_string_equal(row->path + used, row->rest);
		if (row->domain == NULL)
			assert_null(address.domain);
		else
			assert_string_equal(address.domain, row->domain);
	}
}

static void
what_is_noticed(void **state)
{
	static const struct {
		const char *path;
		bool is_utf8, is_literal;
	} cases[] = {
		{ "<a@b>", false, false },
		{ "<a@[192.0.2.1]>", false, true },
		{ "<@[192.0.2.1]:a@b>", false, false },
		{ "<a\xc3\xbc@b>", true, false },
		{ "<\"\xc3\xbc\"@b>", true, false },
		{ "<a@\xc3\xbc>", true, false },
	};
	struct smtp_address address;
	size_t i, used;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(parse(cases[i].path, strlen(cases[i].path),
				     &address, &used),
		    SMTP_ADDRESS_OK);
		if (address.is_utf8 != cases[i].is_utf8 ||
		    address.is_literal != cases[i].is_literal)
			fail_msg("'%s': utf8 %d, literal %d", cases[i].path,
			    address.is_utf8, address.is_literal);
	}
}

static void
nul_bytes_are_no_address(void **state)
{
	struct smtp_address address;
	size_t used;

	(void)state;
	assert_int_equal(
	    parse("<a\0b@c>", 7, &address, &used), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(
	    parse("<a@b\0c>", 7, &address, &used), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(parse("<a@[192.0.2.1\0]>", 16, &address, &used),
	    SMTP_ADDRESS_SYNTAX);
	assert_int_equal(
	    parse("<\"\0\"@b>", 7, &address, &used), SMTP_ADDRESS_SYNTAX);
}

/* Local part of local bytes, a domain of labels of label bytes. */
static enum smtp_address_result
parse_long(size_t local, size_t label, size_t labels)
{
	struct smtp_address address;
	enum smtp_address_result result;
	size_t used, i;
	struct buf path;

	buf_init(&path);
	buf_addc(&path, '<');
	for (i = 0; i < local; i++)
		buf_addc(&path, 'x');
	buf_addc(&path, '@');
	while (labels-- > 0) {
		for (i = 0; i < label; i++)
			buf_addc(&path, 'y');
		buf_addc(&path, labels > 0 ? '.' : '>');
	}
	result = parse(path.data, path.length, &address, &used);
	assert_true(strlen(address.text) <= SMTP_ADDRESS_MAX);
	buf_release(&path);
	return result;
}

#define A10 "\303\244\303\244\303\244\303\244\303\244" /* bytes */

static void
lengths(void **state)
{
	struct smtp_address address;
	size_t used;

	(void)state;
	assert_int_equal(parse_long(64, 63, 2), SMTP_ADDRESS_OK);
	assert_int_equal(parse_long(1, 64, 1), SMTP_ADDRESS_SYNTAX);
	assert_int_equal(parse_long(190, 63, 1), SMTP_ADDRESS_OK);
	/* A U-label of 70 bytes: its A-label is what has to be short. */
	assert_int_equal(
	    parse("<x@" A10 A10 A10 A10 A10 A10 A10 ">", 74, &address, &used),
	    SMTP_ADDRESS_OK);
	assert_int_equal(parse_long(191, 63, 1), SMTP_ADDRESS_TOO_LONG);
	assert_int_equal(parse_long(2000, 63, 1), SMTP_ADDRESS_TOO_LONG);
	assert_int_equal(parse_long(1, 63, 4), SMTP_ADDRESS_TOO_LONG);
	assert_int_equal(parse_long(1, 63, 100), SMTP_ADDRESS_TOO_LONG);
}

static void
without_quotes(void **state)
{
	static const struct {
		const char *text;
		enum smtp_address_result wanted;
		const char *domain;
	} raws[] = {
		{ "", SMTP_ADDRESS_OK, NULL },
		{ "a@b.example", SMTP_ADDRESS_OK, "b.example" },
		{ "postmaster", SMTP_ADDRESS_OK, NULL },
		{ "john \"x\"@c@b", SMTP_ADDRESS_OK, "b" },
		{ "a@[192.0.2.1]", SMTP_ADDRESS_OK, "[192.0.2.1]" },
		{ "\xc3\xbc@b\xc3\xbc", SMTP_ADDRESS_OK, "b\xc3\xbc" },
		{ "a\n@b", SMTP_ADDRESS_SYNTAX, NULL },
		{ "a\x7f@b", SMTP_ADDRESS_SYNTAX, NULL },
		{ "\xff@b", SMTP_ADDRESS_SYNTAX, NULL },
		{ "a@", SMTP_ADDRESS_SYNTAX, NULL },
		{ "@b", SMTP_ADDRESS_SYNTAX, NULL },
		{ "a@b c", SMTP_ADDRESS_SYNTAX, NULL },
		{ "a@-b", SMTP_ADDRESS_SYNTAX, NULL },
		{ "a@b.", SMTP_ADDRESS_SYNTAX, NULL },
		{ "#@[]", SMTP_ADDRESS_SYNTAX, NULL },
	};
	struct smtp_address address;
	char longest[SMTP_ADDRESS_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(raws) / sizeof(*raws); i++) {
		enum smtp_address_result result = smtp_address_read(
		    raws[i].text, strlen(raws[i].text), &address);

		if (result != raws[i].wanted)
			fail_msg("'%s': %d", raws[i].text, (int)result);
		if (result != SMTP_ADDRESS_OK)
			continue;
		assert_string_equal(address.text, raws[i].text);
		if (raws[i].domain == NULL)
			assert_null(address.domain);
		else
			assert_string_equal(address.domain, raws[i].domain);
	}
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(smtp_address_read(longest, SMTP_ADDRESS_MAX, &address),
	    SMTP_ADDRESS_OK);
	assert_int_equal(
	    smtp_address_read(longest, SMTP_ADDRESS_MAX + 1, &address),
	    SMTP_ADDRESS_TOO_LONG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(what_is_noticed),
		cmocka_unit_test(nul_bytes_are_no_address),
		cmocka_unit_test(lengths),
		cmocka_unit_test(without_quotes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
