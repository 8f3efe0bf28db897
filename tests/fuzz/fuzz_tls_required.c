/* SPDX-License-Identifier: ISC */
/* The header field TLS-Required: what is behind the header changes nothing. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "remote/tls_required.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool is_no = tls_required_is_no((const char *)data, size);
	struct buf longer = BUF_INIT;

	buf_add(&longer, data, size);
	buf_adds(&longer, "\n\nTLS-Required: Yes\n");
	assert(tls_required_is_no(longer.data, longer.length) == is_no);
	buf_release(&longer);
	return 0;
}
