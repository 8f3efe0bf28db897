/* SPDX-License-Identifier: ISC */
/* Tests of svctool/node.c. */
#include "svctool/node.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/child.h"
#include "tests/unit/svc_node.h"

static void
is_there(void **state)
{
	struct error err = { "" };
	char *wanted = xasprintf("no node at '%s' (there is no '%s/control/"
				 "me'): make one with 'svctool init --home %s'"
				 ", or name another with --home",
	    folder, folder, folder);

	(void)state;
	assert_true(node_exists(node, &err));
	assert_string_equal(err.text, "");
	remove(folder_path("control/me"));
	assert_false(node_exists(node, &err));
	assert_string_equal(err.text, wanted);
	free(wanted);
}

static void
look_as_stranger(const void *context)
{
	struct error err = { "" };

	(void)context;
	if (setresgid(65534, 65534, 65534) != 0 ||
	    setresuid(65534, 65534, 65534) != 0)
		_exit(1);
	if (node_is_ours(node, &err))
		_exit(2);
	if (strstr(err.text, "' belongs to user 0: run this as that user") ==
	    NULL)
		_exit(3);
}

static void
is_ours(void **state)
{
	struct error err = { "" };

	(void)state;
	assert_true(node_is_ours(node, &err));
	if (geteuid() == 0)
		assert_int_equal(child_run(look_as_stranger, NULL), 0);
	else
		print_message("not root: cannot be a stranger\n");
	assert_int_equal(file_remove_tree(folder, &err), 0);
	assert_false(node_is_ours(node, &err));
	assert_non_null(strstr(err.text, "cannot look at '"));
	node_free(&node);
}

static void
expect_names(const struct strlist *names, const char *wanted)
{
	struct buf got;

	buf_init(&got);
	for (size_t i = 0; i < names->count; i++)
		buf_addf(&got, "%s ", names->items[i]);
	if (strcmp(got.length > 0 ? got.data : "", wanted) != 0)
		fail_msg("got '%s', wanted '%s'", got.data, wanted);
	buf_release(&got);
}

/* As people count; only what is a folder and not hidden. */
static void
names_of_services_and_queues(void **state)
{
	struct strlist names = { .count = 0 };
	struct error err = { "" };

	(void)state;
	assert_int_equal(node_services(node, &names, &err), 0);
	expect_names(&names, "");
	svc_dir("service/queue10");
	svc_dir("service/queue2");
	svc_dir("service/qmail-smtpd.25");
	svc_dir("service/.new-queue3");
	svc_put("service/README", "");
	assert_int_equal(symlink("nowhere", folder_path("service/dead")), 0);
	assert_int_equal(symlink("queue2", folder_path("service/alive")), 0);
	assert_int_equal(node_services(node, &names, &err), 0);
	expect_names(&names, "alive qmail-smtpd.25 queue2 queue10 ");
	strlist_release(&names);
	svc_dir("queue/queue1");
	names = (struct strlist){ .count = 0 };
	assert_int_equal(node_queues(node, &names, &err), 0);
	expect_names(&names, "queue1 ");
	strlist_release(&names);
}

static void
folders_that_are_missing_or_none(void **state)
{
	struct strlist names = { .count = 0 };
	struct error err = { "" };

	(void)state;
	assert_int_equal(remove(folder_path("service")), 0);
	assert_int_equal(node_services(node, &names, &err), 0);
	assert_int_equal(names.count, 0);
	svc_put("service", "no folder");
	assert_int_equal(node_services(node, &names, &err), -1);
	assert_non_null(strstr(err.text, "cannot read folder '"));
	assert_int_equal(names.count, 0);
}

static void
expect_variable(const char *service, const char *name, const char *wanted)
{
	char *value = node_variable(node, service, name);

	assert_string_equal(value, wanted);
	free(value);
}

static void
variables(void **state)
{
	char *value;

	(void)state;
	svc_put("service/s/variables/A", "value \t\nmore\n");
	svc_put("service/s/variables/EMPTY", "");
	svc_put("control/global_vars/G", "global\n");
	expect_variable("s", "A", "value");
	expect_variable("s", "EMPTY", "");
	expect_variable("s", "NONE", "");
	expect_variable("none", "A", "");
	expect_variable("s", "G", "");
	value = node_global_variable(node, "G");
	assert_string_equal(value, "global");
	free(value);
	assert_null(node_global_variable(node, "NONE"));
}

static void
listeners_by_name(void **state)
{
	(void)state;
	assert_true(node_is_listener("qmail-smtpd.25"));
	assert_true(node_is_listener("qmail-smtpd."));
	assert_false(node_is_listener("qmail-smtpd"));
	assert_false(node_is_listener("xqmail-smtpd.25"));
	assert_false(node_is_listener("queue1"));
	assert_false(node_is_listener(""));
}

/* Paths of the node are not those where svctool finds them. */
static void
with_destdir(void **state)
{
	struct error err = { "" };
	struct node *other;
	char *path;

	(void)state;
	other = node_new("/n", folder, &err);
	assert_non_null(other);
	assert_string_equal(other->home->control, "/n/control");
	path = node_path(other, "%s/%d", other->home->control, 7);
	assert_string_equal(path, folder_path("n/control/7") /* below it */);
	free(path);
	node_free(&other);
	assert_null(other);
	node_free(&other);
	assert_null(node_new("/n", folder_path("none"), &err));
	assert_non_null(strstr(err.text, "of --destdir"));
}

/* They name other folders, which svctool and what it runs then use. */
static void
global_vars_are_taken_over(void **state)
{
	struct error err = { "" };
	struct node *other;

	(void)state;
	svc_put("control/global_vars/DOMAINDIR", "elsewhere\n");
	other = node_new(folder, NULL, &err);
	assert_non_null(other);
	assert_string_equal(other->home->domains, folder_path("elsewhere"));
	assert_string_equal(getenv("MQMAIL_HOME"), folder);
	assert_string_equal(getenv("DOMAINDIR"), "elsewhere");
	node_free(&other);
	unsetenv("DOMAINDIR");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(is_there),
		cmocka_unit_test_setup(is_ours, svc_setup),
		SVC_TEST(names_of_services_and_queues),
		SVC_TEST(folders_that_are_missing_or_none),
		SVC_TEST(variables),
		SVC_TEST(listeners_by_name),
		SVC_TEST(with_destdir),
		SVC_TEST(global_vars_are_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
