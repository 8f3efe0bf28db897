/* SPDX-License-Identifier: ISC */
/* The path of MAIL or RCPT. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "smtp/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_address address;
	size_t used, length, i;
	enum smtp_address_result result = smtp_address_parse(
	    (const char *)data, size, &address, &used);

	assert(used <= size);
	length = strlen(address.text);
	assert(length <= SMTP_ADDRESS_MAX);
	if (result != SMTP_ADDRESS_OK)
		return 0;
	for (i = 0; i < length; i++) {
		assert((unsigned char)address.text[i] >= ' ');
		assert(address.text[i] != 127);
		assert(address.is_utf8 || (unsigned char)address.text[i] < 128);
	}
	if (address.domain != NULL) {
		assert(address.domain == strrchr(address.text, '@') + 1);
		assert(address.domain > address.text + 1);
		assert(address.domain[0] != '\0');
	}
	return 0;
}
