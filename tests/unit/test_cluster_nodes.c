/* SPDX-License-Identifier: ISC */
/* control/cluster_nodes.c */
#include "control/cluster_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/cdbmap.h"
#define FOLDER_IN_MEMORY
#include "tests/unit/folder.h"

#define VALUE(text) text, sizeof(text) - 1

static const struct {
	const char *key, *value;
	size_t length;
} records[] = {
	{ "", VALUE("node1") },
	{ "node1", VALUE("192.0.2.1\0" "2525\0aa,bb\0all\0" "143\0" "110\0" "1") },
	/* with a NUL at the end, too */
	{ "node2", VALUE("n2.example\0" "26\0cc\0store\0" "0\0" "0\0" "0\0") },
	{ "gone", VALUE("192.0.2.3\0" "2525\0\0all\0" "143\0" "110\0" "1") },
	{ "old", VALUE("192.0.2.4\0" "25\0\0legacy\0" "143\0" "110\0" "1") },
};

static void
write_nodes(size_t count)
{
	struct error err = { "" };
	struct cdbmap_writer *writer;

	mkdir(folder_path("run"), 0700);
	mkdir(folder_path("run/cluster"), 0700);
	writer = cdbmap_writer_new(folder_path("run/cluster/nodes.cdb"), &err);
	assert_non_null(writer);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(
		    cdbmap_writer_add(writer, records[i].key,
			strlen(records[i].key), records[i].value,
			records[i].length, &err),
		    0);
	assert_int_equal(cdbmap_writer_commit(&writer, &err), 0);
}

static struct cluster_nodes *
open_nodes(void)
{
	struct home *home = home_at(folder);
	struct cluster_nodes *nodes = cluster_nodes_new(home);

	home_free(&home);
	return nodes;
}

static void
no_cluster(void **state)
{
	struct cluster_nodes *nodes = open_nodes();
	struct cluster_node node = { .name = NULL };
	struct buf name = BUF_INIT;
	struct error err = { "" };

	(void)state;
	assert_int_equal(cluster_node_find(nodes, "node1", &node, &err), 0);
	assert_int_equal(cluster_node_find_pin(nodes, "aa", &node, &err), 0);
	assert_int_equal(cluster_own_name(nodes, &name, &err), 0);
	assert_false(cluster_nodes_have_changed(nodes));
	cluster_nodes_free(&nodes);
}

static void
finds(void **state)
{
	struct cluster_nodes *nodes = open_nodes();
	struct cluster_node node = { .name = NULL };
	struct buf name = BUF_INIT;
	struct error err = { "" };

	(void)state;
	write_nodes(sizeof(records) / sizeof(*records));
	assert_true(cluster_nodes_have_changed(nodes));
	assert_false(cluster_nodes_have_changed(nodes));
	assert_int_equal(cluster_own_name(nodes, &name, &err), 1);
	assert_string_equal(name.data, "node1");
	buf_release(&name);

	assert_int_equal(cluster_node_find(nodes, "node1", &node, &err), 1);
	assert_string_equal(node.name, "node1");
	assert_string_equal(node.host, "192.0.2.1");
	assert_string_equal(node.role, "all");
	assert_int_equal(node.smtp_port, 2525);
	assert_int_equal(node.imap_port, 143);
	assert_int_equal(node.pop3_port, 110);
	assert_int_equal(node.pins.count, 2);
	assert_true(node.is_alive);

	/* what node held is released */
	assert_int_equal(cluster_node_find_pin(nodes, "cc", &node, &err), 1);
	assert_string_equal(node.name, "node2");
	assert_false(node.is_alive);
	assert_int_equal(cluster_node_find_pin(nodes, "bb", &node, &err), 1);
	assert_string_equal(node.name, "node1");
	assert_int_equal(cluster_node_find(nodes, "gone", &node, &err), 1);
	assert_int_equal(node.pins.count, 0);
	cluster_node_release(&node);

	assert_int_equal(cluster_node_find(nodes, "", &node, &err), 0);
	assert_int_equal(cluster_node_find(nodes, "node3", &node, &err), 0);
	assert_int_equal(cluster_node_find_pin(nodes, "", &node, &err), 0);
	assert_int_equal(cluster_node_find_pin(nodes, "aa,bb", &node, &err), 0);
	assert_null(node.name);

	write_nodes(2);
	assert_true(cluster_nodes_have_changed(nodes));
	assert_int_equal(cluster_node_find(nodes, "node2", &node, &err), 0);
	cluster_nodes_free(&nodes);
}

static void
bad_records(void **state)
{
	static const struct {
		const char *value;
		size_t length;
	} rows[] = {
		{ VALUE("") },
		{ VALUE("\0" "25\0aa\0all\0" "1\0" "1\0" "1") },
		{ VALUE("h\0" "25\0aa\0all\0" "1\0" "1") },
		{ VALUE("h\0" "65536\0aa\0all\0" "1\0" "1\0" "1") },
		{ VALUE("h\0" "-1\0aa\0all\0" "1\0" "1\0" "1") },
		{ VALUE("h\0" "25\0aa\0all\0\0" "1\0" "1") },
	};
	struct cluster_node node = { .name = NULL };
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (cluster_node_read("n", 1, rows[i].value, rows[i].length,
			&node, &err) == 0)
			fail_msg("row %zu was taken", i);
		assert_null(node.name);
	}
}

static void
damaged(void **state)
{
	struct cluster_nodes *nodes = open_nodes();
	struct cluster_node node = { .name = NULL };
	struct buf name = BUF_INIT;
	struct error err = { "" };

	(void)state;
	write_nodes(2);
	assert_int_equal(
	    truncate(folder_path("run/cluster/nodes.cdb"), 2060), 0);
	assert_int_equal(cluster_node_find(nodes, "node1", &node, &err), -1);
	assert_non_null(strstr(err.text, "nodes.cdb"));
	assert_int_equal(cluster_node_find_pin(nodes, "aa", &node, &err), -1);
	assert_int_equal(cluster_own_name(nodes, &name, &err), -1);
	assert_null(node.name);
	cluster_nodes_free(&nodes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    no_cluster, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    finds, folder_setup, folder_teardown),
		cmocka_unit_test(bad_records),
		cmocka_unit_test_setup_teardown(
		    damaged, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
