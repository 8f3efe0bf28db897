/* SPDX-License-Identifier: ISC */
/* supervise's status file, of whatever length. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "svctool/run/supervise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct supervise_state state = { .pid = -1 };

	if (supervise_parse(data, size, &state)) {
		assert(size == SUPERVISE_STATUS_SIZE);
		assert(state.pid >= 0 && state.since >= 0);
	} else
		assert(state.pid == -1);
	return 0;
}
