/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/server/api_answer.c, api_openapi.c and metrics.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "adminsrv/server/api_answer.h"
#include "adminsrv/server/api_openapi.h"
#include "adminsrv/server/command.h"
#include "adminsrv/server/metrics.h"
#include "adminsrv/server/words.h"
#include "base/mem.h"

static void
words_of_a_route(void **state)
{
	static const struct {
		const char *words, *params, *wanted; /* NULL: refused */
	} rows[] = {
		{ "--json", "{}", "--json" },
		{ "-D {d}", "{\"d\":\"a.test\"}", "-D a.test" },
		{ "-D {d}", "{}", NULL },
		{ "{d}", "{\"d\":\"-x\"}", NULL },
		{ "{d}", "{\"d\":\"\"}", NULL },
		{ "{d}", "{\"d\":\"a\\nb\"}", NULL },
		{ "{d}", "{\"d\":\"a b\"}", "\"a b\"" },
		{ "[-q=q] x", "{}", "x" },
		{ "[-q=q] x", "{\"q\":\"-5\"}", "-q -5 x" },
		{ "[-i=i] x", "{\"i\":\"true\"}", "-i x" },
		{ "[-i=i] x", "{\"i\":\"false\"}", "x" },
		{ "[!-n=p] x", "{}", "-n x" },
		{ "[!-n=p] x", "{\"p\":\"s\"}", "x" },
		{ "[--a==a]", "{\"a\":\"-b c\"}", "\"--a=-b c\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(strlist_release) struct strlist list = { .count = 0 };
		AUTO(buf_release) struct buf line = BUF_INIT;
		json_t *params = json_loads(rows[i].params, 0, NULL);
		struct error err;
		int result = api_words(rows[i].words, params, &list, &err);

		json_decref(params);
		if ((result == 0) != (rows[i].wanted != NULL))
			fail_msg("row %zu: %d", i, result);
		if (result == -1)
			continue;
		buf_init(&line);
		words_join(&line, list.items);
		assert_string_equal(line.data, rows[i].wanted);
	}
}

/* Each names a command, and no two are the same. */
static void
routes(void **state)
{
	json_t *document = api_openapi();
	size_t count = 0;
	const char *path;
	json_t *methods;

	(void)state;
	assert_non_null(document);
	for (size_t i = 0; i < api_route_count; i++)
		assert_int_not_equal(
		    command_find(api_routes[i].command), COMMAND_NONE);
	json_object_foreach (json_object_get(document, "paths"), path, methods)
		count += json_object_size(methods);
	assert_int_equal(count, api_route_count);
	json_decref(document);
}

static void
figures(void **state)
{
	static const char status[] =
	    "{\"ok\":true,\"services\":[{\"name\":\"a\\\"\\\\\\nb\",\"ok\":false}"
	    ",{\"ok\":true}],\"queues\":[{\"name\":\"queue1\",\"ok\":true,"
	    "\"backlog\":5,\"commit_latency_us\":1500}],"
	    "\"lookup\":{\"asked\":7,\"database\":\"up\"}}";
	static const char *const wanted[] = {
		"# TYPE mqmail_up gauge\nmqmail_up 1\n",
		"mqmail_service_up{service=\"a\\\"\\\\\\nb\"} 0\n",
		"mqmail_queue_messages{queue=\"queue1\"} 5\n",
		"mqmail_queue_commit_latency_seconds{queue=\"queue1\"} 0.0015\n",
		"mqmail_lookup{figure=\"asked\"} 7\n",
		"mqmail_database_up 1\n",
		"mqmail_node_up{node=\"n1\"} 1\n",
	};
	AUTO(buf_release) struct buf text = BUF_INIT;

	(void)state;
	buf_init(&text);
	assert_int_equal(metrics_write("x", 1, NULL, &text), -1);
	assert_int_equal(metrics_write(status, strlen(status),
			     "[{\"name\":\"n1\",\"is_alive\":true}]", &text),
	    0);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (strstr(text.data, wanted[i]) == NULL)
			fail_msg("no '%s' in '%s'", wanted[i], text.data);
	assert_null(strstr(text.data, "database\""));
	buf_reset(&text);
	assert_int_equal(
	    metrics_write(status, strlen(status), NULL, &text), 0);
	assert_non_null(strstr(text.data, "mqmail_database_up 0\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_of_a_route),
		cmocka_unit_test(routes),
		cmocka_unit_test(figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
