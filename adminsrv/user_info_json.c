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
	json_t *json;

	if (found == -1)
		return NULL;
	if (quota_read(entry->quota, &quota, err) == -1) {
		error_context(err, "user '%s'", entry->name);
		return NULL;
	}
	json = json_object();
	json_object_set_new(json, "name", json_text(entry->name));
	json_object_set_new(json, "domain", json_text(domain));
	json_object_set_new(json, "passwd", json_text(entry->hash));
	json_object_set_new(json, "is_active",
	    json_boolean((entry->uid_flags & VPASSWD_INACTIVE) == 0));
	json_object_set_new(json, "uid", json_integer(entry->uid_flags));
	json_object_set_new(json, "gid", json_integer(entry->gid_flags));
	json_object_set_new(json, "flags", flags_json(entry));
	json_object_set_new(json, "gecos", json_text(entry->gecos));
	json_object_set_new(json, "dir", json_text(entry->dir));
	json_object_set_new(json, "quota", json_text(entry->quota));
	json_object_set_new(json, "quota_bytes",
	    number_json((int64_t)quota.bytes, quota.bytes > 0));
	json_object_set_new(json, "quota_messages",
	    number_json((int64_t)quota.count, quota.count > 0));
	json_object_set_new(
	    json, "used_bytes", number_json(usage.bytes, found == 1));
	json_object_set_new(
	    json, "used_messages", number_json(usage.count, found == 1));
	return json;
}
