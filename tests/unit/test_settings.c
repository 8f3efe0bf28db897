/* SPDX-License-Identifier: ISC */
/* Tests of control/settings.c; single values are in test_setting_check.c. */
#include "control/settings.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/folder.h"

static int
fresh(void **state)
{
	for (unsigned id = 0; id < SETTING_COUNT; id++)
		if (*setting_rows[id].env != '\0')
			unsetenv(setting_rows[id].env);
	return folder_setup(state);
}

static void
put(const char *name, const char *text)
{
	folder_write(name, text, strlen(text));
}

static struct settings *
must_load(const char *program, const char *instance)
{
	struct error err = { "" };
	struct settings *settings = settings_load(
	    folder, program, instance, &err);

	if (settings == NULL)
		fail_msg("cannot load: %s", err.text);
	return settings;
}

static void
must_fail(const char *name, const char *program, const char *wanted)
{
	struct error err = { "" };

	if (settings_load(folder, program, NULL, &err) != NULL)
		fail_msg("%s: loaded, wanted '%s'", name, wanted);
	if (strstr(err.text, wanted) == NULL)
		fail_msg("%s: got '%s', wanted '%s'", name, err.text, wanted);
}

/* Every default passes the checks that a file would have to. */
static bool
is_of_remote_delivery(const struct setting_row *row)
{
	return strstr(row->readers, "qmail-remote") != NULL;
}

static void
table_is_consistent(void **state)
{
	(void)state;
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = &setting_rows[id];
		struct error err = { "" };
		enum setting_id found;

		if (strcmp(row->standard, "me") != 0 &&
		    *row->standard != '\0' &&
		    settings_check_value(id, row->standard, &err) == -1)
			fail_msg("%s: %s", row->name, err.text);
		assert_true(row->min <= row->max);
		assert_true(*row->unit != '\0' && *row->readers != '\0');
		if (strstr(row->text, "Takes effect") == NULL)
			fail_msg("%s: when does it take effect?", row->name);
		/* The environment has no lines: one takes the place of all. */
		assert_true(row->type != SETTING_LIST || *row->env == '\0' ||
		    is_of_remote_delivery(row));
		assert_true(settings_find(row->name, &found));
		assert_int_equal(found, id);
	}
}

static void
defaults(void **state)
{
	struct settings *settings;
	const struct strlist *locals;

	(void)state;
	put("me", "mail.example.org\n");
	settings = must_load(NULL, NULL);
	assert_int_equal(settings_number(settings, SETTING_databytes), 0);
	assert_int_equal(
	    settings_number(settings, SETTING_queuelifetime), 604800);
	assert_int_equal(settings_number(settings, SETTING_min_free), 52428800);
	assert_false(settings_flag(settings, SETTING_holdlocal));
	assert_string_equal(
	    settings_text(settings, SETTING_bouncefrom), "MAILER-DAEMON");
	assert_string_equal(
	    settings_text(settings, SETTING_bouncehost), "mail.example.org");
	assert_string_equal(settings_text(settings, SETTING_queue_base), "");
	assert_string_equal(settings_text(settings, SETTING_fromenvrules),
	    folder_path("from.envrules"));
	assert_false(settings_is_set(settings, SETTING_fromenvrules));
	locals = settings_list(settings, SETTING_locals);
	assert_int_equal(locals->count, 1);
	assert_string_equal(locals->items[0], "mail.example.org");
	assert_null(locals->items[1]);
	assert_false(settings_is_set(settings, SETTING_locals));
	assert_string_equal(
	    settings_source(settings, SETTING_locals), "default");
	assert_int_equal(settings_list(settings, SETTING_rcpthosts)->count, 0);
	assert_int_equal(settings_list(settings, SETTING_rcpthosts)->count, 0);
	assert_true(settings_is_set(settings, SETTING_me));
	assert_string_equal(
	    settings_source(settings, SETTING_me), folder_path("me"));
	settings_free(&settings);
	assert_null(settings);
	settings_free(&settings);
}

static void
texts_and_lists(void **state)
{
	static const struct {
		const char *name, *text, *wanted; /* items with | between */
	} rows[] = {
		{ "one line", "a.test\n", "a.test|" },
		{ "no newline", "a.test", "a.test|" },
		{ "blanks at the end", "a.test \t\r\nb.test\n",
		    "a.test|b.test|" },
		{ "comments", "#x\na.test\n\n  \n#y\nb.test",
		    "a.test|b.test|" },
		{ "empty file", "", "" },
		{ "only a newline", "\n", "" },
		{ "twice the same", "a.test\na.test\n", "a.test|a.test|" },
		{ "suffix", ".a.test\n", ".a.test|" },
		{ "nine", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1|2|3|4|5|6|7|8|9|" },
	};

	(void)state;
	put("me", "m.test ignored-is-not\n");
	must_fail("blank in me", NULL, "/me:1: 'm.test ignored-is-not' is not");
	put("me", "m.test \nsecond line\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings *settings;
		const struct strlist *list;
		struct buf got;

		buf_init(&got);
		put("rcpthosts", rows[i].text);
		settings = must_load("qmail-smtpd", NULL);
		list = settings_list(settings, SETTING_rcpthosts);
		for (size_t j = 0; j < list->count; j++)
			buf_addf(&got, "%s|", list->items[j]);
		if (strcmp(got.data, rows[i].wanted) != 0)
			fail_msg("%s: got '%s', wanted '%s'", rows[i].name,
			    got.data, rows[i].wanted);
		assert_true(
		    list->count == 0 || list->items[list->count] == NULL);
		assert_true(settings_is_set(settings, SETTING_rcpthosts));
		assert_string_equal(
		    settings_text(settings, SETTING_me), "m.test");
		buf_release(&got);
		settings_free(&settings);
	}
}

static void
bad_files(void **state)
{
	static const struct {
		const char *file, *text;
		size_t length; /* 0: of the text */
		const char *wanted;
	} rows[] = {
		{ "databytes", "12x\n", 0,
		    "/databytes:1: '12x' is not a "
		    "number of bytes; write a whole number, for example "
		    "10485760" },
		{ "databytes", "", 0, "'' is not a number of bytes" },
		{ "databytes", "-1\n", 0, "'-1' is not a number" },
		{ "databytes", " 1\n", 0, "' 1' is not a number" },
		{ "databytes", "99999999999999999999\n", 0,
		    "is out of range; "
		    "write a number from 0 to 9223372036854775807" },
		{ "queue_count", "0\n", 0,
		    "/queue_count:1: '0' is out of "
		    "range; write a number from 1 to 128" },
		{ "queue_count", "129", 0, "'129' is out of range" },
		{ "queue_start", "a", 0, "'a' is not a number; write" },
		{ "maxhops",
		    "9\0"
		    "9\n",
		    4, "/maxhops:1: a NUL byte" },
		{ "holdlocal", "yes\n", 0,
		    "/holdlocal:1: 'yes' is neither 0 "
		    "nor 1; write 1 for yes or 0 for no" },
		{ "holdlocal", "", 0, "'' is neither 0 nor 1" },
		{ "me", "\n", 0, "/me:1: is empty; write a host in it" },
		{ "bouncehost", "a b\n", 0,
		    "'a b' is not a host name; write "
		    "for example mail.example.org" },
		{ "bouncesubject", "a\001b\n", 0,
		    "has a control character at byte 2" },
		{ "locals", "a.test\n\nuser@b.test\n", 0,
		    "/locals:3: "
		    "'user@b.test' is not a domain; write for example "
		    "example.org" },
		{ "locals", ".\n", 0, "/locals:1: '.' is not a domain" },
		{ "locals", "a.test\nb\0.test\n", 15, "/locals:2: a NUL byte" },
		{ "virtualdomains", "#\na.test\n", 0,
		    "/virtualdomains:2: "
		    "'a.test' is not a virtual domain; write for example "
		    "example.org:example.org" },
		{ "queue_base", "queue\n", 0,
		    "/queue_base:1: 'queue' is not "
		    "an absolute path; begin it with /" },
		{ "extraqueue", "archive\n", 0,
		    "'archive' is not a mailbox; "
		    "write for example archive@example.org" },
		{ "doublebounceto", "a@b", 0, "'a@b' is not a local part" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put("me", "m.test\n");
		folder_write(rows[i].file, rows[i].text,
		    rows[i].length != 0 ? rows[i].length
					: strlen(rows[i].text));
		must_fail(rows[i].file, NULL, rows[i].wanted);
		assert_int_equal(unlink(folder_path(rows[i].file)), 0);
	}
}

static void
long_lines(void **state)
{
	char line[1100];

	(void)state;
	put("me", "m.test\n");
	memset(line, 'a', sizeof(line));
	folder_write("locals", line, 255);
	{
		struct settings *settings = must_load(NULL, NULL);

		settings_free(&settings);
	}
	folder_write("locals", line, 256);
	must_fail("long line", NULL, "...' has 256 bytes; the most is 255");
	put("locals", "");
	folder_write("databytes", line, sizeof(line));
	must_fail("long number", NULL, "aaa...' is not a number");
}

static void
unreadable_files(void **state)
{
	(void)state;
	must_fail("no me", NULL,
	    "/me: no such file; write this node's host "
	    "name in it, for example mail.example.org");
	/* A folder is unreadable for root, too. */
	put("me", "m.test\n");
	assert_int_equal(mkdir(folder_path("rcpthosts"), 0755), 0);
	must_fail("folder", NULL, "cannot read '");
}

static void
me_is_needed_only_by_who_uses_it(void **state)
{
	struct settings *settings = must_load("qmail-queue", NULL);

	(void)state;
	assert_int_equal(settings_number(settings, SETTING_queue_count), 1);
	settings_free(&settings);
	must_fail("reader of bouncehost", "qmail-send", "/me: no such file");
}

static void
readers(void **state)
{
	struct settings *settings;

	(void)state;
	put("me", "m.test\n");
	put("holdlocal", "x\n");
	settings = must_load("qmail-smtpd", NULL);
	assert_int_equal(settings_number(settings, SETTING_maxhops), 100);
	settings_free(&settings);
	must_fail("its reader", "qmail-send", "/holdlocal:1:");
	/* Neither part of a name nor two names are a reader. */
	settings = must_load("qmail", NULL);
	settings_free(&settings);
	settings = must_load("send", NULL);
	settings_free(&settings);
}

static void
variables(void **state)
{
	struct settings *settings;

	(void)state;
	put("me", "m.test\n");
	put("databytes", "100\n");
	put("queue_count", "nonsense\n"); /* hidden by the variable */
	setenv("DATABYTES", "200", 1);
	setenv("QUEUE_COUNT", "5", 1);
	setenv("FROMRULES", "fromrules", 1);
	setenv("DOMAINQUEUE", "/etc/dq", 1);
	settings = must_load(NULL, NULL);
	assert_int_equal(settings_number(settings, SETTING_databytes), 200);
	assert_string_equal(
	    settings_source(settings, SETTING_databytes), "variable DATABYTES");
	assert_true(settings_is_set(settings, SETTING_databytes));
	assert_int_equal(settings_number(settings, SETTING_queue_count), 5);
	assert_string_equal(settings_text(settings, SETTING_fromenvrules),
	    folder_path("fromrules"));
	assert_string_equal(
	    settings_text(settings, SETTING_domainqueue), "/etc/dq");
	assert_true(settings_is_set(settings, SETTING_domainqueue));
	settings_free(&settings);
	setenv("DATABYTES", "", 1);
	must_fail("empty variable", NULL,
	    "variable DATABYTES: '' is not a number of bytes");
	setenv("DATABYTES", "9M", 1);
	must_fail("bad variable", NULL,
	    "variable DATABYTES: '9M' is not a number of bytes");
}

static void
rule_files(void **state)
{
	struct settings *settings;

	(void)state;
	put("me", "m.test\n");
	/* Rules are not a value: this line would be no path's name. */
	put("domainqueue", "*:QUEUEDIR=/x\n");
	settings = must_load("qmail-smtpd", NULL);
	assert_string_equal(settings_text(settings, SETTING_domainqueue),
	    folder_path("domainqueue"));
	assert_true(settings_is_set(settings, SETTING_domainqueue));
	assert_string_equal(settings_source(settings, SETTING_domainqueue),
	    folder_path("domainqueue"));
	settings_free(&settings);
}

static void
instances(void **state)
{
	static const struct {
		const char *name, *file, *instance;
		unsigned wanted;
	} rows[] = {
		{ "general", NULL, "queue1", 11 },
		{ "short name", "concurrencyl.queue1", "queue1", 21 },
		{ "full name wins", "concurrencylocal.queue1", "queue1", 31 },
		{ "another queue", NULL, "queue2", 11 },
		{ "no instance", NULL, NULL, 11 },
		{ "extra queue", "concurrencyl.slowq", "slowq", 61 },
	};

	(void)state;
	put("me", "m.test\n");
	put("concurrencylocal", "11\n");
	put("concurrencyr.queue1", "7\n");
	put("databytes.queue1", "bad, and nobody's\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char number[16];
		struct settings *settings;
		uint64_t got;

		snprintf(number, sizeof(number), "%u\n", rows[i].wanted);
		if (rows[i].file != NULL)
			put(rows[i].file, number);
		settings = must_load(NULL, rows[i].instance);
		got = settings_number(settings, SETTING_concurrencylocal);
		if (got != rows[i].wanted)
			fail_msg("%s: got %u, wanted %u", rows[i].name,
			    (unsigned)got, rows[i].wanted);
		if (i == 0)
			assert_int_equal(settings_number(settings,
					     SETTING_concurrencyremote),
			    7);
		settings_free(&settings);
	}
	put("concurrencylocal.queue2", "x\n");
	{
		struct error err = { "" };

		assert_null(settings_load(folder, NULL, "queue2", &err));
		assert_non_null(
		    strstr(err.text, "/concurrencylocal.queue2:1: 'x'"));
		assert_null(settings_load(folder, NULL, "../queue2", &err));
		assert_non_null(strstr(err.text, "is not a queue's name"));
	}
}

struct reports {
	unsigned count;
	enum setting_id ids[8];
	char last[512];
};

static void
keep_report(enum setting_id id, const char *reason, void *context)
{
	struct reports *reports = context;

	assert_true(reports->count < 8);
	reports->ids[reports->count++] = id;
	snprintf(reports->last, sizeof(reports->last), "%s", reason);
}

static void
all_errors_are_reported(void **state)
{
	struct reports reports = { .count = 0 };
	struct settings *settings;

	(void)state;
	put("maxhops", "x\n");
	put("locals", "a.test\nb c\n");
	put("holdremote", "1\n");
	settings = settings_load_all(folder, NULL, keep_report, &reports);
	assert_non_null(settings);
	assert_int_equal(reports.count, 3);
	assert_int_equal(reports.ids[0], SETTING_me);
	assert_int_equal(reports.ids[1], SETTING_locals);
	assert_int_equal(reports.ids[2], SETTING_maxhops);
	assert_non_null(strstr(reports.last, "/maxhops:1: 'x'"));
	assert_int_equal(settings_number(settings, SETTING_maxhops), 100);
	assert_true(settings_flag(settings, SETTING_holdremote));
	assert_int_equal(settings_list(settings, SETTING_locals)->count, 0);
	assert_string_equal(settings_text(settings, SETTING_bouncehost), "");
	settings_free(&settings);

	put("me", "m.test\n");
	reports.count = 0;
	settings = settings_load_all(folder, NULL, keep_report, &reports);
	assert_int_equal(reports.count, 2);
	assert_string_equal(
	    settings_list(settings, SETTING_locals)->items[0], "m.test");
	assert_false(settings_is_set(settings, SETTING_locals));
	settings_free(&settings);
}

static void
unknown_name(void **state)
{
	enum setting_id id;

	(void)state;
	assert_false(settings_find("databyte", &id));
	assert_false(settings_find("", &id));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, folder_teardown)

/* U-labels of the files are A-labels inside; the rest of a line stays. */
static void
domains_have_one_spelling(void **state)
{
	static const char *const virtual[] = { "xn--bcher-kva.test:b\303\274",
		".xn--bcher-kva.test:x@\303\274:y",
		"\303\274@xn--bcher-kva.test:p", ":\303\274",
		"Example.test:Example.test", "\342\230\225.test:x",
		"\303\274@:p" };
	const struct strlist *list;
	struct settings *settings;

	(void)state;
	put("me", "mail.b\303\274cher.test\n");
	put("rcpthosts", "Example.test\nb\303\274cher.test\n");
	put("virtualdomains",
	    "b\303\274cher.test:b\303\274\n"
	    ".B\303\274cher.test:x@\303\274:y\n"
	    "\303\274@b\303\274cher.test:p\n:\303\274\n"
	    "Example.test:Example.test\n\342\230\225.test:x\n"
	    "\303\274@:p\n");
	put("smtpgreeting", "b\303\274cher.test\n");
	settings = must_load(NULL, NULL);
	assert_string_equal(
	    settings_text(settings, SETTING_me), "mail.xn--bcher-kva.test");
	list = settings_list(settings, SETTING_locals);
	assert_string_equal(list->items[0], "mail.xn--bcher-kva.test");
	list = settings_list(settings, SETTING_rcpthosts);
	assert_string_equal(list->items[0], "Example.test");
	assert_string_equal(list->items[1], "xn--bcher-kva.test");
	list = settings_list(settings, SETTING_virtualdomains);
	assert_int_equal(list->count, sizeof(virtual) / sizeof(*virtual));
	for (size_t i = 0; i < list->count; i++)
		assert_string_equal(list->items[i], virtual[i]);
	list = settings_list(settings, SETTING_smtpgreeting);
	assert_string_equal(list->items[0], "b\303\274cher.test");
	settings_free(&settings);
}

static void
see_value(unsigned line, const char *value, void *context)
{
	buf_addf(context, "%u=%s|", line, value);
}

static void
see_fault(unsigned line, const char *reason, void *context)
{
	buf_addf(context, "%u!%.6s|", line, reason);
}

/* As it is loaded, but behind bad lines, too. */
static void
walks_behind_bad_lines(void **state)
{
	static const struct {
		enum setting_id id;
		const char *text, *wanted;
	} rows[] = {
		{ SETTING_locals, "", "" },
		{ SETTING_locals, "\n\n", "" },
		{ SETTING_locals, "a", "1=a|" },
		{ SETTING_locals, "# a\n\nb \t\r\nc\n", "3=b|4=c|" },
		{ SETTING_locals, "a\n#", "1=a|" },
		{ SETTING_locals, "a b\nc\nd e\n", "1!'a b' |2=c|3!'d e' |" },
		{ SETTING_locals, "b\303\274cher.test\n",
		    "1=xn--bcher-kva.test|" },
		{ SETTING_queue_count, "2\nx\n", "1=2|" },
		{ SETTING_queue_count, "x\n2\n", "1!'x' is|" },
	};
	struct buf got;
	const struct setting_visitor visitor = { see_value, see_fault, &got };
	struct error err;

	(void)state;
	buf_init(&got);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_reset(&got);
		put("walked", rows[i].text);
		assert_int_equal(settings_walk(rows[i].id,
				     folder_path("walked"), &visitor, &err),
		    1);
		assert_string_equal(
		    got.length > 0 ? got.data : "", rows[i].wanted);
	}
	assert_int_equal(
	    settings_walk(SETTING_me, folder_path("none"), &visitor, &err), 0);
	assert_int_equal(settings_walk(SETTING_me, folder, &visitor, &err), -1);
	buf_release(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(table_is_consistent),
		TEST(walks_behind_bad_lines),
		TEST(defaults),
		TEST(texts_and_lists),
		TEST(domains_have_one_spelling),
		TEST(bad_files),
		TEST(long_lines),
		TEST(unreadable_files),
		TEST(me_is_needed_only_by_who_uses_it),
		TEST(readers),
		TEST(variables),
		TEST(rule_files),
		TEST(instances),
		TEST(all_errors_are_reported),
		TEST(unknown_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
