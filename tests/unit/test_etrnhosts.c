/* SPDX-License-Identifier: ISC */
/* control/etrnhosts.c */
#include "control/etrnhosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void
lines(void **state)
{
	static const struct {
		const char *line, *wanted; /* NULL: refused */
	} rows[] = {
		{ "a.example 192.0.2.1 /m", "a.example|192.0.2.1|/m||client" },
		{ "A.Example\t192.0.2.0/24,2001:db8::/32  /m pre- ",
		    "a.example|192.0.2.0/24,2001:db8::/32|/m|pre-|client" },
		{ "a 192.0.2.1 /m - h.example:2525",
		    "a|192.0.2.1|/m||h.example:2525" },
		{ "", NULL },
		{ "a", NULL },
		{ "a 192.0.2.1", NULL },
		{ "a 192.0.2.1 -", "a|192.0.2.1|none||client" },
		{ "a 192.0.2.1 m", NULL },
		{ "a host.example /m", NULL },
		{ "a 192.0.2.1, /m", NULL },
		{ "a , /m", NULL },
		{ "a 192.0.2.0/33 /m", NULL },
		{ "a 192.0.2.1 /m p h more", NULL },
	};
	struct etrnhost host;
	struct error err;
	char got[500];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int result = etrnhost_read(rows[i].line, &host, &err);

		if (result == -1) {
			if (rows[i].wanted != NULL)
				fail_msg("'%s': %s", rows[i].line, err.text);
			continue;
		}
		snprintf(got, sizeof(got), "%s|%s|%s|%s|%s", host.domain,
		    host.networks, host.maildir == NULL ? "none" : host.maildir,
		    host.prefix, host.host == NULL ? "client" : host.host);
		etrnhost_release(&host);
		if (rows[i].wanted == NULL)
			fail_msg("'%s' was taken: %s", rows[i].line, got);
		assert_string_equal(got, rows[i].wanted);
	}
}

static void
who_may_ask(void **state)
{
	static const struct {
		const char *ip;
		bool wanted;
	} rows[] = {
		{ "192.0.2.1", true },
		{ "192.0.2.2", false },
		{ "198.51.100.255", true },
		{ "198.51.101.0", false },
		{ "2001:db8:1::9", true },
		{ "2001:db9::1", false },
		{ "unknown", false },
		{ "", false },
		{ "192.0.2.0/24", false },
	};
	struct etrnhost host;
	struct error err;

	(void)state;
	assert_int_equal(
	    etrnhost_read(
		"a 192.0.2.1,198.51.100.0/24,2001:db8::/32 /m", &host, &err),
	    0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (etrnhost_allows(&host, rows[i].ip) != rows[i].wanted)
			fail_msg("%s", rows[i].ip);
	etrnhost_release(&host);
}

static void
found(void **state)
{
	struct strlist list = { .items = NULL };
	struct etrnhost host;

	(void)state;
	strlist_add(&list, "a.example 192.0.2.1 /a");
	strlist_add(&list, "b.example 192.0.2.1 /b");
	assert_true(etrnhost_find(&list, "B.example", &host));
	assert_string_equal(host.maildir, "/b");
	etrnhost_release(&host);
	assert_false(etrnhost_find(&list, "x.b.example", &host));
	assert_false(etrnhost_find(&list, "", &host));
	strlist_release(&list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(who_may_ask),
		cmocka_unit_test(found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
