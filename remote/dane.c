/* SPDX-License-Identifier: ISC */
/* What the DNS says of a host's certificate. */
#include "remote/dane.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

bool
dane_is_usable(const struct dns_tlsa *record)
{
	/* By matching type, RFC 6698 2.1.3: all of it, SHA-256, SHA-512. */
	static const size_t lengths[] = { 0, 32, 64 };

	if ((record->usage != 2 && record->usage != 3) ||
	    record->selector > 1 || record->matching > 2)
		return false;
	return record->matching == 0
	    ? record->length > 0
	    : record->length == lengths[record->matching];
}

static void
read_records(struct dane *dane)
{
	size_t i;

	dane->records = xcalloc(
	    dane->answer.record_count + 1, sizeof(*dane->records));
	for (i = 0; i < dane->answer.record_count; i++) {
		struct dns_tlsa *record = &dane->records[dane->count];

		if (!dns_read_tlsa(&dane->answer.records[i], record) ||
		    !dane_is_usable(record))
			continue;
		dane->has_authority |= record->usage == 2;
		dane->count++;
	}
	dane->state = dane->count > 0 ? DANE_USABLE : DANE_UNUSABLE;
}

void
dane_ask(struct dns_client *dns, const char *host, uint16_t port,
    int timeout_ms, struct dane *dane_out)
{
	char name[DNS_NAME_SIZE + 20];

	*dane_out = (struct dane){ .state = DANE_NONE };
	snprintf(name, sizeof(name), "_%u._tcp.%s", port, host);
	dns_client_ask(dns, DNS_TLSA, name, timeout_ms, &dane_out->answer);
	if (dane_out->answer.state == DNS_UNKNOWN)
		dane_out->state = DANE_UNKNOWN;
	else if (dane_out->answer.state == DNS_FOUND &&
	    dane_out->answer.is_secure)
		read_records(dane_out);
}

void
dane_release(struct dane *dane)
{
	free(dane->records);
	dns_answer_release(&dane->answer);
	*dane = (struct dane){ 0 };
}
