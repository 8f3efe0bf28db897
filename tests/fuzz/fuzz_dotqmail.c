/* SPDX-License-Identifier: ISC */
/* A domain's .qmail-default, and a message header searched for a loop. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "delivery/dotqmail.h"
#include "delivery/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same header gives the same answer however it is cut. */
static void
search(const char *text, size_t size)
{
	static const char line[] = "Delivered-To: a@b";
	struct trace_search whole, pieces;
	size_t i;

	trace_search_init(&whole, line, sizeof(line) - 1);
	trace_search_feed(&whole, text, size);
	trace_search_init(&pieces, line, sizeof(line) - 1);
	for (i = 0; i < size; i++)
		if (trace_search_feed(&pieces, text + i, 1))
			break;
	assert(trace_search_end(&whole) == trace_search_end(&pieces));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct absent_rule rule;
	struct dotqmail_fault fault = { .reason = { "" } };
	bool is_standard = dotqmail_read(text, size, &rule, &fault);

	assert(is_standard == (fault.reason.text[0] == '\0'));
	assert(is_standard == (rule.action != ABSENT_GENERAL));
	assert((rule.target != NULL) ==
	    (rule.action == ABSENT_FOLDER || rule.action == ABSENT_ADDRESS));
	dotqmail_release(&rule);
	search(text, size);
	return 0;
}
