/* SPDX-License-Identifier: ISC */
/* Tests of control/smtproutes.c. */
#include "control/smtproutes.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tests/unit/folder.h"

static void
put(const char *name, const char *text)
{
	folder_write(name, text, strlen(text));
}

/* A route in one text. */
static char *
route_text(const struct smtproute *route)
{
	static const char *const transports[] = { "smtp", "lmtp", "qmtp" };

	return xasprintf("%s%s %s%s%s %u %d %d %s:%s%s%s%s%s%s%s%s",
	    transports[route->transport], route->has_tls_first ? "+tls" : "",
	    route->is_address ? "[" : "", route->host,
	    route->is_address ? "]" : "", route->port, route->penalty,
	    route->tolerance_s, route->user, route->secret,
	    route->asks_sender ? " /s" : "", route->asks_recipient ? " /r" : "",
	    route->asks_for[0] != '\0' ? " /a" : "",
	    route->mechanism[0] != '\0' ? " by " : "", route->mechanism,
	    route->needs_tls_for_auth ? " secure" : "", route->source);
}

static void
good_lines(void **state)
{
	static const struct {
		const char *line;
		bool is_qmtp;
		const char *key, *wanted;
	} rows[] = {
		{ "example.org:relay.example.net", false, "example.org",
		    "smtp relay.example.net 25 -1 -1 :" },
		{ "Example.ORG:Relay.Example.NET:587", false, "example.org",
		    "smtp relay.example.net 587 -1 -1 :" },
		{ ".b\xc3\xbc"
		  "cher.example:b\xc3\xbc"
		  "cher.example",
		    false, ".xn--bcher-kva.example",
		    "smtp xn--bcher-kva.example 25 -1 -1 :" },
		{ ":192.0.2.1", false, "", "smtp [192.0.2.1] 25 -1 -1 :" },
		{ ":[192.0.2.1]:2525", false, "",
		    "smtp [192.0.2.1] 2525 -1 -1 :" },
		{ "a.b:[2001:DB8:0::1]:26", false, "a.b",
		    "smtp [2001:db8::1] 26 -1 -1 :" },
		{ "a.b:[IPv6:::1]", false, "a.b", "smtp [::1] 25 -1 -1 :" },
		{ "!@:bounces.example.net", false, "!@",
		    "smtp bounces.example.net 25 -1 -1 :" },
		{ "a.b:", false, "a.b", "smtp  25 -1 -1 :" },
		{ "a.b::2525", false, "a.b", "smtp  2525 -1 -1 :" },
		{ "a.b:h/s", false, "a.b", "smtp+tls h 465 -1 -1 :" },
		{ "a.b:h:465", false, "a.b", "smtp+tls h 465 -1 -1 :" },
		{ "a.b:h/s:1465", false, "a.b", "smtp+tls h 1465 -1 -1 :" },
		{ "a.b:h/l", false, "a.b", "lmtp h 24 -1 -1 :" },
		{ "a.b:h:25:0:60", false, "a.b", "smtp h 25 0 60 :" },
		{ "a.b:h::7", false, "a.b", "smtp h 25 7 -1 :" },
		{ "a.b:h:::9", false, "a.b", "smtp h 25 -1 9 :" },
		{ "a.b:h:: u p", false, "a.b", "smtp h 25 -1 -1 u:p" },
		{ "a.b:h:587 user@x  pass:w/rd ", false, "a.b",
		    "smtp h 587 -1 -1 user@x:pass:w/rd" },
		{ "a.b:h /s", false, "a.b", "smtp h 25 -1 -1 : /s" },
		{ "a.b:h /r ", false, "a.b", "smtp h 25 -1 -1 : /r" },
		{ "a.b:h /u@a.b", false, "a.b", "smtp h 25 -1 -1 : /a" },
		{ "Joe@A.b:h", false, "joe@a.b", "smtp h 25 -1 -1 :" },
		{ "a,b!c@A.b:h", false, "a,b!c@a.b", "smtp h 25 -1 -1 :" },
		{ "joe@b\xc3\xbc"
		  "cher.example:",
		    true, "joe@xn--bcher-kva.example", "qmtp  209 -1 -1 :" },
		{ "a.b:h u p AUTH_SMTP=login", false, "a.b",
		    "smtp h 25 -1 -1 u:p by LOGIN" },
		{ "a.b:h u p AUTH_SMTP=1,SECURE_AUTH=1", false, "a.b",
		    "smtp h 25 -1 -1 u:p secure" },
		{ "a.b:h u p OUTGOINGIP=[2001:DB8::1],MIN_PENALTY=3 "
		  "MAX_TOLERANCE=4",
		    false, "a.b", "smtp h 25 3 4 u:p2001:db8::1" },
		{ "a.b:h u |/bin/t AUTH_SMTP=XOAUTH2", false, "a.b",
		    "smtp h 25 -1 -1 u:|/bin/t by XOAUTH2" },
		{ "a.b:h", true, "a.b", "qmtp h 209 -1 -1 :" },
		{ "a.b:h/s", true, "a.b", "qmtp+tls h 6209 -1 -1 :" },
		{ "a.b:h:6209", true, "a.b", "qmtp+tls h 6209 -1 -1 :" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct smtproute route;
		struct error err = { "" };
		char key[SMTPROUTE_KEY_SIZE];
		char *got;

		if (smtproute_read(
			rows[i].line, rows[i].is_qmtp, key, &route, &err) == -1)
			fail_msg("%s: %s", rows[i].line, err.text);
		got = route_text(&route);
		if (strcmp(got, rows[i].wanted) != 0 ||
		    strcmp(key, rows[i].key) != 0)
			fail_msg("%s: got '%s' '%s', wanted '%s' '%s'",
			    rows[i].line, key, got, rows[i].key,
			    rows[i].wanted);
		free(got);
	}
}

static void
bad_lines(void **state)
{
	static const struct {
		const char *line;
		bool is_qmtp;
		const char *wanted;
	} rows[] = {
		{ "example.org", false, "has no ':'" },
		{ "a b:h", false, "is not a domain" },
		{ "@a.b:h", false, "is not a domain" },
		{ "u@:h", false, "is not a domain" },
		{ "u@.a.b:h", false, "is not a domain" },
		{ "u@a,b:h", false, "is not a domain" },
		{ "a.b:2001:db8::1", false, "is not a p" },
		{ "a.b:[2001:db8::1", false, "is not a host" },
		{ "a.b:[300.0.0.1]", false, "is not a host" },
		{ "a.b:.h", false, "is not a host" },
		{ "a.b:h/x", false, "no kind behind" },
		{ "a.b:h/l", true, "no kind behind" },
		{ "a.b:h:0x", false, "is not a port" },
		{ "a.b:h:65536", false, "is not a port" },
		{ "a.b:h:1:x", false, "is not a penalty" },
		{ "a.b:h:1:2:3:4", false, "too many ':'" },
		{ "a.b:h user", false, "not USER PASSWORD" },
		{ "a.b:h user secret VAR=1", false, "no variable of a route" },
		{ "a.b:h user my secret", false, "no variable of a route" },
		{ "a.b:h user p AUTH_SMTP=secret", false, "AUTH_SMTP" },
		{ "a.b:h user p AUTH_SMTP", false, "AUTH_SMTP" },
		{ "a.b:h user p OUTGOINGIP=10.0.0.0/8", false, "OUTGOINGIP" },
		{ "a.b:h user p MIN_PENALTY=secret", false, "MIN_PENALTY" },
		{ "a.b:h /r secret", false, "not USER PASSWORD" },
		{ "a.b:h /u@a.b secret", false, "not USER PASSWORD" },
		{ "a.b:h /x", false, "not USER PASSWORD" },
		{ "a.b:h user secret", true, "no authentication" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct smtproute route;
		struct error err = { "" };
		char key[SMTPROUTE_KEY_SIZE];

		if (smtproute_read(rows[i].line, rows[i].is_qmtp, key, &route,
			&err) != -1 ||
		    strstr(err.text, rows[i].wanted) == NULL ||
		    strstr(err.text, "; ") == NULL ||
		    strstr(err.text, "secret") != NULL)
			fail_msg("%s: got '%s', wanted '%s'", rows[i].line,
			    err.text, rows[i].wanted);
	}
}

static struct smtproutes *
load(struct error *err)
{
	struct settings *settings;
	struct smtproutes *routes;

	put("me", "m.test\n");
	settings = settings_load(folder, "qmail-remote", NULL, err);
	if (settings == NULL)
		fail_msg("%s", err->text);
	routes = smtproutes_new(folder, settings, err);
	settings_free(&settings);
	return routes;
}

struct row {
	const char *domain, *sender, *wanted; /* NULL: none */
	const char *recipient;                /* or NULL */
};

static void
check_rows(
    const struct smtproutes *routes, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct smtproute route;
		struct error err = { "" };
		int found = smtproutes_find(routes, rows[i].domain,
		    rows[i].sender, rows[i].recipient, &route, &err);
		char *got = xasprintf(
		    "%s %s:%s", route.host, route.user, route.secret);

		if (found != (rows[i].wanted != NULL) ||
		    strcmp(got, found == 1 ? rows[i].wanted : " :") != 0)
			fail_msg("%s from %s: got %d '%s' (%s), wanted '%s'",
			    rows[i].domain, rows[i].sender, found, got,
			    err.text, rows[i].wanted);
		free(got);
	}
}

static void
the_longest_key_wins(void **state)
{
	static const struct row rows[] = {
		{ "a.test", "x@y", "one :", NULL },
		{ "b.a.test", "x@y", "suffix :", NULL },
		{ "d.c.a.test", "x@y", "suffix :", NULL },
		{ "q.test", "x@y", "qmtp :", NULL },
		{ "other.test", "x@y", "rest :", NULL },
		{ "mx.test", "x@y", " :", NULL },
		{ "a.test", "", "bounces :", NULL },
		{ "a.test", NULL, "one :", NULL },
		{ "more.test", "x@y", "more :", NULL },
		{ "z.more.test", "x@y", "moresuffix :", NULL },
	};
	struct smtproutes *routes;
	struct error err = { "" };

	(void)state;
	put("smtproutes",
	    "# routes\n\n:rest\na.test:one\na.test:two\n.a.test:suffix\n"
	    "q.test:smtp\nmx.test:\n!@:bounces\n");
	put("qmtproutes", "q.test:qmtp\n");
	put("moresmtproutes", "More.test:more\n.more.test:moresuffix\n");
	assert_int_equal(smtproutes_compile(folder, "moresmtproutes", &err), 0);
	routes = load(&err);
	assert_non_null(routes);
	check_rows(routes, rows, sizeof(rows) / sizeof(rows[0]));
	smtproutes_free(&routes);
}

static void
without_routes_there_is_none(void **state)
{
	static const struct row rows[] = {
		{ "a.test", "", NULL, NULL },
		{ "a.test", "x@y", NULL, NULL },
	};
	struct error err = { "" };
	struct smtproutes *routes = load(&err);

	(void)state;
	check_rows(routes, rows, sizeof(rows) / sizeof(rows[0]));
	smtproutes_free(&routes);
}

static void
a_variable_takes_the_place_of_all(void **state)
{
	static const struct row rows[] = {
		{ "a.test", "x@y", "var :", NULL },
		{ "more.test", "x@y", NULL, NULL },
	};
	struct smtproutes *routes;
	struct error err = { "" };

	(void)state;
	put("smtproutes", ":rest\n");
	put("moresmtproutes", "more.test:more\n");
	assert_int_equal(smtproutes_compile(folder, "moresmtproutes", &err), 0);
	setenv("SMTPROUTE", "a.test:var:26", 1);
	routes = load(&err);
	unsetenv("SMTPROUTE");
	check_rows(routes, rows, sizeof(rows) / sizeof(rows[0]));
	smtproutes_free(&routes);
}

static void
credentials_of_the_sender(void **state)
{
	static const struct row rows[] = {
		{ "a.test", "joe@x.test", "relay joe:one", NULL },
		{ "a.test", "JOE@X.test", "relay joe:one", NULL },
		{ "a.test", "sales-eu@x.test", "relay s:two", NULL },
		{ "a.test", "sale@x.test", "relay :", NULL },
		{ "a.test", NULL, "relay :", NULL },
		{ "b.test", "nobody@x.test", "relay joe:one", NULL },
	};
	struct smtproutes *routes;
	struct error err = { "" };

	(void)state;
	put("smtproutes", "a.test:relay /s\nb.test:relay /joe@x.test\n");
	put("remote_auth", "joe@x.test joe one\nsales-* s two\n");
	assert_int_equal(smtproutes_compile(folder, "remote_auth", &err), 0);
	routes = load(&err);
	check_rows(routes, rows, sizeof(rows) / sizeof(rows[0]));
	smtproutes_free(&routes);
}

static void
routes_of_recipients(void **state)
{
	static const struct row rows[] = {
		{ "a.test", "x@y", "vip :", "VIP@A.test" },
		{ "a.test", "x@y", "one :", "other@a.test" },
		{ "a.test", "x@y", "one :", NULL },
		{ "a.test", "", "bounces :", "vip@a.test" },
		{ "more.test", "x@y", "moreone :", "joe@more.test" },
		{ "more.test", "x@y", NULL, "jim@more.test" },
		{ "q.test", "x@y", "qvip :", "vip@q.test" },
		{ "r.test", "x@y", "relay joe:one", "joe@x.test" },
		{ "r.test", "x@y", "relay :", "jim@x.test" },
		{ "r.test", "x@y", "relay :", NULL },
	};
	static const struct {
		const char *domain;
		int wanted;
	} asks[] = { { "a.test", 1 }, { "more.test", 1 }, { "q.test", 1 },
		{ "r.test", 1 }, { "s.test", 0 }, { "none.test", 0 },
		{ "@a.test", 0 } };
	struct smtproutes *routes;
	struct error err = { "" };

	(void)state;
	put("smtproutes",
	    "a.test:one\nvip@a.test:vip\n!@:bounces\nr.test:relay /r\n"
	    "s.test:relay /s\n");
	put("qmtproutes", "vip@q.test:qvip\n");
	put("moresmtproutes", "Joe@More.test:moreone\n");
	put("remote_auth", "joe@x.test joe one\n");
	assert_int_equal(smtproutes_compile(folder, "moresmtproutes", &err), 0);
	assert_int_equal(smtproutes_compile(folder, "remote_auth", &err), 0);
	routes = load(&err);
	assert_non_null(routes);
	check_rows(routes, rows, sizeof(rows) / sizeof(rows[0]));
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
		if (smtproutes_ask_recipient(routes, asks[i].domain) !=
		    asks[i].wanted)
			fail_msg("%s", asks[i].domain);
	smtproutes_free(&routes);
}

static void
bounces_by_the_recipient_make_all_domains_ask(void **state)
{
	struct error err = { "" };
	struct smtproutes *routes;

	(void)state;
	put("smtproutes", "!@:relay /r\n");
	routes = load(&err);
	assert_int_equal(smtproutes_ask_recipient(routes, "any.test"), 1);
	smtproutes_free(&routes);
}

static void
it_is_told_where_a_route_stands(void **state)
{
	static const struct {
		const char *domain, *recipient, *wanted;
	} rows[] = {
		{ "b.a.test", NULL, "smtproutes, line for '.a.test'" },
		{ "more.test", NULL,
		    "moresmtproutes.cdb, line for 'more.test'" },
		{ "c.test", "u@c.test", "qmtproutes, line for 'u@c.test'" },
		{ "c.test", NULL, "" },
	};
	struct smtproutes *routes;
	struct error err = { "" };

	(void)state;
	put("smtproutes", ".a.test:one\n");
	put("qmtproutes", "u@c.test:one\n");
	put("moresmtproutes", "more.test:more\n");
	assert_int_equal(smtproutes_compile(folder, "moresmtproutes", &err), 0);
	routes = load(&err);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct smtproute route;

		smtproutes_find(routes, rows[i].domain, "x@y",
		    rows[i].recipient, &route, &err);
		assert_string_equal(route.found_in, rows[i].wanted);
	}
	smtproutes_free(&routes);
}

static void
lines_in_a_variable(void **state)
{
	static const struct row rows[] = {
		{ "a.test", "x@y", "one :", NULL },
		{ "b.test", "x@y", "two u:p", NULL },
		{ "more.test", "x@y", NULL, NULL },
	};
	static const struct row first[] = { { "a.test", "x@y", "var :", NULL },
		{ "b.test", "x@y", NULL, NULL } };
	struct smtproutes *routes;
	struct error err = { "" };

	(void)state;
	put("smtproutes", ":rest\n");
	put("moresmtproutes", "more.test:more\n");
	assert_int_equal(smtproutes_compile(folder, "moresmtproutes", &err), 0);
	setenv("SMTPROUTES", "b.test:two u p\na.test:one", 1);
	routes = load(&err);
	check_rows(routes, rows, sizeof(rows) / sizeof(rows[0]));
	smtproutes_free(&routes);
	setenv("SMTPROUTE", "a.test:var", 1);
	routes = load(&err);
	check_rows(routes, first, 2);
	smtproutes_free(&routes);
	unsetenv("SMTPROUTE");
	setenv("SMTPROUTES", "a.test:one\nbad", 1);
	routes = load(&err);
	unsetenv("SMTPROUTES");
	assert_null(routes);
	assert_non_null(strstr(err.text, "variable SMTPROUTES"));
}

static void
variables_of_credentials(void **state)
{
	struct smtproutes *routes;
	struct smtproute route;
	struct error err = { "" };

	(void)state;
	put("smtproutes", "a.test:relay /s\n");
	put("remote_auth", "joe@x.test joe one AUTH_SMTP=PLAIN\n");
	assert_int_equal(smtproutes_compile(folder, "remote_auth", &err), 0);
	routes = load(&err);
	assert_int_equal(
	    smtproutes_find(routes, "a.test", "joe@x.test", NULL, &route, &err),
	    1);
	assert_string_equal(route.mechanism, "PLAIN");
	smtproutes_free(&routes);
	put("remote_auth", "joe@x.test joe one VAR=1\n");
	assert_int_equal(smtproutes_compile(folder, "remote_auth", &err), -1);
}

static void
where_users_are_placed_is_refused(void **state)
{
	static const char *const refused[] = { "smtp", "qmtp", "dynamic",
		"any" };
	struct settings *settings;
	struct error err = { "" };

	(void)state;
	put("me", "m.test\n");
	for (size_t i = 0; i < 4; i++) {
		setenv("ROUTES", refused[i], 1);
		settings = settings_load(folder, "qmail-remote", NULL, &err);
		assert_null(settings);
		assert_non_null(strstr(err.text, "; write static"));
	}
	setenv("ROUTES", "static", 1);
	settings = settings_load(folder, "qmail-remote", NULL, &err);
	unsetenv("ROUTES");
	assert_non_null(settings);
	settings_free(&settings);
}

static void
a_damaged_file_is_not_absence(void **state)
{
	struct smtproutes *routes;
	struct smtproute route;
	struct error err = { "" };

	(void)state;
	routes = load(&err);
	put("moresmtproutes.cdb", "no cdb");
	assert_int_equal(
	    smtproutes_find(routes, "a.test", "x@y", NULL, &route, &err), -1);
	smtproutes_free(&routes);
	routes = load(&err);
	assert_null(routes);
	assert_non_null(strstr(err.text, "moresmtproutes.cdb"));
}

static void
a_bad_text_leaves_the_old_file(void **state)
{
	static const struct row rows[] = { { "a.test", "x@y", "one :", NULL } };
	struct smtproutes *routes;
	struct error err = { "" };

	(void)state;
	put("smtproutes", "a.test:one\n");
	assert_int_equal(smtproutes_compile(folder, "smtproutes", &err), 0);
	put("smtproutes", "a.test:two\nbad\n");
	assert_int_equal(smtproutes_compile(folder, "smtproutes", &err), -1);
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(err.text, "smtproutes:2: "));
	put("smtproutes", "");
	routes = load(&err);
	check_rows(routes, rows, 1);
	smtproutes_free(&routes);
	put("remote_auth", "joe@x.test joe\n");
	assert_int_equal(smtproutes_compile(folder, "remote_auth", &err), -1);
	assert_int_equal(errno, EINVAL);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines),
		cmocka_unit_test(bad_lines),
		TEST(the_longest_key_wins),
		TEST(without_routes_there_is_none),
		TEST(a_variable_takes_the_place_of_all),
		TEST(credentials_of_the_sender),
		TEST(routes_of_recipients),
		TEST(bounces_by_the_recipient_make_all_domains_ask),
		TEST(it_is_told_where_a_route_stands),
		TEST(lines_in_a_variable),
		TEST(variables_of_credentials),
		TEST(where_users_are_placed_is_refused),
		TEST(a_damaged_file_is_not_absence),
		TEST(a_bad_text_leaves_the_old_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
