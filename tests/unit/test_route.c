/* SPDX-License-Identifier: ISC */
/* Tests of queue/route.c. */
#include "queue/route.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/folder.h"
#include "tests/unit/cluster_file.h"

static struct route *
make_route(const char *rules, struct error *err)
{
	static const char *const files[][2] = {
		{ "me", "me.test\n" },
		{ "locals", "local.test\nMixed.Test\n" },
		{ "percenthack", "gate.test\n" },
		{ "envnoathost", "default.test\n" },
	};
	struct settings *settings;
	struct route *route;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		folder_write(files[i][0], files[i][1], strlen(files[i][1]));
	folder_write("virtualdomains", rules, strlen(rules));
	settings = settings_load(folder, "qmail-send", NULL, err);
	if (settings == NULL)
		fail_msg("%s", err->text);
	route = route_new(settings, err);
	settings_free(&settings);
	return route;
}

struct row {
	const char *recipient;
	char channel;
	const char *wanted;
	const char *stripped; /* as the sender knew it; NULL: wanted */
};

static void
check_rows(const struct route *route, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct buf got = BUF_INIT;
		char channel = route_rewrite(route, rows[i].recipient, &got) ==
			ROUTE_LOCAL
		    ? 'l'
		    : 'r';
		const char *stripped = rows[i].stripped == NULL
		    ? rows[i].wanted
		    : rows[i].stripped;

		if (channel != rows[i].channel ||
		    strcmp(got.data, rows[i].wanted) != 0 ||
		    got.length != strlen(rows[i].wanted) + 1)
			fail_msg("'%s': got %c '%s', wanted %c '%s'",
			    rows[i].recipient, channel, got.data,
			    rows[i].channel, rows[i].wanted);
		if (strcmp(route_strip(route, got.data), stripped) != 0)
			fail_msg("'%s': stripped to '%s', wanted '%s'",
			    got.data, route_strip(route, got.data), stripped);
		buf_release(&got);
	}
}

static void
rules(void **state)
{
	static const struct row rows[] = {
		{ "a@local.test", 'l', "a@local.test", NULL },
		{ "a@LOCAL.TEST", 'l', "a@LOCAL.TEST", NULL },
		{ "a@mixed.test", 'l', "a@mixed.test", NULL },
		{ "a@x.local.test", 'r', "a@x.local.test", NULL },
		{ "a@virtual.test", 'l', "virtual-a@virtual.test",
		    "a@virtual.test" },
		{ "a@VIRTUAL.test", 'l', "virtual-a@VIRTUAL.test",
		    "a@VIRTUAL.test" },
		{ "a@x.virtual.test", 'r', "a@x.virtual.test", NULL },
		{ "a@x.wild.test", 'l', "wild-a@x.wild.test", "a@x.wild.test" },
		{ "a@y.x.wild.test", 'l', "wild-a@y.x.wild.test",
		    "a@y.x.wild.test" },
		{ "a@wild.test", 'r', "a@wild.test", NULL },
		{ "a@not.wild.test", 'r', "a@not.wild.test", NULL },
		{ "boss@virtual.test", 'l', "one-boss@virtual.test",
		    "boss@virtual.test" },
		{ "one@remote.test", 'l', "two-one@remote.test",
		    "one@remote.test" },
		{ "other@remote.test", 'r', "other@remote.test", NULL },
		/* no '@', and several */
		{ "a", 'r', "a@default.test", NULL },
		{ "", 'r', "@default.test", NULL },
		{ "a@b@virtual.test", 'l', "virtual-a@b@virtual.test",
		    "a@b@virtual.test" },
		/* percenthack, once and again */
		{ "a%virtual.test@gate.test", 'l', "virtual-a@virtual.test",
		    "a@virtual.test" },
		{ "a%remote.test@gate.test", 'r', "a@remote.test", NULL },
		{ "a%local.test%GATE.test@gate.test", 'l', "a@local.test",
		    NULL },
		{ "a@gate.test", 'r', "a@gate.test", NULL },
		{ "a%b@local.test", 'l', "a%b@local.test", NULL },
	};
	struct error err = { "" };
	struct route *route = make_route(
	    "virtual.test:virtual\n"
	    ".wild.test:wild\nnot.wild.test:\nboss@virtual.test:one\n"
	    "one@remote.test:two\n",
	    &err);

	(void)state;
	check_rows(route, rows, sizeof(rows) / sizeof(rows[0]));
	route_free(&route);
	assert_null(route);
	route_free(&route);
}

static void
catch_all(void **state)
{
	static const struct row rows[] = {
		{ "a@any.test", 'l', "all-a@any.test", "a@any.test" },
		{ "a@except.test", 'r', "a@except.test", NULL },
		{ "a@local.test", 'l', "a@local.test", NULL },
		{ "a", 'l', "all-a@default.test", "a@default.test" },
	};
	struct error err = { "" };
	struct route *route = make_route(":all\nexcept.test:\n", &err);

	(void)state;
	check_rows(route, rows, sizeof(rows) / sizeof(rows[0]));
	route_free(&route);
}

/* Of the cluster: behind rules for it, in front of those for more. */
static void
clustered(void **state)
{
	static const char *const domains[][2] = { { "c.test", "c.test" },
		{ "alias.test", "c.test" }, { "local.test", "local.test" },
		{ "mine.test", "mine.test" }, { "except.test", "except.test" },
		{ "x.wild.test", "x.wild.test" },
		{ "xn--bcher-kva.test", "b.test" } };
	static const struct row rows[] = {
		{ "a@c.test", 'l', "c.test-a@c.test", "a@c.test" },
		{ "A@C.Test", 'l', "c.test-A@C.Test", "A@C.Test" },
		{ "a@alias.test", 'l', "alias.test-a@alias.test",
		    "a@alias.test" },
		{ "a@x.c.test", 'r', "a@x.c.test", NULL },
		{ "a@local.test", 'l', "a@local.test", NULL },
		{ "a@mine.test", 'l', "own-a@mine.test", "a@mine.test" },
		{ "a@except.test", 'r', "a@except.test", NULL },
		{ "boss@c.test", 'l', "one-boss@c.test", "boss@c.test" },
		{ "a@x.wild.test", 'l', "x.wild.test-a@x.wild.test",
		    "a@x.wild.test" },
		{ "a@b\303\274cher.test", 'l',
		    "xn--bcher-kva.test-a@xn--bcher-kva.test",
		    "a@xn--bcher-kva.test" },
	};
	static const struct row before[] = { { "a@c.test", 'r', "a@c.test",
	    NULL } };
	struct error err = { "" };
	struct route *route = make_route(
	    "mine.test:own\nexcept.test:\nboss@c.test:one\n.wild.test:wild\n",
	    &err);

	(void)state;
	assert_int_equal(
	    route_add_cluster(route, cluster_file_domains(), &err), 0);
	check_rows(route, before, 1);
	cluster_file_write(domains, sizeof(domains) / sizeof(domains[0]));
	check_rows(route, rows, sizeof(rows) / sizeof(rows[0]));
	cluster_file_write(NULL, 0);
	check_rows(route, before, 1);
	route_free(&route);
	folder_write("run/cluster/domains.cdb", "junk", 4);
	route = make_route("", &err);
	assert_int_equal(
	    route_add_cluster(route, cluster_file_domains(), &err), -1);
	route_free(&route);
}

/* A line that counts as it stands, and can be meant so or not. */
static void
odd_rules(void **state)
{
	static const struct {
		const char *line;
		int wanted;
	} rows[] = {
		{ "a.test:a.test", 0 },
		{ ".a.test:a", 0 },
		{ ":alias", 0 },
		{ "a.test:", 0 },
		{ "u@a.test:bob", 0 },
		{ "xn--bcher-kva.test:b\303\274", 0 },
		{ "a.test", -1 },
		{ "<x>:a", -1 },
		{ "@:a", -1 },
		{ "u@:a", -1 },
		{ "a.test:a/b", -1 },
		{ "a.test:a@b", -1 },
		{ "a.test:a:b", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };

		if (route_judge_rule(rows[i].line, &err) != rows[i].wanted ||
		    (*err.text == '\0') != (rows[i].wanted == 0))
			fail_msg("'%s': wanted %d, got '%s'", rows[i].line,
			    rows[i].wanted, err.text);
	}
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rules),
		TEST(catch_all),
		TEST(clustered),
		cmocka_unit_test(odd_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
