/* SPDX-License-Identifier: ISC */
/* Tests of base/tls_tickets.c. */
#include "base/tls_tickets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { LIFE_MS = 1000 };

static void
make_key(unsigned number, unsigned char key[TLS_TICKETS_KEY_SIZE])
{
	memset(key, 0, TLS_TICKETS_KEY_SIZE);
	memcpy(key, &number, sizeof(number));
}

static void
put(struct tls_tickets *tickets, unsigned number, const char *text,
    int64_t proven_at_ms)
{
	unsigned char key[TLS_TICKETS_KEY_SIZE];

	make_key(number, key);
	tls_tickets_put(tickets, key, text, strlen(text), proven_at_ms);
}

/* "": there is none. */
static const char *
get(struct tls_tickets *tickets, unsigned number, int64_t now_ms)
{
	static struct buf data = BUF_INIT;
	unsigned char key[TLS_TICKETS_KEY_SIZE];
	int64_t proven_at_ms;

	make_key(number, key);
	buf_release(&data);
	if (tls_tickets_get(tickets, key, now_ms, &data, &proven_at_ms)) {
		assert_true(now_ms - proven_at_ms < LIFE_MS);
		buf_addc(&data, '\0');
		return data.data;
	}
	assert_int_equal(data.length, 0);
	return "";
}

static void
test_kept(void **state)
{
	struct tls_tickets *tickets = tls_tickets_new(LIFE_MS);
	unsigned char key[TLS_TICKETS_KEY_SIZE];

	(void)state;
	assert_string_equal(get(tickets, 1, 0), "");
	put(tickets, 1, "one", 100);
	put(tickets, 2, "two", 200);
	assert_string_equal(get(tickets, 1, 1099), "one");
	put(tickets, 1, "other", 200);
	assert_string_equal(get(tickets, 1, 1199), "other");
	assert_string_equal(get(tickets, 1, 1200), "");
	assert_string_equal(get(tickets, 1, 200), ""); /* it has gone */
	make_key(2, key);
	tls_tickets_drop(tickets, key);
	tls_tickets_drop(tickets, key);
	assert_string_equal(get(tickets, 2, 200), "");
	tls_tickets_free(&tickets);
	tls_tickets_free(&tickets);
}

/* However many there are, and those in use stay. */
static void
test_bounded(void **state)
{
	struct tls_tickets *tickets = tls_tickets_new(LIFE_MS);
	static char text[TLS_TICKET_MAX_BYTES + 2];
	unsigned i, found = 0;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	put(tickets, 0, text, 0);
	assert_string_equal(get(tickets, 0, 0), "");
	text[TLS_TICKET_MAX_BYTES] = '\0';
	for (i = 0; i < 1000; i++) {
		put(tickets, i, text, 0);
		assert_int_equal(
		    strlen(get(tickets, 0, 0)), TLS_TICKET_MAX_BYTES);
	}
	for (i = 0; i < 1000; i++)
		found += *get(tickets, i, 0) != '\0';
	assert_in_range(
	    found, 200, TLS_TICKETS_MAX_BYTES / TLS_TICKET_MAX_BYTES);
	tls_tickets_free(&tickets);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
