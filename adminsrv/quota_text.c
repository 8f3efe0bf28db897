/* SPDX-License-Identifier: ISC */
/* A user's quota as operators give it. */
#include "adminsrv/quota_text.h"

#include <ctype.h>
#include <inttypes.h>

#include "mailbox/quota.h"

static void
put_quota(const struct quota *quota, struct buf *text)
{
	buf_reset(text);
	if (quota->bytes == 0 && quota->count == 0)
		buf_adds(text, "NOQUOTA");
	if (quota->bytes > 0)
		buf_addf(text, "%" PRIu64 "S", quota->bytes);
	if (quota->count > 0)
		buf_addf(text, "%s%" PRIu64 "C", quota->bytes > 0 ? "," : "",
		    quota->count);
}

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
	put_quota(&quota, quota_out);
	return 0;
}

int
quota_text_change(
    const char *text, const char *old, struct buf *quota_out, struct error *err)
{
	bool is_less = *text == '-';
	struct quota quota, change;

	if (!is_less && *text != '+')
		return quota_text_read(text, quota_out, err);
	if (quota_read(old, &quota, err) == -1 ||
	    quota_read(text + 1, &change, err) == -1)
		return -1;
	if (quota.bytes == 0 || change.bytes == 0 || change.count > 0)
		return error_set(err,
		    "'%.60s' changes the bytes of a quota, and '%.60s' has "
		    "none: write the whole quota",
		    text, change.bytes == 0 ? text : old);
	if (is_less ? change.bytes >= quota.bytes
		    : change.bytes > INT64_MAX - quota.bytes)
		return error_set(
		    err, "'%.60s' of '%.60s' leaves no quota", text, old);
	quota.bytes += is_less ? -change.bytes : change.bytes;
	put_quota(&quota, quota_out);
	return 0;
}
