/* SPDX-License-Identifier: ISC */
/* lookupd/pg.c: what needs no server; with one, tests/integration/test_33. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lookupd/pg.h"
#include "lookupd/schema.h"

static struct pg *
open_string(const char *conninfo, struct error *err)
{
	const struct pg_options options = { .conninfo = conninfo,
		.program = "test",
		.is_writer = true,
		.connect_ms = 200 };

	return pg_new(&options, err);
}

static void
reads_strings(void **state)
{
	static const struct {
		const char *conninfo, *wanted; /* in the reason; NULL: right */
	} rows[] = {
		{ "", NULL },
		{ "host=a,b port=1,2 dbname=x", NULL },
		{ "host=a,b port=1", NULL },
		{ "host=a hostaddr=127.0.0.1", NULL },
		{ "postgresql://u:p@h1:1,h2:2/db", NULL },
		{ "host=a,b port=1,2,3", "as many" },
		{ "host=a,b hostaddr=127.0.0.1", "as many" },
		{ "password=hunter2 hunter2", "cannot be read" },
		{ "hunter2=hunter2", "cannot be read" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		struct pg *pg = open_string(rows[i].conninfo, &err);

		if ((pg != NULL) != (rows[i].wanted == NULL) ||
		    (rows[i].wanted != NULL &&
			strstr(err.text, rows[i].wanted) == NULL) ||
		    strstr(err.text, "hunter2") != NULL)
			fail_msg("'%s': '%s'", rows[i].conninfo, err.text);
		pg_free(&pg);
	}
}

/* A server that takes connections and says nothing. */
static void
gives_up_the_deaf(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t begun_ms = clock_ms();
	struct error err = { "" };
	OWN_TEXT conninfo = NULL;
	struct pg *pg;

	(void)state;
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(
	    getsockname(fd, (struct sockaddr *)&address, &size), 0);
	conninfo = xasprintf("hostaddr=127.0.0.1,127.0.0.1 port=%u user=x",
	    ntohs(address.sin_port));
	pg = open_string(conninfo, &err);
	assert_int_equal(pg_connect(pg, 60000, &err), PG_UNKNOWN);
	assert_non_null(strstr(err.text, "no answer in time"));
	assert_in_range(clock_ms() - begun_ms, 400, 20000); /* each host */
	assert_false(pg_is_connected(pg));
	pg_free(&pg);
	close(fd);
}

static void
writes_arrays(void **state)
{
	const char *const items[] = { "a", "b\"c", "d\\e", "{,}", "NULL", "" };
	struct buf text;

	(void)state;
	buf_init(&text);
	pg_array(&text, items, 0);
	assert_string_equal(text.data, "{}");
	buf_reset(&text);
	pg_array(&text, items, 6);
	assert_string_equal(
	    text.data, "{\"a\",\"b\\\"c\",\"d\\\\e\",\"{,}\",\"NULL\",\"\"}");
	buf_release(&text);
}

static void
writes_copy_fields(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text);
	pg_copy_field(&text, NULL);
	buf_addc(&text, '|');
	pg_copy_field(&text, "a\\b\tc\nd\re");
	assert_string_equal(text.data, "\\N|a\\\\b\\tc\\nd\\re");
	buf_release(&text);
}

static void
has_each_version(void **state)
{
	(void)state;
	assert_true(schema_newest() >= 1);
	for (int version = 1; version <= schema_newest(); version++)
		assert_int_equal(strncmp(schema_sql(version), "-- SPDX", 7), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_strings),
		cmocka_unit_test(gives_up_the_deaf),
		cmocka_unit_test(writes_arrays),
		cmocka_unit_test(writes_copy_fields),
		cmocka_unit_test(has_each_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
