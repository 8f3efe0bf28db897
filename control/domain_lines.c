/* SPDX-License-Identifier: ISC */
/* Lists of lines KEY:VALUE, of which the first that fits a domain counts. */
#include "control/domain_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/scan.h"
#include "control/idn.h"

/* Of length bytes; what is no domain fits nothing but itself. */
static void
canonical(const char *text, size_t length, char out[IDN_DOMAIN_SIZE])
{
	char domain[IDN_DOMAIN_SIZE];

	snprintf(domain, sizeof(domain), "%.*s", (int)length, text);
	idn_domain_canonical(domain, out);
}

static bool
key_fits(const char *key, const char *domain)
{
	size_t key_length = strlen(key), length = strlen(domain);

	return strcmp(key, "*") == 0 || strcmp(key, domain) == 0 ||
	    (*key == '.' && key_length < length &&
		strcmp(key, domain + length - key_length) == 0);
}

const char *
domain_lines_find(const struct strlist *lines, const char *domain)
{
	char wanted[IDN_DOMAIN_SIZE], key[IDN_DOMAIN_SIZE];

	if (lines->count == 0)
		return NULL;
	canonical(domain, strcspn(domain, " "), wanted);
	for (size_t i = 0; i < lines->count; i++) {
		const char *line = lines->items[i];
		size_t length = strcspn(line, ":");

		canonical(line, length, key);
		if (line[length] == ':' && key_fits(key, wanted))
			return line + length + 1;
	}
	return NULL;
}

/* 20, or 0.5: three digits behind the point, as operators are shown it. */
static bool
read_rate(const char *text, double *rate_out)
{
	size_t whole = strspn(text, "0123456789"), part = 0;

	if (whole == 0)
		return false;
	if (text[whole] == '.') {
		part = strspn(text + whole + 1, "0123456789");
		if (part == 0 || part > 3)
			return false;
		part++;
	}
	*rate_out = strtod(text, NULL);
	return text[whole + part] == '\0' && *rate_out > 0 &&
	    *rate_out <= DESTINATION_RATE_MAX;
}

bool
destination_limit_read(const char *value, struct destination_limit *limit_out)
{
	size_t length = strcspn(value, ":");
	uint64_t connections;

	*limit_out = (struct destination_limit){ .connections = 0 };
	if (!scan_u64n(value, length, 65000, &connections) || connections == 0)
		return false;
	limit_out->connections = (unsigned)connections;
	return value[length] == '\0' ||
	    read_rate(value + length + 1, &limit_out->per_second);
}
