/* SPDX-License-Identifier: ISC */
/* What is known of a user, as JSON. */
#include <jansson.h>

#include "adminsrv/user_info.h"
#include "control/json_text.h"

static json_t *
flags_json(const struct vpasswd_entry *entry)
{
	json_t *array = json_array();

	for (const struct user_info_flag *row = user_info_flags; row->flag != 0;
	     row++) {
		if ((entry->gid_flags & row->flag) != 0)
			json_array_append_new(array, json_string(row->name));
	}
	return array;
}

/* null when there is no Maildir, or no limit of that kind. */
static json_t *
number_json(int64_t number, bool is_known)
{
	return is_known ? json_integer(number) : json_null();
}

struct json_t *
user_info_json(
    const struct vpasswd_entry *entry, const char *domain, struct error *err)
{
	struct quota_usage usage = { .bytes = 0 };
	struct quota quota = { .bytes = 0 };
	int found = user_info_usage(entry, &usage, err);

	if (found == -1)
		return NULL;
	if (quota_read(entry->quota, &quota, err) == -1) {
		error_context(err, "user '%s'", entry->name);
		return NULL;
	}
	return json_pack("{s:o, s:o, s:o, s:b, s:i, s:i, s:o, s:o, s:o, s:o, "
			 "s:o, s:o, s:o, s:o, s:b, s:b}",
	    "name", json_text(entry->name), "domain", json_text(domain),
	    "passwd", json_text(entry->hash), "is_active",
	    (entry->uid_flags & VPASSWD_INACTIVE) == 0, "uid",
	    (int)entry->uid_flags, "gid", (int)entry->gid_flags, "flags",
	    flags_json(entry), "gecos", json_text(entry->gecos), "dir",
	    json_text(entry->dir), "quota", json_text(entry->quota),
	    "quota_bytes", number_json((int64_t)quota.bytes, quota.bytes > 0),
	    "quota_messages",
	    number_json((int64_t)quota.count, quota.count > 0), "used_bytes",
	    number_json(usage.bytes, found == 1), "used_messages",
	    number_json(usage.count, found == 1), "has_scram",
	    entry->scram != NULL, "has_secret", entry->secret != NULL);
}
