/* SPDX-License-Identifier: ISC */
/*
 * The header field TLS-Required: in whatever pieces it comes, and what is behind
 * the header changes nothing.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/tls_wish.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char behind[] = "\n\nTLS-Required: Yes\n";
	const char *text = (const char *)data;
	struct tls_wish whole = { 0 }, pieces = { 0 };

	tls_wish_read(&whole, text, size);
	for (size_t i = 0; i < size; i++)
		tls_wish_read(&pieces, text + i, 1);
	tls_wish_read(&pieces, behind, sizeof(behind) - 1);
	assert(tls_wish_is_no(&pieces) == tls_wish_is_no(&whole));
	return 0;
}
