/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as local/ID or remote/ID, and as info/ID: what is told of them lies
 * inside, and what was told of a list makes the same list again.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "queue/remembered.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_list(const char *list, size_t length)
{
	struct remembered recipient;
	struct buf again = BUF_INIT;
	struct error err = { "" };
	size_t at = 0;
	int result;

	while ((result = remembered_next(
		    list, length, &at, &recipient, &err)) == 1) {
		assert(recipient.offset == again.length);
		assert(recipient.address == list + recipient.offset + 1);
		assert(at <= length && at > recipient.offset);
		buf_addc(&again, recipient.is_done ? 'D' : 'T');
		buf_add(
		    &again, recipient.address, strlen(recipient.address) + 1);
	}
	if (result == 0)
		assert(again.length == length && length > 0 &&
		    memcmp(again.data, list, length) == 0);
	else
		assert(err.text[0] != '\0');
	buf_release(&again);
}

static void
read_field(const char *info, size_t length, char type)
{
	const char *text = remembered_field(info, length, type);

	if (text == NULL)
		return;
	assert(text > info && text[-1] == type);
	assert(text + strlen(text) < info + length);
	assert(text == info + 1 || text[-2] == '\0');
}

/* What was read of a whole one is written and read the same. */
static void
read_info(const char *bytes, size_t length)
{
	struct remembered_info info, again;
	struct buf buf = BUF_INIT;
	struct error err = { "" };

	if (remembered_get_info(bytes, length, &info, &err) == -1) {
		assert(err.text[0] != '\0');
		return;
	}
	assert(info.attempt_at == 0 ||
	    info.attempt_at +
		    (info.has_told ? REMEMBERED_TRY_BYTES
				   : REMEMBERED_ATTEMPT_DIGITS) <
		length);
	remembered_put_info(&buf, &info);
	assert(remembered_get_info(buf.data, buf.length, &again, &err) == 0);
	assert(strcmp(info.sender, again.sender) == 0);
	assert(strcmp(info.header, again.header) == 0);
	assert(strcmp(info.dsn, again.dsn) == 0);
	assert(again.has_told && info.is_told[0] == again.is_told[0] &&
	    info.is_told[1] == again.is_told[1]);
	assert(info.attempt == again.attempt && again.attempt_at != 0);
	assert(uuid_is_equal(&info.uuid, &again.uuid));
	assert(info.has_size == again.has_size &&
	    info.size_bytes == again.size_bytes);
	buf_release(&buf);
}

static void
read_dsn(const char *bytes, size_t length)
{
	struct remembered_info info;
	struct remembered_dsn dsn;
	struct error err = { "" };
	size_t at = 0;
	int result;

	/* Only what is whole is read so. */
	if (remembered_get_info(bytes, length, &info, &err) == -1)
		return;
	while ((result = remembered_next_dsn(bytes, length, &at, &dsn, &err)) ==
	    1) {
		assert(dsn.dsn > bytes && dsn.dsn < bytes + length);
		assert(at <= length);
	}
	assert(result == 0 || err.text[0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of just that size, for the address sanitizer. */
	char *copy = xmalloc(size > 0 ? size : 1);

	if (size > 0)
		memcpy(copy, data, size);
	read_list(copy, size);
	read_field(copy, size, 'F');
	read_field(copy, size, 'H');
	read_info(copy, size);
	read_dsn(copy, size);
	free(copy);
	return 0;
}
