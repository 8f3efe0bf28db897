/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/place.c. */
#include "svctool/run/place.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "svctool/run/run_script.h"
#include "tests/unit/svc_node.h"

static void
word(void **state)
{
	static const struct {
		const char *script, *mark, *wanted;
	} rows[] = {
		{ "", "envdir ", NULL },
		{ "exec envdir", "envdir ", NULL },
		{ "exec envdir ", "envdir ", NULL },
		{ "exec envdir ./vars x", "envdir ", NULL },
		{ "exec envdir ./vars\n/x", "envdir ", NULL },
		{ "exec envdir '/a b' envdir '/c'", "envdir ", "/a b" },
		{ "exec envdir '/it'\\''s' x", "envdir ", "/it's" },
		{ "exec envdir '/open", "envdir ", "/open" },
		{ "exec multilog t n20 /log/x\n", "multilog ", "/log/x" },
		{ "exec multilog t s1 '/log/x'\n", "multilog ", "/log/x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = place_word(rows[i].script, rows[i].mark);

		if ((got == NULL) != (rows[i].wanted == NULL) ||
		    (got != NULL && strcmp(got, rows[i].wanted) != 0))
			fail_msg("'%s': got '%s', wanted '%s'", rows[i].script,
			    got != NULL ? got : "none",
			    rows[i].wanted != NULL ? rows[i].wanted : "none");
		free(got);
	}
}

/* Scripts as svctool makes them, for a node at home. */
static void
put_scripts(const char *home)
{
	char vars[300], log[300];
	struct buf text;

	snprintf(vars, sizeof(vars), "%s/control/global_vars", home);
	snprintf(log, sizeof(log), "%s/log/qmail-smtpd.25", home);
	buf_init(&text);
	run_script_listener(&text, vars, "/bin", "qmail-smtpd", "/p");
	svc_put("service/qmail-smtpd.25/run", text.data);
	buf_release(&text);
	run_script_log(&text, NULL, log);
	svc_put("service/qmail-smtpd.25/log/run", text.data);
	buf_release(&text);
	snprintf(vars, sizeof(vars), "%s\n", home);
	svc_put("control/global_vars/MQMAIL_HOME", vars);
}

static void
count(const char *file, const char *other, void *context)
{
	(void)file;
	(void)other;
	++*(unsigned *)context;
}

static unsigned
count_found(void)
{
	unsigned found = 0;

	place_find(node, count, &found);
	return found;
}

static void
places(void **state)
{
	char other[300];
	struct error err = { "" };

	(void)state;
	assert_true(place_is_right(node, &err)); /* nothing says where */
	put_scripts(folder);
	svc_dir("log/qmail-smtpd.25");
	assert_true(place_is_right(node, &err));
	/* The same by another name */
	snprintf(other, sizeof(other), "%s/alias/link", folder);
	assert_int_equal(symlink(folder, other), 0);
	put_scripts(other);
	assert_int_equal(count_found(), 0);
	put_scripts("/nonexistent/node");
	assert_int_equal(count_found(), 3);
	assert_false(place_is_right(node, &err));
	assert_non_null(
	    strstr(err.text, "MQMAIL_HOME' names '/nonexistent/node'"));
	/* What the operator wrote may name what it likes. */
	snprintf(other, sizeof(other), "%s/service/x", folder);
	assert_int_equal(
	    rename(folder_path("service/qmail-smtpd.25"), other), 0);
	assert_int_equal(count_found(), 1);
}

/* A node may be made there exactly when its queue's sockets may. */
static void
lengths(void **state)
{
	char root[200] = "/";
	struct error err;

	(void)state;
	for (size_t length = 70; length < 100; length++) {
		struct node *there;
		char path[300];
		bool fits;

		memset(root + 1, 'x', length - 1);
		root[length] = '\0';
		there = node_new(root, NULL, &err);
		assert_non_null(there);
		snprintf(
		    path, sizeof(path), "%s/queue/queue12/lock/intake", root);
		fits = place_fits_queue(there, "queue12", &err);
		assert_int_equal(fits, strlen(path) <= PACKET_PATH_MAX);
		if (!fits) {
			assert_non_null(
			    strstr(err.text, "may have 81 at most"));
			assert_int_equal(packet_listen(path, 0600, &err), -1);
			assert_non_null(strstr(err.text, "is over 107 bytes"));
		}
		node_free(&there);
	}
	setenv("MQMAIL_HOME", folder, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(word),
		SVC_TEST(places),
		SVC_TEST(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
