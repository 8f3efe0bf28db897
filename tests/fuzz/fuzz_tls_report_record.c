/* SPDX-License-Identifier: ISC */
/*
 * A TXT record that names who wants reports on TLS: what is taken is a mailbox
 * that ends no header field, or a URL of HTTPS without blanks.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "remote/tls_report_mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct strlist targets = { 0 };
	size_t i, j;

	assert(tls_report_read_record(text, &targets) == (targets.count > 0));
	assert(targets.count <= TLS_REPORT_TARGETS_MAX);
	for (i = 0; i < targets.count; i++) {
		const char *target = targets.items[i];
		bool is_mail = strncmp(target, "mailto:", 7) == 0;

		assert(is_mail || strncasecmp(target, "https://", 8) == 0);
		assert(!is_mail || strchr(target, '@') != NULL);
		for (j = 0; target[j] != '\0'; j++)
			assert(target[j] > ' ' && target[j] <= '~' &&
			    !(is_mail && strchr("<>\"", target[j]) != NULL));
	}
	strlist_release(&targets);
	free(text);
	return 0;
}
