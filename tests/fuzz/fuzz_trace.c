/* SPDX-License-Identifier: ISC */
/*
 * The lines that deliveries put in front: one line each, whatever the address
 * is; and the Return-Path of an address that MAIL took is that address.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "delivery/trace.h"
#include "smtp/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char field[] = "Return-Path: ";

static void
assert_one_line(const struct buf *line)
{
	assert(line->length > 0 && line->data[line->length - 1] == '\n');
	for (size_t i = 0; i + 1 < line->length; i++)
		assert((unsigned char)line->data[i] >= ' ' &&
		    line->data[i] != 127);
}

static void
check_round(const struct smtp_address *address)
{
	struct smtp_address again;
	struct buf line;
	size_t used;

	/* Without a domain an '@' in quotes looks like one that has. */
	if (address->domain == NULL && strchr(address->text, '@') != NULL)
		return;
	buf_init(&line);
	trace_put_return_path(&line, address->text);
	assert_one_line(&line);
	line.length -= 1;
	assert(smtp_address_parse(line.data + sizeof(field) - 1,
		   line.length - (sizeof(field) - 1), &again,
		   &used) == SMTP_ADDRESS_OK);
	assert(strcmp(again.text, address->text) == 0);
	buf_release(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct smtp_address address;
	struct buf line;
	size_t used;

	buf_init(&line);
	trace_put_return_path(&line, text);
	assert(strncmp(line.data, field, sizeof(field) - 1) == 0);
	assert_one_line(&line);
	buf_reset(&line);
	trace_put_delivered_to(&line, text);
	assert_one_line(&line);
	buf_release(&line);
	if (smtp_address_parse(text, strlen(text), &address, &used) ==
	    SMTP_ADDRESS_OK)
		check_round(&address);
	free(text);
	return 0;
}
