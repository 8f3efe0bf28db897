/* SPDX-License-Identifier: ISC */
/* Tests of control/access.c, with the tcprules that operators use. */
#include "control/access.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>

#include "tests/unit/folder.h"

static const char rules[] =
    "# comment\n"
    "127.0.0.1:allow,RELAYCLIENT=\"\"\n"
    "10.0.:allow,RELAYCLIENT=\"@fix.me\",DATABYTES=/100/\n"
    "10.0.0.7:deny\n"
    "1.2.3.37-39:deny\n"
    "10.2-3.:allow,RANGE=\"a,b=c\"\n"
    "=mail.example.org:allow,NAME=\"host\"\n"
    "=.example.org:allow,NAME=\"suffix\"\n"
    "=:allow,NAME=\"any\"\n"
    "192.0.2.1:allow\n"
    "172.16.:deny,WHY=\"because\"\n"
    ":allow,DEFAULT=\"1\"\n";

static void
use_tcprules(const char *text)
{
	char command[600];
	FILE *pipe;

	snprintf(command, sizeof(command), "tcprules %s %s",
	    folder_path("rules.cdb"), folder_path("rules.tmp"));
	pipe = popen(command, "w");
	assert_non_null(pipe);
	fputs(text, pipe);
	assert_int_equal(pclose(pipe), 0);
}

static struct cdbmap *
open_rules(void)
{
	struct error err = { "" };
	struct cdbmap *map;

	if (cdbmap_open(folder_path("rules.cdb"), &map, &err) != 1)
		fail_msg("%s", err.text);
	return map;
}

/* "NAME=value|..." of what was set, in order. */
static void
add_vars(struct buf *text, const struct vars *vars)
{
	for (size_t i = 0; i < vars->count; i++)
		buf_addf(text, "%s=%s|", vars->entries[i].name,
		    vars->entries[i].value);
}

struct row {
	const char *ip, *host;
	int found;
	bool is_allowed;
	const char *vars;
};

static void
check_rows(const struct cdbmap *map, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct vars vars = VARS_INIT;
		struct error err = { "" };
		struct buf got;
		bool is_allowed;
		int found = access_check(
		    map, rows[i].ip, rows[i].host, &vars, &is_allowed, &err);

		buf_init(&got);
		add_vars(&got, &vars);
		if (found != rows[i].found ||
		    is_allowed != rows[i].is_allowed ||
		    strcmp(got.data, rows[i].vars) != 0)
			fail_msg("%s %s: got %d %d '%s' (%s), wanted %d %d "
				 "'%s'",
			    rows[i].ip,
			    rows[i].host != NULL ? rows[i].host : "-", found,
			    is_allowed, got.data, err.text, rows[i].found,
			    rows[i].is_allowed, rows[i].vars);
		buf_release(&got);
		vars_release(&vars);
	}
}

static void
follows_tcprules(void **state)
{
	static const struct row rows[] = {
		{ "127.0.0.1", NULL, 1, true, "RELAYCLIENT=|" },
		{ "127.0.0.2", NULL, 1, true, "DEFAULT=1|" },
		{ "10.0.0.1", NULL, 1, true,
		    "RELAYCLIENT=@fix.me|DATABYTES=100|" },
		{ "10.0.0.7", NULL, 1, false, "" },
		{ "10.1.0.7", NULL, 1, true, "DEFAULT=1|" },
		{ "1.2.3.36", NULL, 1, true, "DEFAULT=1|" },
		{ "1.2.3.37", NULL, 1, false, "" },
		{ "1.2.3.38", NULL, 1, false, "" },
		{ "1.2.3.39", NULL, 1, false, "" },
		{ "1.2.3.3", NULL, 1, true, "DEFAULT=1|" },
		{ "10.3.1.1", NULL, 1, true, "RANGE=a,b=c|" },
		{ "192.0.2.1", NULL, 1, true, "" },
		{ "172.16.9.9", NULL, 1, false, "WHY=because|" },
		{ "4.4.4.4", "mail.example.org", 1, true, "NAME=host|" },
		{ "4.4.4.4", "a.b.example.org", 1, true, "NAME=suffix|" },
		{ "4.4.4.4", "example.org", 1, true, "NAME=any|" },
		{ "4.4.4.4", "localhost", 1, true, "NAME=any|" },
		/* Prefixes come before suffixes, a host's name before both. */
		{ "10.0.9.9", "x.example.org", 1, true,
		    "RELAYCLIENT=@fix.me|DATABYTES=100|" },
		{ "10.0.9.9", "mail.example.org", 1, true, "NAME=host|" },
		{ "10.0.0.7", "mail.example.org", 1, false, "" },
		{ "2001:db8::1", NULL, 1, true, "DEFAULT=1|" },
	};
	struct cdbmap *map;

	(void)state;
	use_tcprules(rules);
	map = open_rules();
	check_rows(map, rows, sizeof(rows) / sizeof(rows[0]));
	cdbmap_free(&map);
}

static void
no_rule_is_allowed(void **state)
{
	static const struct row rows[] = {
		{ "127.0.0.1", NULL, 0, true, "" },
		{ "10.1.2.3", NULL, 1, false, "" },
	};
	struct cdbmap *map;

	(void)state;
	use_tcprules("10.:deny\n");
	map = open_rules();
	check_rows(map, rows, sizeof(rows) / sizeof(rows[0]));
	cdbmap_free(&map);
}

struct record {
	const char *key, *value;
	size_t value_length;
};

static struct cdbmap *
write_records(const struct record *records, size_t count)
{
	struct error err = { "" };
	struct cdbmap_writer *writer = cdbmap_writer_new(
	    folder_path("rules.cdb"), &err);

	for (size_t i = 0; i < count; i++)
		assert_int_equal(cdbmap_writer_add(writer, records[i].key,
				     strlen(records[i].key), records[i].value,
				     records[i].value_length, &err),
		    0);
	assert_int_equal(cdbmap_writer_commit(&writer, &err), 0);
	return open_rules();
}

/* Keys as the tcprules of ucspi-tcp-ipv6 writes them. */
static void
ipv6(void **state)
{
	static const struct record records[] = {
		{ "::1", "+RELAYCLIENT=\0", 14 },
		{ "2001:db8::", "D\0", 2 },
		{ "2001:db8:5:", "+NET=5\0", 7 },
		{ "", "", 0 },
	};
	static const struct row rows[] = {
		{ "::1", NULL, 1, true, "RELAYCLIENT=|" },
		{ "2001:db8::7", NULL, 1, false, "" },
		{ "2001:db8:5::7", NULL, 1, true, "NET=5|" },
		{ "2001:db8:6::7", NULL, 1, true, "" },
		{ "fe80::1", NULL, 1, true, "" },
	};
	struct cdbmap *map;

	(void)state;
	map = write_records(records, sizeof(records) / sizeof(records[0]));
	check_rows(map, rows, sizeof(rows) / sizeof(rows[0]));
	cdbmap_free(&map);
}

static void
damaged_rules(void **state)
{
	static const struct record records[] = {
		{ "1.1.1.1", "D", 1 },
		{ "1.1.1.2", "+A=b", 4 },
		{ "1.1.1.3", "+A\0", 3 },
		{ "1.1.1.4", "+=b\0", 4 },
		{ "1.1.1.5", "Xunknown\0+A=b\0", 14 },
		{ "1.1.1.6", "\0\0", 2 },
	};
	static const struct row rows[] = {
		{ "1.1.1.1", NULL, -1, true, "" },
		{ "1.1.1.2", NULL, -1, true, "" },
		{ "1.1.1.3", NULL, -1, true, "" },
		{ "1.1.1.4", NULL, -1, true, "" },
		{ "1.1.1.5", NULL, 1, true, "A=b|" },
		{ "1.1.1.6", NULL, 1, true, "" },
		{ "1.1.1.7", NULL, 0, true, "" },
	};
	struct cdbmap *map;

	(void)state;
	map = write_records(records, sizeof(records) / sizeof(records[0]));
	check_rows(map, rows, sizeof(rows) / sizeof(rows[0]));
	cdbmap_free(&map);
}

/* A key counts when access_check() finds it for some address. */
static void
keys(void **state)
{
	static const struct {
		const char *key;
		enum access_key wanted;
	} rows[] = {
		{ "", ACCESS_KEY_ADDRESS },
		{ "10.", ACCESS_KEY_ADDRESS },
		{ "10.0.255.", ACCESS_KEY_ADDRESS },
		{ "192.0.2.1", ACCESS_KEY_ADDRESS },
		{ "2001:db8::1", ACCESS_KEY_ADDRESS },
		{ "2001:db8:", ACCESS_KEY_ADDRESS },
		{ "fe80::", ACCESS_KEY_ADDRESS },
		{ "::1", ACCESS_KEY_ADDRESS },
		{ "=", ACCESS_KEY_NAME },
		{ "=mail.test", ACCESS_KEY_NAME },
		{ "joe@10.0.0.1", ACCESS_KEY_NAME },
		{ "10", ACCESS_KEY_NONE },
		{ "10.0", ACCESS_KEY_NONE },
		{ "10.0.0.0/8", ACCESS_KEY_NONE },
		{ "10.*", ACCESS_KEY_NONE },
		{ "010.", ACCESS_KEY_NONE },
		{ "256.", ACCESS_KEY_NONE },
		{ "10..", ACCESS_KEY_NONE },
		{ ".", ACCESS_KEY_NONE },
		{ " 10.", ACCESS_KEY_NONE },
		{ "10.0.0.1.", ACCESS_KEY_NONE },
		{ "2001:DB8:", ACCESS_KEY_NONE },
		{ "2001:db8::/32", ACCESS_KEY_NONE },
		{ "mail.test", ACCESS_KEY_NONE },
		{ "10.10.10.10.10.10.10.10.10.10.10.10.10.10.10.10.10.10.",
		    ACCESS_KEY_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (access_judge_key(rows[i].key) != rows[i].wanted)
			fail_msg("'%s': wanted %d", rows[i].key,
			    (int)rows[i].wanted);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_tcprules),
		cmocka_unit_test(no_rule_is_allowed),
		cmocka_unit_test(ipv6),
		cmocka_unit_test(damaged_rules),
		cmocka_unit_test(keys),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
