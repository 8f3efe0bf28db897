/* SPDX-License-Identifier: ISC */
/* A session of QMTP; the first byte says whether the client may relay. */
#include "packages.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct smtp_kind kind = { .is_qmtp = true };

	if (size == 0 || size > 20000)
		return 0;
	if (server == NULL)
		begin(&kind);
	serve(data + 1, size - 1, data[0] % 2 == 1);
	return 0;
}
