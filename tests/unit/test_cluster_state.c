/* SPDX-License-Identifier: ISC */
/* cluster/state.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/state.h"

enum { NOW = 1000000, LATER = NOW + 8000, EARLIER = NOW - 8000 };

static void
who_lives(void **unused)
{
	static const struct {
		const char *what, *role;
		bool is_revoked, is_alive;
		int64_t known, heard, renewed, ends;
	} cases[] = {
		{ "heard just now", "all", false, true, 1, NOW - 1000, 1, 2 },
		{ "heard 4 s ago", "all", false, true, 1, NOW - 4000, 1, 2 },
		{ "not since", "all", false, false, 1, NOW - 4001, NOW - 5000,
		    LATER },
		{ "revoked", "all", true, false, 1, NOW, NOW, LATER },
		{ "a lease, new", "all", false, true, NOW - 1000, 0, EARLIER,
		    LATER },
		{ "a lease, old", "all", false, false, NOW - 5000, 0, EARLIER,
		    LATER },
		{ "no lease", "all", false, false, NOW - 1000, 0, 0, 0 },
		{ "one that ended", "all", false, false, NOW - 1000, 0, 1,
		    NOW },
		{ "renewed since", "all", false, true, 1, NOW - 9000,
		    NOW - 6000, LATER },
		{ "renewed soon after", "all", false, false, 1, NOW - 9000,
		    NOW - 7000, LATER },
		{ "renewed, never heard", "all", false, true, NOW - 9000, 0,
		    NOW - 6000, LATER },
		{ "legacy", "legacy", false, true, 1, 0, 0, 0 },
		{ "revoked legacy", "legacy", true, false, 1, 0, 0, 0 },
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err;
		struct state *state = state_new(NULL, &err);
		struct member *member;

		assert_non_null(state);
		snprintf(state->name, sizeof(state->name), "me");
		state->members = member = xcalloc(1, sizeof(*member));
		state->member_count = 1;
		*member = (struct member){ .name = xstrdup("n2"),
			.role = xstrdup(cases[i].role),
			.is_revoked = cases[i].is_revoked,
			.known_at_ms = cases[i].known,
			.heard_at_ms = cases[i].heard,
			.renewed_at_ms = cases[i].renewed,
			.lease_ends_ms = cases[i].ends };
		if (state_judge_members(state, NOW) != cases[i].is_alive ||
		    member->is_alive != cases[i].is_alive)
			fail_msg("%s: %d", cases[i].what, member->is_alive);
		assert_int_equal(state->has_new_nodes, cases[i].is_alive);
		assert_false(state_judge_members(state, NOW));
		state_free(&state);
	}
}

static void
ourselves(void **unused)
{
	struct error err;
	struct state *state = state_new(NULL, &err);

	(void)unused;
	snprintf(state->name, sizeof(state->name), "me");
	state->members = xcalloc(1, sizeof(*state->members));
	state->member_count = 1;
	state->members[0] = (struct member){ .name = xstrdup("me"),
		.role = xstrdup("all"),
		.lease_ends_ms = LATER };
	assert_false(state_judge_members(state, NOW));
	state->hold = HOLD_HELD;
	state->deadline_ms = NOW + 1;
	assert_true(state_judge_members(state, NOW));
	assert_true(state->members[0].is_alive);
	assert_true(state_judge_members(state, NOW + 1));
	assert_false(state->members[0].is_alive);
	state_free(&state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_lives),
		cmocka_unit_test(ourselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
