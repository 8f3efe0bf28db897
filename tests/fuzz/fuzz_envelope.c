/* SPDX-License-Identifier: ISC */
/* What qmail-queue reads on descriptor 1: the first byte says which form. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "queue/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf record = BUF_INIT, again = BUF_INIT;
	struct envelope envelope, same;
	enum envelope_form form;
	struct error err;
	size_t i;

	if (size == 0)
		return 0;
	form = data[0] % 3;
	buf_add(&record, data + 1, size - 1);
	if (envelope_parse(record.data, record.length, form, &envelope, &err) ==
	    0) {
		assert(strlen(envelope.header) < ENVELOPE_HEADER_MAX);
		assert(strlen(envelope.sender) < ENVELOPE_ADDRESS_MAX);
		/* What is written of it is read the same. */
		envelope_format(&again, &envelope);
		assert(envelope_parse(again.data, again.length, ENVELOPE_TODO,
			   &same, &err) == 0);
		assert(same.recipient_count == envelope.recipient_count);
		assert(strcmp(same.sender, envelope.sender) == 0);
		assert(strcmp(same.header, envelope.header) == 0);
		assert(strcmp(same.notes, envelope.notes) == 0);
		assert(strcmp(same.dsn, envelope.dsn) == 0);
		for (i = 0; i < same.recipient_count; i++)
			assert(strcmp(envelope_dsn(&same, i),
				   envelope_dsn(&envelope, i)) == 0);
		assert(same.birth == envelope.birth);
		assert(same.attempt == envelope.attempt);
		assert(uuid_is_equal(&same.uuid, &envelope.uuid));
		assert((same.is_done != NULL) == (envelope.is_done != NULL));
		for (i = 0; i < same.recipient_count; i++)
			assert(strcmp(same.recipients[i],
				   envelope.recipients[i]) == 0 &&
			    (same.is_done == NULL ||
				same.is_done[i] == envelope.is_done[i]));
		envelope_release(&same);
		envelope_release(&envelope);
	}
	buf_release(&record);
	buf_release(&again);
	return 0;
}
