/* SPDX-License-Identifier: ISC */
/* Tests of resolver/dns_record.c. */
#include "resolver/dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define RECORD(text)                                            \
	{                                                       \
		(const unsigned char *)(text), sizeof(text) - 1 \
	}

static void
mx(void **state)
{
	static const struct {
		const char *name;
		struct dns_record record;
		const char *host; /* NULL: it is none */
		unsigned preference;
	} rows[] = {
		{ "usual", RECORD("\0\x0a\3mx1\4test\0"), "mx1.test", 10 },
		{ "null MX", RECORD("\0\0\0"), "", 0 },
		{ "large preference", RECORD("\xff\xff\1a\0"), "a", 65535 },
		{ "underscore", RECORD("\0\1\2_a\0"), "_a", 1 },
		{ "a blank in it", RECORD("\0\1\3a b\0"), NULL, 0 },
		{ "a dot in a label", RECORD("\0\1\3a.b\0"), NULL, 0 },
		{ "a control in it", RECORD("\0\1\2\033a\0"), NULL, 0 },
		{ "no end", RECORD("\0\1\1a"), NULL, 0 },
		{ "more behind it", RECORD("\0\1\1a\0x"), NULL, 0 },
		{ "label past the end", RECORD("\0\1\5a\0"), NULL, 0 },
		{ "compressed", RECORD("\0\1\xc0\x0c"), NULL, 0 },
		{ "no name", RECORD("\0\1"), NULL, 0 },
		{ "nothing", RECORD(""), NULL, 0 },
	};
	struct dns_mx found;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is_read = dns_read_mx(&rows[i].record, &found);

		if (is_read != (rows[i].host != NULL))
			fail_msg("%s: read %d", rows[i].name, is_read);
		if (is_read &&
		    (strcmp(found.host, rows[i].host) != 0 ||
			found.preference != rows[i].preference))
			fail_msg("%s: got %u '%s'", rows[i].name,
			    found.preference, found.host);
	}
}

/* The longest name that the DNS has, and one byte more. */
static void
long_names(void **state)
{
	unsigned char data[300];
	struct dns_record record = { data, 0 };
	char name[DNS_NAME_SIZE];
	size_t i;

	(void)state;
	memset(data, 'a', sizeof(data));
	for (i = 0; i < 4; i++)
		data[i * 64] = i < 3 ? 63 : 61;
	data[254] = 0;
	record.length = 255;
	assert_true(dns_read_name(&record, name));
	assert_int_equal(strlen(name), 253);
	data[192] = 63;
	data[256] = 0;
	record.length = 257;
	assert_false(dns_read_name(&record, name));
}

static void
texts(void **state)
{
	const struct dns_record two = RECORD("\3abc\0\2de");
	const struct dns_record cut = RECORD("\3ab"), none = RECORD("");
	struct buf text = BUF_INIT;

	(void)state;
	assert_true(dns_read_text(&two, &text));
	assert_int_equal(text.length, 5);
	assert_memory_equal(text.data, "abcde", 5);
	assert_false(dns_read_text(&cut, &text));
	assert_false(dns_read_text(&none, &text));
	buf_release(&text);
}

static void
addresses(void **state)
{
	const struct dns_record ip4 = RECORD("\x7f\0\0\1"),
				bad = RECORD("\1\2\3\4\5");
	unsigned char bytes[16] = { 0x20, 1, 0x0d, 0xb8, [15] = 0x25 };
	const struct dns_record ip6 = { bytes, sizeof(bytes) };
	struct sockaddr_storage address;
	char name[DNS_NAME_SIZE];

	(void)state;
	assert_true(dns_read_address(&ip4, 25, &address));
	assert_int_equal(address.ss_family, AF_INET);
	assert_int_equal(((struct sockaddr_in *)&address)->sin_port, htons(25));
	dns_reverse_name((struct sockaddr *)&address, name);
	assert_string_equal(name, "1.0.0.127.in-addr.arpa");
	assert_true(dns_read_address(&ip6, 25, &address));
	dns_reverse_name((struct sockaddr *)&address, name);
	assert_string_equal(name,
	    "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
	    "ip6.arpa");
	assert_false(dns_read_address(&bad, 25, &address));
}

static void
tlsa(void **state)
{
	const struct dns_record good = RECORD("\3\1\1\xab"),
				cut = RECORD("\3\1\1");
	struct dns_tlsa found;

	(void)state;
	assert_true(dns_read_tlsa(&good, &found));
	assert_int_equal(found.usage, 3);
	assert_int_equal(found.length, 1);
	assert_int_equal(found.data[0], 0xab);
	assert_false(dns_read_tlsa(&cut, &found));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mx),
		cmocka_unit_test(long_names),
		cmocka_unit_test(texts),
		cmocka_unit_test(addresses),
		cmocka_unit_test(tlsa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
