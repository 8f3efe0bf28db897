/* SPDX-License-Identifier: ISC */
/*
 * What many threads may use of one thing, in all.  Any thread may call these.
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Zeroed: nothing is used, and there is no limit. */
struct budget {
	_Atomic uint64_t used;
	_Atomic uint64_t limit; /* 0: none */
};

/* What is used already stays, also when it is more than that. */
void budget_set_limit(struct budget *budget, uint64_t limit);

/* False, and nothing is taken, when that would be over the limit. */
bool budget_take(struct budget *budget, uint64_t amount);
void budget_give(struct budget *budget, uint64_t amount);

#endif
