/* SPDX-License-Identifier: ISC */
/* A cdb of numbers, and a map of it.  Include after cmocka.h. */
#ifndef TESTS_UNIT_NUMBERS_CDB_H
#define TESTS_UNIT_NUMBERS_CDB_H

#include <stdio.h>
#include <string.h>

#include "control/cdbmap.h"

static inline void
write_numbers(const char *path, unsigned count)
{
	struct error err = { "" };
	struct cdbmap_writer *writer = cdbmap_writer_new(path, &err);

	assert_non_null(writer);
	for (unsigned i = 0; i < count; i++) {
		char key[16], value[16];
		int n = snprintf(key, sizeof(key), "key%u", i);

		snprintf(value, sizeof(value), "value%u", i);
		assert_int_equal(cdbmap_writer_add(writer, key, (size_t)n,
				     value, strlen(value), &err),
		    0);
	}
	assert_int_equal(cdbmap_writer_commit(&writer, &err), 0);
	assert_null(writer);
}

static inline struct cdbmap *
open_map(const char *path)
{
	struct error err = { "" };
	struct cdbmap *map;

	if (cdbmap_open(path, &map, &err) != 1)
		fail_msg("%s", err.text);
	return map;
}

#endif
