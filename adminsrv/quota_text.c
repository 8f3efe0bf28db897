/* SPDX-License-Identifier: ISC */
/* A user's quota as operators give it. */
#include "adminsrv/quota_text.h"

#include <ctype.h>
#include <inttypes.h>

#include "mailbox/quota.h"

int
quota_text_read(const char *text, struct buf *quota_out, struct error *err)
{
	struct quota quota;
	int result = quota_read(text, &quota, err);

	buf_reset(quota_out);
	if (result == -1)
		return -1;
	/* An operator who writes 0 may mean that nothing is to be kept. */
	if (result == 0 && (*text == '\0' || isdigit((unsigned char)*text)))
		return error_set(err,
		    "'%.60s' limits nothing: write NOQUOTA for that", text);
	if (result == 0)
		buf_adds(quota_out, "NOQUOTA");
	if (quota.bytes > 0)
		buf_addf(quota_out, "%" PRIu64 "S", quota.bytes);
	if (quota.count > 0)
		buf_addf(quota_out, "%s%" PRIu64 "C",
		    quota.bytes > 0 ? "," : "", quota.count);
	return 0;
}
