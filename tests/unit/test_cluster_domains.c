/* SPDX-License-Identifier: ISC */
/* Tests of control/cluster_domains.c. */
#include "control/cluster_domains.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define FOLDER_IN_MEMORY
#include "tests/unit/folder.h"
#include "tests/unit/cluster_file.h"

enum { THREADS = 4 };

static void
domains_come_go_and_are_replaced(void **state)
{
	static const char *const rows[][2] = { { "c.test", "c.test" },
		{ "alias.test", "c.test" }, { "xn--bcher-kva.test", "b.test" } };
	static const char *const wanted[][2] = { { "c.test", "c.test" },
		{ "C.Test", "c.test" }, { "alias.test", "c.test" },
		{ "b\xc3\xbc" "cher.test", "b.test" } };
	struct cluster_domains *domains = cluster_file_domains();
	struct cluster_domain found;
	struct error err = { "" };

	(void)state;
	unlink(folder_path("run/cluster/domains.cdb"));
	assert_int_equal(cluster_domain_find(domains, "c.test", &found, &err), 0);
	cluster_file_write(rows, 3);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		assert_int_equal(cluster_domain_find(
		    domains, wanted[i][0], &found, &err), 1);
		assert_string_equal(found.name, wanted[i][1]);
		assert_int_equal(strncmp(found.dir, "/n/domains/", 11), 0);
		assert_int_equal(found.uid, 4001);
		assert_int_equal(found.gid, 4002);
		cluster_domain_release(&found);
	}
	assert_int_equal(cluster_domain_find(domains, "x.test", &found, &err), 0);
	assert_int_equal(cluster_domain_find(domains, "", &found, &err), 0);
	cluster_file_write(rows + 1, 1);
	assert_int_equal(cluster_domain_find(domains, "c.test", &found, &err), 0);
	assert_int_equal(
	    cluster_domain_find(domains, "alias.test", &found, &err), 1);
	cluster_domain_release(&found);
	unlink(folder_path("run/cluster/domains.cdb"));
	assert_int_equal(
	    cluster_domain_find(domains, "alias.test", &found, &err), 0);
	cluster_domains_free(&domains);
	assert_null(domains);
	cluster_domains_free(&domains);
}

static void
damage_is_not_absence(void **state)
{
	static const struct {
		const char *value;
		size_t length;
	} rows[] = { { "", 0 }, { "c.test\0/d\0" "1\0" "2", 13 },
		{ "c.test\0d\0" "1\0" "2\0", 13 }, { "c.test\0/d\0x\0" "2\0", 14 },
		{ "\0/d\0" "1\0" "2\0", 8 },
		{ "c.test\0/d\0" "4294967295\0" "2\0", 23 } };
	static const char *const good[][2] = { { "c.test", "c.test" } };
	struct cluster_domains *domains = cluster_file_domains();
	struct cluster_domain found;
	struct error err = { "" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cdbmap_writer *writer;

		cluster_file_write(NULL, 0);
		writer = cdbmap_writer_new(
		    folder_path("run/cluster/domains.cdb"), &err);
		assert_int_equal(cdbmap_writer_add(writer, "c.test", 6,
		    rows[i].value, rows[i].length, &err), 0);
		assert_int_equal(cdbmap_writer_commit(&writer, &err), 0);
		assert_int_equal(
		    cluster_domain_find(domains, "c.test", &found, &err), -1);
	}
	cluster_file_write(good, 1);
	assert_int_equal(cluster_domain_find(domains, "c.test", &found, &err), 1);
	cluster_domain_release(&found);
	folder_write("run/cluster/domains.cdb", "junk", 4);
	/* Who has read one goes on with it. */
	assert_int_equal(cluster_domain_find(domains, "c.test", &found, &err), 1);
	cluster_domain_release(&found);
	cluster_domains_free(&domains);
	domains = cluster_file_domains();
	assert_int_equal(
	    cluster_domain_find(domains, "c.test", &found, &err), -1);
	cluster_domains_free(&domains);
}

struct reading {
	struct cluster_domains *domains;
	atomic_bool is_over;
};

static void *
read_on(void *context)
{
	struct reading *reading = context;

	while (!reading->is_over) {
		struct cluster_domain found;
		struct error err;

		if (cluster_domain_find(
			reading->domains, "c.test", &found, &err) != 1)
			return reading; /* not found */
		cluster_domain_release(&found);
	}
	return NULL;
}

static void
threads_read_while_it_is_replaced(void **state)
{
	static const char *const rows[][2] = { { "c.test", "c.test" } };
	struct reading reading = { .domains = cluster_file_domains() };
	pthread_t threads[THREADS];

	(void)state;
	cluster_file_write(rows, 1);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, read_on, &reading);
	for (unsigned i = 0; i < 50; i++)
		cluster_file_write(rows, 1);
	reading.is_over = true;
	for (unsigned i = 0; i < THREADS; i++) {
		void *fault;

		pthread_join(threads[i], &fault);
		assert_null(fault);
	}
	cluster_domains_free(&reading.domains);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains_come_go_and_are_replaced),
		cmocka_unit_test(damage_is_not_absence),
		cmocka_unit_test(threads_read_while_it_is_replaced),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
