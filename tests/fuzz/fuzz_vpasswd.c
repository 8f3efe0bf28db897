/* SPDX-License-Identifier: ISC */
/* One line of a vpasswd file; what is taken must come back the same. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lookupd/vpasswd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
assert_same(const struct vpasswd_entry *one, const struct vpasswd_entry *two)
{
	assert(strcmp(one->name, two->name) == 0);
	assert(strcmp(one->hash, two->hash) == 0);
	assert(one->uid_flags == two->uid_flags);
	assert(one->gid_flags == two->gid_flags);
	assert(strcmp(one->gecos, two->gecos) == 0);
	assert(strcmp(one->dir, two->dir) == 0);
	assert(strcmp(one->quota, two->quota) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = xmalloc(size + 1);
	struct vpasswd_entry entry, again;
	struct error err;
	struct buf text;

	memcpy(line, data, size);
	if (vpasswd_parse_line(line, size, &entry, &err) == 0) {
		buf_init(&text);
		assert(*entry.dir == '/' && strstr(entry.dir, "/../") == NULL);
		assert(vpasswd_format(&entry, &text, &err) == 0);
		assert(memchr(text.data, '\n', text.length) ==
		    text.data + text.length - 1);
		assert(vpasswd_parse_line(
			   text.data, text.length - 1, &again, &err) == 0);
		assert_same(&entry, &again);
		buf_release(&text);
	}
	free(line);
	return 0;
}
