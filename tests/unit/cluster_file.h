/* SPDX-License-Identifier: ISC */
/* run/cluster/domains.cdb of a test's folder.  Include after tests/unit/folder.h. */
#ifndef TESTS_UNIT_CLUSTER_FILE_H
#define TESTS_UNIT_CLUSTER_FILE_H

#include <sys/stat.h>

#include "control/cdbmap.h"
#include "control/cluster_domains.h"

/* Rows of a domain and its real domain, whose folder is /n/domains/REAL. */
static inline void
cluster_file_write(const char *const rows[][2], size_t count)
{
	struct error err = { "" };
	struct cdbmap_writer *writer;

	mkdir(folder_path("run"), 0755);
	mkdir(folder_path("run/cluster"), 0755);
	writer = cdbmap_writer_new(
	    folder_path("run/cluster/domains.cdb"), &err);
	assert_non_null(writer);
	for (size_t i = 0; i < count; i++) {
		struct buf value = BUF_INIT;
		char dir[64];

		snprintf(dir, sizeof(dir), "/n/domains/%s", rows[i][1]);
		cluster_domain_put(&value, rows[i][1], dir, 4001, 4002);
		assert_int_equal(
		    cdbmap_writer_add(writer, rows[i][0], strlen(rows[i][0]),
			value.data, value.length, &err),
		    0);
		buf_release(&value);
	}
	assert_int_equal(cdbmap_writer_commit(&writer, &err), 0);
}

static inline struct cluster_domains *
cluster_file_domains(void)
{
	struct home *home = home_at(folder);
	struct cluster_domains *domains = cluster_domains_new(home);

	home_free(&home);
	return domains;
}

#endif
