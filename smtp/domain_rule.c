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

/* 1, 0, or -1 could not tell. */
static int
is_rule_there(const char *path, struct error *err)
{
	if (access(path, F_OK) == 0)
		return 1;
	return errno == ENOENT || errno == ENAMETOOLONG
	    ? 0
	    : error_sys(err, "cannot look for '%s'", path);
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

int
smtp_domain_rule_has_file(const char *dir, const char *local, struct error *err)
{
	AUTO(buf_release) struct buf path = BUF_INIT;
	char name[NAME_MAX_LENGTH + 1];
	size_t length = strlen(local), i;
	int found;

	if (length > NAME_MAX_LENGTH || strchr(local, '/') != NULL)
		return 0;
	ascii_lower(name, local, length);
	for (i = 0; i < length; i++)
		if (name[i] == '.')
			name[i] = ':';
	set_rule_path(&path, dir, name, length, "");
	found = is_rule_there(path.data, err);
	for (i = length; found == 0 && i > 0; i--) {
		if (name[i - 1] != '-')
			continue;
		set_rule_path(&path, dir, name, i, "default");
		found = is_rule_there(path.data, err);
	}
	return found;
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
	struct error unused;

	return smtp_domain_rule_has_file(dir, local, &unused) != 0 ||
	    default_takes(&path, dir);
}
