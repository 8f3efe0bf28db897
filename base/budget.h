/* SPDX-License-Identifier: ISC */
/*
 * A limit that many threads share.  Any thread may call these.
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Zeroed: nothing is used, and there is no limit. */
struct budget {
	_Atomic uint64_t used;
	_Atomic uint64_t limit; /* 0: none */
};

/* An amount that is in use stays, even if it is above the new limit. */
static inline void
budget_set_limit(struct budget *budget, uint64_t limit)
{
	atomic_store_explicit(&budget->limit, limit, memory_order_relaxed);
}

/* False, and nothing is taken, when that would be over the limit. */
static inline bool
budget_take(struct budget *budget, uint64_t amount)
{
	uint64_t limit = atomic_load_explicit(
	    &budget->limit, memory_order_relaxed);
	uint64_t used = atomic_load_explicit(
	    &budget->used, memory_order_relaxed);

	do
		if (limit > 0 && (used > limit || amount > limit - used))
			return false;
	while (!atomic_compare_exchange_weak_explicit(&budget->used, &used,
	    used + amount, memory_order_relaxed, memory_order_relaxed));
	return true;
}

static inline void
budget_give(struct budget *budget, uint64_t amount)
{
	uint64_t used = atomic_fetch_sub_explicit(
	    &budget->used, amount, memory_order_relaxed);

	assert(used >= amount);
}

#endif
