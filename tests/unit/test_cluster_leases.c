/* SPDX-License-Identifier: ISC */
/* control/cluster_leases.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/cluster_leases.h"
#include "tests/unit/folder.h"

#define INSTANCE "0190163d-8694-739b-aea5-966c26f8ad91"
#define BOOT "6e0ebd0c-33a4-4c5a-9a4c-a3f6d70ee0d2"

static void
parsing(void **state)
{
	static const struct {
		const char *text;
		int result;
		size_t count;
	} cases[] = {
		{ "node n1 3 5000 " BOOT " " INSTANCE "\n", 0, 0 },
		{ "node n1 0 0 " BOOT " " INSTANCE "\n", 0, 0 },
		{ "node n1 3 5000 " BOOT " " INSTANCE
		  "\nnode 7 5000 /a b/c\ns2 8 1 /d\n",
		    0, 2 },
		{ "", -1, 0 },
		{ "\n", -1, 0 },
		{ "node n1 3 5000 " BOOT "\n", -1, 0 },
		{ "node n1 3 5000 " BOOT " " INSTANCE, -1, 0 },
		{ "node n1 3 5000 " BOOT " " INSTANCE " more\n", -1, 0 },
		{ "nodes n1 3 5000 " BOOT " " INSTANCE "\n", -1, 0 },
		{ "node n1 -3 5000 " BOOT " " INSTANCE "\n", -1, 0 },
		{ "node n1 3 99999999999999999999 " BOOT " " INSTANCE "\n", -1,
		    0 },
		{ "node n1 3 5000 " BOOT " " INSTANCE "\ns1 7 5000\n", -1, 0 },
		{ "node n1 3 5000 " BOOT " " INSTANCE "\ns1 7 5000 \n", -1,
		    0 },
		{ "node n1 3 5000 " BOOT " " INSTANCE "\n\n", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf text = BUF_INIT;
		struct cluster_lease_list list;
		struct error err = { .text = "" };
		int result;

		buf_adds(&text, cases[i].text);
		result = cluster_lease_list_parse(&text, &list, &err);
		if (result != cases[i].result)
			fail_msg("'%s': %d %s", cases[i].text, result,
			    err.text);
		if (result == 0)
			assert_int_equal(list.count, cases[i].count);
		if (list.count == 2 && result == 0) {
			assert_string_equal(list.leases[0].store, "node");
			assert_string_equal(list.leases[0].path, "/a b/c");
			assert_int_equal(list.leases[1].epoch, 8);
			assert_string_equal(list.instance, INSTANCE);
		}
		cluster_lease_list_release(&list);
		buf_release(&text);
	}
}

/* The file with one store, its deadline so far from now. */
static void
write_leases(const char *boot, int64_t left_ms)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	long long deadline_ms = (long long)(clock_boot_ms() + left_ms);

	buf_addf(&text, "node n1 3 %lld %s %s\ns1 7 %lld /srv/s1\n",
	    deadline_ms, boot, INSTANCE, deadline_ms);
	assert_int_equal(file_replace(folder_path("leases"), text.data,
			     text.length, 0644, NULL),
	    0);
}

static void
checking(void **state)
{
	AUTO(cluster_leases_free)
	struct cluster_leases *leases = cluster_leases_new(
	    folder_path("leases"));
	AUTO(buf_release) struct buf path = BUF_INIT;
	char boot[CLUSTER_BOOT_SIZE];
	uint64_t epoch;
	struct error err;

	(void)state;
	assert_int_equal(cluster_boot_id(boot, &err), 0);
	assert_int_equal(cluster_lease_check(leases, "s1", 7, &err), -1);
	write_leases(boot, 10000);
	assert_int_equal(cluster_lease_check(leases, "s1", 7, &err), 1);
	assert_int_equal(cluster_lease_check(leases, "s1", 6, &err), 0);
	assert_int_equal(cluster_lease_check(leases, "s1", 8, &err), 0);
	assert_int_equal(cluster_lease_check(leases, "s2", 7, &err), 0);
	assert_int_equal(
	    cluster_lease_find(leases, "s1", &epoch, &path, &err), 1);
	assert_int_equal(epoch, 7);
	assert_string_equal(path.data, "/srv/s1");
	write_leases(boot, 0);
	assert_int_equal(cluster_lease_check(leases, "s1", 7, &err), -1);
	/* A boot that lasted longer left later deadlines. */
	write_leases(BOOT, 10000);
	assert_int_equal(cluster_lease_check(leases, "s1", 7, &err), -1);
	write_leases(boot, CLUSTER_LEASE_MS + 60000);
	assert_int_equal(cluster_lease_check(leases, "s1", 7, &err), -1);
	write_leases(boot, 10000);
	assert_int_equal(cluster_lease_check(leases, "s1", 7, &err), 1);
	folder_write("leases", "node", 4);
	assert_int_equal(cluster_lease_check(leases, "s1", 7, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing),
		cmocka_unit_test_setup_teardown(
		    checking, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
