/* SPDX-License-Identifier: ISC */
/* What many threads may use of one thing, in all. */
#include "base/budget.h"

#include <assert.h>

void
budget_set_limit(struct budget *budget, uint64_t limit)
{
	atomic_store_explicit(&budget->limit, limit, memory_order_relaxed);
}

bool
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

void
budget_give(struct budget *budget, uint64_t amount)
{
	uint64_t used = atomic_fetch_sub_explicit(
	    &budget->used, amount, memory_order_relaxed);

	assert(used >= amount);
}
