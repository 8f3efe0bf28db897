/* SPDX-License-Identifier: ISC */
/* What a virtual domain's .qmail files say about mail to unknown users. */
#include "smtp/domain_rule.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "delivery/dotqmail.h"

enum {
	RULE_MAX = 4096, /* of a .qmail-default that the standard line can be */
	NAME_MAX_LENGTH = 255
};

/* True when it is there, and when it cannot be told. */
static bool
may_be_there(const char *path)
{
	return access(path, F_OK) == 0 ||
	    (errno != ENOENT && errno != ENAMETOOLONG);
}

static void
set_rule_path(struct buf *path, const char *dir, const char *name,
    size_t length, const char *end)
{
	buf_reset(path);
	buf_adds(path, dir);
	buf_adds(path, "/.qmail-");
	buf_add(path, name, length);
	buf_adds(path, end);
}

/* The files that qmail-local looks for before .qmail-default. */
static bool
has_local_file(struct buf *path, const char *dir, const char *local)
{
	char name[NAME_MAX_LENGTH + 1];
	size_t length = strlen(local), i;

	if (length > NAME_MAX_LENGTH || strchr(local, '/') != NULL)
		return false;
	ascii_lower(name, local, length);
	for (i = 0; i < length; i++)
		if (name[i] == '.')
			name[i] = ':';
	set_rule_path(path, dir, name, length, "");
	if (may_be_there(path->data))
		return true;
	for (i = length; i > 0; i--) {
		if (name[i - 1] != '-')
			continue;
		set_rule_path(path, dir, name, i, "default");
		if (may_be_there(path->data))
			return true;
	}
	return false;
}

static bool
default_takes(struct buf *path, const char *dir)
{
	struct absent_rule rule = ABSENT_RULE_INIT;
	AUTO(buf_release) struct buf text = BUF_INIT;
	bool takes = true;

	set_rule_path(path, dir, "", 0, "default");
	switch (file_read(path->data, RULE_MAX, &text, NULL)) {
	case 0:
		takes = false;
		break;
	case 1:
		dotqmail_read(text.data, text.length, &rule, NULL);
		takes = rule.action != ABSENT_BOUNCE;
		dotqmail_release(&rule);
		break;
	}
	return takes;
}

bool
smtp_domain_rule_takes(const char *dir, const char *local)
{
	AUTO(buf_release) struct buf path = BUF_INIT;

	return has_local_file(&path, dir, local) || default_takes(&path, dir);
}
