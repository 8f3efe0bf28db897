/* SPDX-License-Identifier: ISC */
/* Tests of base/arena.h. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Every allocation is aligned, and none overlaps another. */
static void
test_alloc(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 8, 15, 16, 17, 100, 1000, 1024,
		4095, 4096, 4097, 16384, 100000 };
	enum { ROUNDS = 20, KINDS = sizeof(sizes) / sizeof(sizes[0]) };
	struct arena arena = ARENA_INIT;
	unsigned char *all[ROUNDS][KINDS];
	size_t round, kind, i;

	(void)state;
	for (round = 0; round < ROUNDS; round++)
		for (kind = 0; kind < KINDS; kind++) {
			unsigned char *p = arena_alloc(&arena, sizes[kind]);

			assert_non_null(p);
			if ((uintptr_t)p % alignof(max_align_t) != 0)
				fail_msg("size %zu: %p is not aligned",
				    sizes[kind], (void *)p);
			memset(
			    p, (int)(round * KINDS + kind) & 0xff, sizes[kind]);
			all[round][kind] = p;
		}
	for (round = 0; round < ROUNDS; round++)
		for (kind = 0; kind < KINDS; kind++)
			for (i = 0; i < sizes[kind]; i++)
				if (all[round][kind][i] !=
				    ((round * KINDS + kind) & 0xff))
					fail_msg("round %zu, size %zu, byte "
						 "%zu was overwritten",
					    round, sizes[kind], i);
	arena_reset(&arena);
	assert_null(arena.blocks);
}

static void
test_strings(void **state)
{
	struct arena arena = ARENA_INIT;

	(void)state;
	assert_string_equal(arena_strdup(&arena, "all of it"), "all of it");
	assert_string_equal(arena_strdup(&arena, ""), "");
	arena_reset(&arena);
}

static void
test_use_after_reset(void **state)
{
	struct arena arena = ARENA_INIT;

	(void)state;
	arena_reset(&arena); /* of an unused one */
	assert_null(arena.blocks);
	assert_string_equal(arena_strdup(&arena, "one"), "one");
	arena_reset(&arena);
	assert_string_equal(arena_strdup(&arena, "two"), "two");
	arena_reset(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_use_after_reset),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
