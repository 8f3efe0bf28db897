/* SPDX-License-Identifier: ISC */
/* Tests of control/bindings.c, control/own_addresses.c and control/network.c.
 */
#include "control/bindings.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "control/network.h"
#include "control/own_addresses.h"
#include "tests/unit/folder.h"

static void
put(const char *name, const char *text)
{
	folder_write(name, text, strlen(text));
}

static struct settings *
load_settings(struct error *err)
{
	put("me", "m.test\n");
	return settings_load(folder, "qmail-remote", NULL, err);
}

static struct bindings *
load(struct error *err)
{
	struct settings *settings = load_settings(err);
	struct bindings *bindings;

	if (settings == NULL)
		return NULL;
	bindings = bindings_new(folder, settings, err);
	settings_free(&settings);
	return bindings;
}

static struct sockaddr_storage
address_of(const char *text)
{
	struct sockaddr_storage address;
	struct network network;

	assert_true(network_read(text, strlen(text), &network));
	assert_true(network_address(&network, 0, &address));
	return address;
}

static const char *
source_text(const struct binding *binding, char text[INET6_ADDRSTRLEN])
{
	const struct sockaddr_in *ip4 = (const void *)&binding->source;
	const struct sockaddr_in6 *ip6 = (const void *)&binding->source;

	if (!binding->has_source)
		return "none";
	return binding->source.ss_family == AF_INET
	    ? inet_ntop(AF_INET, &ip4->sin_addr, text, INET6_ADDRSTRLEN)
	    : inet_ntop(AF_INET6, &ip6->sin6_addr, text, INET6_ADDRSTRLEN);
}

static void
who_counts_most(void **state)
{
	static const struct {
		const char *sender, *domain, *remote, *source, *helo;
	} rows[] = {
		{ "u@s.test", "r.test", "192.0.2.99", "10.0.0.1", "h.test" },
		{ "u@s.test", "b.sub.test", "192.0.2.99", "10.0.0.2",
		    "two.test" },
		{ "u@s.test", "o.test", "198.51.100.7", "10.0.0.4", "h.test" },
		{ "u@s.test", "o.test", "198.51.200.7", "10.0.0.3", "h.test" },
		{ "U@S.test", "o.test", "192.0.2.99", "10.0.1.1", "s.test" },
		{ "v@s.test", "o.test", "192.0.2.99", "10.0.1.2", "s.test" },
		{ "v@z.s.test", "o.test", "192.0.2.99", "10.0.1.3",
		    "z.s.test" },
		{ "v@t.test", "d.test", "192.0.2.99", "10.0.2.1", "h.test" },
		{ "", "o.test", "192.0.2.99", "10.0.3.1", "h.test" },
		{ "", "o.test", "2001:db8::9", "2001:db8::1", "h.test" },
		{ "u@s.test", "r.test", "2001:db8::9", "none", "h.test" },
	};
	struct bindings *bindings;
	struct error err = { "" };

	(void)state;
	put("bindroutes",
	    "r.test:10.0.0.1\n.sub.test:10.0.0.2\n[198.51.0.0/16]:10.0.0.3\n"
	    "[198.51.100.7]:10.0.0.4\n");
	put("domainbindings",
	    "u@s.test:10.0.1.1\ns.test:10.0.1.2\n.s.test:10.0.1.3\n");
	put("outgoingip", "10.0.3.1\n2001:db8::1\n");
	put("outgoingip.d.test", "10.0.2.1\n");
	put("helohost", "h.test\n");
	put("helohostbyip", "10.0.0.2:two.test\n");
	bindings = load(&err);
	if (bindings == NULL)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage remote = address_of(rows[i].remote);
		char text[INET6_ADDRSTRLEN];
		struct binding got;

		bindings_find(bindings, rows[i].sender, rows[i].domain,
		    (struct sockaddr *)&remote, &got);
		if (strcmp(source_text(&got, text), rows[i].source) != 0 ||
		    strcmp(got.helo, rows[i].helo) != 0)
			fail_msg("%s to %s %s: got %s %s, wanted %s %s",
			    rows[i].sender, rows[i].domain, rows[i].remote,
			    source_text(&got, text), got.helo, rows[i].source,
			    rows[i].helo);
	}
	bindings_free(&bindings);
}

static void
as_indimail_writes_addresses(void **state)
{
	static const struct {
		const char *sender, *domain, *remote, *source;
	} rows[] = {
		{ "u@s.test", "o.test", "10.1.2.3", "127.0.0.1" },
		{ "u@s.test", "o.test", "10.2.2.3", "127.0.0.2" },
		{ "u@s.test", "o.test", "192.0.2.25", "127.0.0.3" },
		{ "u@s.test", "free.test", "198.51.100.1", "none" },
		{ "u@s.test", "any.test", "198.51.100.1", "none" },
		{ "u@t.test", "o.test", "198.51.100.1", "none" },
		{ "u@s.test", "o.test", "198.51.100.1", "127.0.0.4" },
	};
	struct bindings *bindings;
	struct error err = { "" };

	(void)state;
	put("bindroutes",
	    "10.:127.0.0.2\n10.1.:127.0.0.1\n192.0.2.25:127.0.0.3\n"
	    "free.test:\nany.test:0.0.0.0\n");
	put("domainbindings", "t.test:\n");
	put("outgoingip", "127.0.0.4\n");
	bindings = load(&err);
	if (bindings == NULL)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage remote = address_of(rows[i].remote);
		char text[INET6_ADDRSTRLEN];
		struct binding got;

		bindings_find(bindings, rows[i].sender, rows[i].domain,
		    (struct sockaddr *)&remote, &got);
		if (strcmp(source_text(&got, text), rows[i].source) != 0)
			fail_msg("%s to %s %s: got %s, wanted %s",
			    rows[i].sender, rows[i].domain, rows[i].remote,
			    source_text(&got, text), rows[i].source);
	}
	bindings_free(&bindings);
}

static void
variables_name_other_files(void **state)
{
	struct sockaddr_storage remote = address_of("192.0.2.1");
	struct sockaddr_storage ours = address_of("127.0.0.9");
	char text[INET6_ADDRSTRLEN];
	struct bindings *bindings;
	struct error err = { "" };
	struct binding got;

	(void)state;
	put("domainbindings", "s.test:127.0.0.1\n");
	put("other", "s.test:127.0.0.2\n");
	put("names", "127.0.0.9:nine.test\n");
	setenv("DOMAINBINDINGS", "other", 1);
	setenv("HELOHOSTBYIP", "names", 1);
	bindings = load(&err);
	assert_non_null(bindings);
	assert_true(bindings_ask_sender(bindings));
	bindings_find(
	    bindings, "u@s.test", "o.test", (struct sockaddr *)&remote, &got);
	assert_string_equal(source_text(&got, text), "127.0.0.2");
	assert_string_equal(
	    bindings_helo(bindings, (struct sockaddr *)&ours), "nine.test");
	assert_null(bindings_helo(bindings, (struct sockaddr *)&remote));
	bindings_free(&bindings);
	put("other", "s.test:127.0.0.2\nbad\n");
	assert_null(load(&err));
	assert_non_null(strstr(err.text, "other:2: "));
	setenv("DOMAINBINDINGS", "absent", 1);
	assert_null(load(&err));
	unsetenv("DOMAINBINDINGS");
	unsetenv("HELOHOSTBYIP");
}

static void
a_pool_is_used_in_turn(void **state)
{
	static const char *const wanted[] = { "10.0.0.1", "10.0.0.2",
		"10.0.0.3", "10.0.0.1" };
	struct sockaddr_storage remote = address_of("192.0.2.1");
	struct bindings *bindings;
	struct error err = { "" };
	unsigned list = 0;

	(void)state;
	put("bindroutes", "r.test:10.0.0.1,2001:db8::1,10.0.0.2,10.0.0.3\n");
	bindings = load(&err);
	assert_non_null(bindings);
	for (size_t i = 0; i < 4; i++) {
		char text[INET6_ADDRSTRLEN];
		struct binding got;

		bindings_find(
		    bindings, "", "r.test", (struct sockaddr *)&remote, &got);
		assert_string_equal(source_text(&got, text), wanted[i]);
		assert_int_not_equal(got.list, 0);
		assert_true(list == 0 || list == got.list);
		list = got.list;
	}
	bindings_free(&bindings);
}

static void
bad_lines(void **state)
{
	static const struct {
		const char *file, *line;
	} rows[] = {
		{ "bindroutes", "r.test" },
		{ "bindroutes", "10.1.2.3.:10.0.0.1" },
		{ "bindroutes", "300.:10.0.0.1" },
		{ "bindroutes", "r.test:10.0.0.1," },
		{ "bindroutes", "r.test:10.0.0.1 10.0.0.2" },
		{ "bindroutes", "r.test:10.0.0.0/8" },
		{ "bindroutes", "[10.0.0.0/33]:10.0.0.1" },
		{ "bindroutes", "[10.0.0.1:10.0.0.1" },
		{ "bindroutes", "[:10.0.0.1" },
		{ "bindroutes", "u@r.test:10.0.0.1" },
		{ "domainbindings", "@r.test:10.0.0.1" },
		{ "domainbindings", "u@:10.0.0.1" },
		{ "outgoingip", "me.test" },
		{ "outgoingip.d.test", "10.0.0.0/8" },
		{ "helohostbyip", "10.0.0.1" },
		{ "helohostbyip", "10.0.0.1:a b" },
		{ "moreipme", "10.0.0.1:25" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		struct bindings *bindings;

		put(rows[i].file, rows[i].line);
		bindings = load(&err);
		if (bindings != NULL || strstr(err.text, rows[i].file) == NULL)
			fail_msg("%s %s: got '%s'", rows[i].file, rows[i].line,
			    err.text);
		put(rows[i].file, "");
	}
}

static void
own_addresses(void **state)
{
	static const struct {
		const char *address;
		int wanted;
	} rows[] = {
		{ "127.0.0.1", 1 },
		{ "127.9.9.9", 0 }, /* notipme */
		{ "::1", 1 },
		{ "0.0.0.0", 1 },
		{ "::ffff:127.0.0.1", 1 },
		{ "198.51.100.15", 1 },
		{ "198.51.100.16", 0 },
		{ "198.51.100.3", 0 },
		{ "2001:db8::5", 1 },
		{ "2001:db9::5", 0 },
	};
	struct error err = { "" };
	struct own_addresses *own;
	struct settings *settings;

	(void)state;
	put("moreipme", "198.51.100.0/28\n2001:db8::/32\n");
	put("notipme", "198.51.100.3\n127.9.0.0/16\n");
	settings = load_settings(&err);
	if (settings == NULL)
		fail_msg("%s", err.text);
	own = own_addresses_new(settings);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage address = address_of(rows[i].address);
		int got = own_addresses_has(
		    own, (struct sockaddr *)&address, &err);

		if (got != rows[i].wanted)
			fail_msg("%s: got %d", rows[i].address, got);
	}
	own_addresses_free(&own);
	settings_free(&settings);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_counts_most),
		TEST(as_indimail_writes_addresses),
		TEST(variables_name_other_files),
		TEST(a_pool_is_used_in_turn),
		TEST(bad_lines),
		TEST(own_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
