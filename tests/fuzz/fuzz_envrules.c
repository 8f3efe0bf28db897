/* SPDX-License-Identifier: ISC */
/*
 * A file of rules, applied to a subject: the bytes before the first NUL (or
 * all) are the subject, and a pattern as well.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/envrules.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
apply(const char *subject, const void *rules_text, size_t length)
{
	struct vars vars = VARS_INIT;
	struct error err = { "" };
	struct envrules *rules;
	struct scratch text;
	size_t i;

	scratch_open(&text, rules_text, length);
	if (envrules_load(text.path, &rules, &err) == -1)
		assert(rules == NULL && strncmp(err.text, "/proc", 5) == 0);
	else
		assert(rules != NULL);
	if (envrules_apply(rules, subject, &vars) == 0)
		assert(vars.count == 0);
	for (i = 0; i < vars.count; i++)
		assert(vars.entries[i].name[0] != '\0' &&
		    strchr(vars.entries[i].name, '=') == NULL);
	vars_release(&vars);
	envrules_free(&rules);
	scratch_close(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, '\0', size);
	size_t length = nul != NULL ? (size_t)(nul - data) : size;
	char *subject = xstrndup((const char *)data, length);

	if (nul != NULL)
		apply(subject, nul + 1, size - length - 1);
	free(subject);
	return 0;
}
