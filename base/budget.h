/* SPDX-License-Identifier: ISC */
/*
 * What many threads may use of one thing, in all.  Any thread may call these.
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

/* What is used already stays, also when it is more than that. */
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
