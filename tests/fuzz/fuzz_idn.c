/* SPDX-License-Identifier: ISC */
/* A domain of a peer: its one spelling is ASCII, and that of itself. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/idn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *domain = xstrndup((const char *)data, size);
	char first[IDN_DOMAIN_SIZE], again[IDN_DOMAIN_SIZE];

	if (idn_domain_canonical(domain, first)) {
		assert(idn_is_ascii(first));
		if (!idn_is_ascii(domain)) /* no byte that ends an address */
			assert(
			    first[strcspn(first, " @:<>\"\\/%\t\r\n")] == '\0');
	}
	idn_domain_canonical(first, again);
	assert(strcmp(first, again) == 0);
	free(domain);
	return 0;
}
