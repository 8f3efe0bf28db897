/* SPDX-License-Identifier: ISC */
/*
 * A domain's .qmail-default, as the SMTP server and as deliveries read it: no
 * recipient may be refused whom a delivery would not refuse.  The first byte
 * says whether there is a .qmail-NAME beside it; NAME ends at the first NUL.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "delivery/domain_rules.h"
#include "smtp/domain_rule.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const char *local)
{
	struct domain_rules *rules = domain_rules_new();
	const struct absent_rule *rule;
	struct error err = { "" };
	bool takes = smtp_domain_rule_takes(scratch_dir(), local);
	int found;

	domain_rules_begin(rules);
	found = domain_rules_find(rules, scratch_dir(), local, &rule, &err);
	assert(found != -1 || err.text[0] != '\0');
	if (found != 1)
		assert(takes);
	else
		assert(takes == (rule->action != ABSENT_BOUNCE));
	domain_rules_free(&rules);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	char *path, *local, *own = NULL;
	struct error err;
	size_t length;

	if (size == 0)
		return 0;
	length = strnlen(text, size - 1);
	if (length == 0 || length > 64)
		return 0;
	local = xstrndup(text, length);
	if (length < size - 1)
		length++;
	path = xasprintf("%s/.qmail-default", scratch_dir());
	if (file_replace(path, text + length, size - 1 - length, 0600, &err) ==
	    -1)
		abort();
	if (data[0] & 1 && strchr(local, '/') == NULL) {
		own = xasprintf("%s/.qmail-%s", scratch_dir(), local);
		if (file_replace(own, "#\n", 2, 0600, &err) == -1)
			abort();
	}
	check(local);
	check("nobody");
	if (own != NULL)
		unlink(own);
	free(own);
	free(path);
	free(local);
	return 0;
}
