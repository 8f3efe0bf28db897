/* SPDX-License-Identifier: ISC */
/* cluster/materialize.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/materialize.h"
#include "control/cdbmap.h"
#include "tests/unit/folder.h"

static void
assert_value(const char *name, const char *key, const char *value,
    size_t length)
{
	AUTO(cdbmap_free) struct cdbmap *map = NULL;
	AUTO(buf_release) struct buf got = BUF_INIT;
	struct error err;

	assert_int_equal(cdbmap_open(folder_path(name), &map, &err), 1);
	assert_int_equal(cdbmap_get(map, key, strlen(key), &got, &err), 1);
	assert_int_equal(got.length, length);
	assert_memory_equal(got.data, value, length);
}
#define ASSERT_VALUE(name, key, value) \
	assert_value(name, key, value, sizeof(value) - 1)

static void
domains(void **state)
{
	static const struct materialize_domain all[] = {
		{ "a.test", "a.test", "/srv/domains/a.test", 89, 90 },
		{ "alias.test", "a.test", "/srv/domains/a.test", 89, 90 },
	};
	struct error err;

	(void)state;
	assert_int_equal(
	    materialize_domains(folder_path("domains.cdb"), all, 2, &err), 0);
	ASSERT_VALUE(
	    "domains.cdb", "a.test", "a.test\0/srv/domains/a.test\00089\00090\0");
	ASSERT_VALUE("domains.cdb", "alias.test",
	    "a.test\0/srv/domains/a.test\00089\00090\0");
	assert_int_equal(
	    materialize_domains(folder_path("no/domains.cdb"), all, 2, &err),
	    -1);
}

static void
nodes(void **state)
{
	char *items[] = { (char[]){ "ab" }, (char[]){ "cd" }, NULL };
	const struct strlist pins = { items, 2 }, none = { NULL, 0 };
	const struct materialize_node all[] = {
		{ "n1", "192.0.2.1", "all", 2525, 143, 110, &pins, true },
		{ "n2", "n2.test", "front", 2526, 0, 0, &none, false },
	};
	struct error err;

	(void)state;
	assert_int_equal(
	    materialize_nodes(folder_path("nodes.cdb"), "n1", all, 2, &err),
	    0);
	ASSERT_VALUE("nodes.cdb", "", "n1");
	ASSERT_VALUE(
	    "nodes.cdb", "n1", "192.0.2.1\0002525\0ab,cd\0all\000143\000110\0001");
	ASSERT_VALUE(
	    "nodes.cdb", "n2", "n2.test\0002526\0\0front\0000\0000\0000");
}

static void
leases(void **state)
{
	struct cluster_lease held[] = { { "s1", "/srv/a b", 7, 5000 } };
	const struct cluster_lease_list list = { .node = "n1",
		.boot = "boot",
		.instance = "me",
		.node_epoch = 3,
		.node_deadline_ms = 5001,
		.leases = held,
		.count = 1 };
	struct cluster_lease_list got;
	struct error err;

	(void)state;
	assert_int_equal(
	    materialize_leases(folder_path("leases"), &list, &err), 0);
	assert_int_equal(
	    cluster_lease_list_read(folder_path("leases"), &got, &err), 1);
	assert_string_equal(got.node, "n1");
	assert_string_equal(got.instance, "me");
	assert_int_equal(got.node_epoch, 3);
	assert_int_equal(got.node_deadline_ms, 5001);
	assert_int_equal(got.count, 1);
	assert_string_equal(got.leases[0].path, "/srv/a b");
	assert_int_equal(got.leases[0].deadline_ms, 5000);
	cluster_lease_list_release(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    domains, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    nodes, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    leases, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
