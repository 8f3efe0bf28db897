/* SPDX-License-Identifier: ISC */
/* Packets of the resolver's socket, and records as any name server may send. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "resolver/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_record(const struct dns_record *record)
{
	struct sockaddr_storage address;
	char name[DNS_NAME_SIZE];
	struct buf text = BUF_INIT;
	struct dns_tlsa tlsa;
	struct dns_mx mx;

	if (dns_read_mx(record, &mx))
		assert(strpbrk(mx.host, " \t\r\n\033@<>") == NULL);
	if (dns_read_name(record, name))
		assert(name[0] != '\0' && strlen(name) < DNS_NAME_SIZE);
	if (dns_read_text(record, &text))
		assert(text.length < record->length);
	if (dns_read_address(record, 25, &address))
		dns_reverse_name((struct sockaddr *)&address, name);
	if (dns_read_tlsa(record, &tlsa))
		assert(tlsa.length > 0);
	buf_release(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct dns_record record = { data, size };
	struct dns_answer answer;
	struct dns_query query;
	uint32_t id;

	read_record(&record);
	if (dns_get_query(data, size, &query))
		assert(query.name[0] != '\0');
	if (!dns_get_answer(data, size, &id, &answer))
		return 0;
	for (size_t i = 0; i < answer.record_count; i++)
		read_record(&answer.records[i]);
	dns_answer_release(&answer);
	return 0;
}
