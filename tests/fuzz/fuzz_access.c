/* SPDX-License-Identifier: ISC */
/* One access rule in a cdb, or a whole cdb file when the first byte is odd. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/access.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_file(const char *path, bool must_have_rule)
{
	static const char *const addresses[] = { "192.0.2.1", "10.1.2.3",
		"2001:db8::1" };
	struct error err = { "" };
	struct cdbmap *map;
	size_t i, j;

	if (cdbmap_open(path, &map, &err) != 1)
		return;
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct vars vars = VARS_INIT;
		bool is_allowed = false;
		int found = access_check(map, addresses[i], "a.example.org",
		    &vars, &is_allowed, &err);

		assert(found != 0 || (is_allowed && !must_have_rule));
		assert(found != -1 || err.text[0] != '\0');
		for (j = 0; j < vars.count; j++)
			assert(vars.entries[j].name[0] != '\0' &&
			    strchr(vars.entries[j].name, '=') == NULL &&
			    vars.entries[j].value != NULL);
		vars_release(&vars);
	}
	cdbmap_free(&map);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cdbmap_writer *writer;
	struct scratch cdb;
	char *path;

	if (size == 0)
		return 0;
	if (data[0] & 1) {
		scratch_open(&cdb, data + 1, size - 1);
		check_file(cdb.path, false);
		scratch_close(&cdb);
		return 0;
	}
	path = xasprintf("%s/cdb", scratch_dir());
	writer = cdbmap_writer_new(path, NULL);
	cdbmap_writer_add(writer, "", 0, data + 1, size - 1, NULL);
	if (cdbmap_writer_commit(&writer, NULL) == -1)
		abort();
	check_file(path, true);
	free(path);
	return 0;
}
