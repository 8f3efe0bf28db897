/* SPDX-License-Identifier: ISC */
/* Internationalized domain names: the one spelling of a domain. */
#include "control/idn.h"

#include <idn2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

/* More than the UTF-8 of any name that has 255 bytes as A-labels. */
enum { INPUT_MAX = 4 * IDN_DOMAIN_SIZE };

bool
idn_is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* Copies with ASCII letters in lower case; false, and "", when too long. */
static bool
fold_domain_name(const char *text, char out[IDN_DOMAIN_SIZE])
{
	size_t length = strnlen(text, IDN_DOMAIN_SIZE);

	if (length == IDN_DOMAIN_SIZE)
		length = 0;
	ascii_lower(out, text, length);
	out[length] = '\0';
	return text[length] == '\0';
}

/*
 * Letters, digits, '-' and '_' between single dots.  The mapping of UTS 46
 * makes ASCII of some characters that are not: '@' of U+FF20.
 */
static bool
is_plain_name(const char *name)
{
	static const char label[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t length;

	do {
		length = strspn(name, label);
		name += length;
	} while (length > 0 && *name++ == '.');
	return length > 0 && name[-1] == '\0';
}

/* The A-labels of a name that is not ASCII, to be freed; NULL: none. */
static char *
to_ascii(const char *domain)
{
	uint8_t *ascii = NULL;
	int result;

	if (strnlen(domain, INPUT_MAX) == INPUT_MAX)
		return NULL;
	while ((result = idn2_lookup_u8((const uint8_t *)domain, &ascii,
		    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL)) == IDN2_MALLOC)
		free(xmalloc(INPUT_MAX)); /* waits for memory, or ends it all */
	if (result != IDN2_OK)
		return NULL;
	if (is_plain_name((char *)ascii))
		return (char *)ascii;
	idn2_free(ascii);
	return NULL;
}

bool
idn_domain_canonical(const char *domain, char canonical_out[IDN_DOMAIN_SIZE])
{
	size_t dot = *domain == '.';
	char *ascii;
	bool fits;

	if (idn_is_ascii(domain))
		return fold_domain_name(domain, canonical_out);
	ascii = to_ascii(domain + dot);
	fits = ascii != NULL && strlen(ascii) + dot < IDN_DOMAIN_SIZE;
	if (fits) {
		canonical_out[0] = '.';
		memcpy(canonical_out + dot, ascii, strlen(ascii) + 1);
	} else
		fold_domain_name(domain, canonical_out);
	idn2_free(ascii);
	return fits;
}
