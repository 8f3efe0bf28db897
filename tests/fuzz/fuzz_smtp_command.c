/* SPDX-License-Identifier: ISC */
/* A command line, and its parameters as those of MAIL and RCPT. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/params.h"
#include "smtp/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_mail_params params;
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
	smtp_mail_params_parse(line.argument, line.argument_length, &params);
	assert(params.has_size || params.size_bytes == 0);
	smtp_rcpt_params_parse(line.argument, line.argument_length);
	return 0;
}
