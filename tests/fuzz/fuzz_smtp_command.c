/* SPDX-License-Identifier: ISC */
/* A command line, and its parameters as those of MAIL and RCPT. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "smtp/params.h"
#include "smtp/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is a text that is taken again, and one line. */
static void
check_mail(const struct dsn_message *dsn)
{
	struct buf text, again;
	struct dsn_message read;

	buf_init(&text);
	buf_init(&again);
	dsn_put_message(&text, dsn);
	assert(strpbrk(text.data, "\r\n\t") == NULL);
	assert(dsn_get_message(text.data, &read));
	dsn_put_message(&again, &read);
	assert(strcmp(text.data, again.data) == 0);
	buf_reset(&again);
	if (dsn->envid != NULL)
		dsn_put_decoded(&again, dsn->envid, dsn->envid_length);
	assert(again.length == strcspn(again.data, "\r\n\t"));
	buf_release(&text);
	buf_release(&again);
}

static void
check_rcpt(const struct dsn_recipient *dsn)
{
	struct buf text, again;
	struct dsn_recipient read;

	buf_init(&text);
	buf_init(&again);
	dsn_put_recipient(&text, dsn);
	assert(strpbrk(text.data, "\r\n\t") == NULL);
	assert(dsn_get_recipient(text.data, &read));
	dsn_put_recipient(&again, &read);
	assert(strcmp(text.data, again.data) == 0);
	buf_release(&text);
	buf_release(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_mail_params params;
	struct dsn_recipient to;
	const char *rest, *end;
	struct smtp_line line;
	size_t i;

	if (!smtp_line_parse((const char *)data, size, &line))
		return 0;
	assert(line.verb_length > 0);
	assert(
	    line.argument + line.argument_length <= (const char *)data + size);
	for (i = 0; i < line.argument_length; i++)
		assert((unsigned char)line.argument[i] >= ' ' ||
		    line.argument[i] == '\t');
	end = line.argument + line.argument_length;
	/* As behind a path. */
	rest = memchr(line.argument, ' ', line.argument_length);
	if (rest == NULL)
		rest = end;
	if (smtp_mail_params_parse(rest, (size_t)(end - rest), &params) ==
	    SMTP_PARAMS_OK)
		check_mail(&params.dsn);
	assert(params.has_size || params.size_bytes == 0);
	if (smtp_rcpt_params_parse(rest, (size_t)(end - rest), &to) ==
	    SMTP_PARAMS_OK)
		check_rcpt(&to);
	return 0;
}
