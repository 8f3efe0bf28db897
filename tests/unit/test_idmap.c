/* SPDX-License-Identifier: ISC */
/* Tests of queue/idmap.c. */
#include "queue/idmap.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
put_get_remove(void **state)
{
	struct idmap map = { .slots = NULL };
	int first, second;

	(void)state;
	assert_false(idmap_has(&map, 1));
	assert_null(idmap_get(&map, 1));
	assert_false(idmap_remove(&map, 1));
	assert_true(idmap_put(&map, 1, &first));
	assert_false(idmap_put(&map, 1, &second));
	assert_ptr_equal(idmap_get(&map, 1), &second);
	assert_true(idmap_put(&map, UINT64_MAX, NULL));
	assert_true(idmap_has(&map, UINT64_MAX));
	assert_false(idmap_has(&map, 0));
	assert_int_equal(map.count, 2);
	assert_true(idmap_remove(&map, 1));
	assert_false(idmap_has(&map, 1));
	idmap_release(&map);
	assert_int_equal(map.count, 0);
	idmap_release(&map);
}

/* Against an array, with keys that collide and a map that grows. */
static void
many(void **state)
{
	enum { KEYS = 3000, STEPS = 200000 };
	static const uint64_t strides[] = { 1, 64, 1 << 20, 4096 };
	static bool has[KEYS];
	size_t s, count;

	(void)state;
	for (s = 0; s < sizeof(strides) / sizeof(strides[0]); s++) {
		struct idmap map = { .slots = NULL };
		unsigned seed = 1;

		memset(has, 0, sizeof(has));
		count = 0;
		for (int i = 0; i < STEPS; i++) {
			int key = rand_r(&seed) % KEYS;
			uint64_t id = (uint64_t)(key + 1) * strides[s];

			if (rand_r(&seed) % 2 == 0) {
				assert_int_equal(
				    idmap_put(&map, id, &has[key]), !has[key]);
				count += !has[key];
				has[key] = true;
			} else {
				assert_int_equal(
				    idmap_remove(&map, id), has[key]);
				count -= has[key];
				has[key] = false;
			}
			assert_int_equal(map.count, count);
		}
		for (int key = 0; key < KEYS; key++) {
			uint64_t id = (uint64_t)(key + 1) * strides[s];

			assert_ptr_equal(
			    idmap_get(&map, id), has[key] ? &has[key] : NULL);
		}
		idmap_release(&map);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_get_remove),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
