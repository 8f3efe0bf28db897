/* SPDX-License-Identifier: ISC */
/*
 * morercpthosts, compiled, and asked for the address in front of the first
 * NUL; when the first byte is odd the rest is morercpthosts.cdb itself.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/rcpthosts.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct settings *
get_settings(void)
{
	static struct settings *settings;
	char *me, *rcpthosts;

	if (settings != NULL)
		return settings;
	me = xasprintf("%s/me", scratch_dir());
	rcpthosts = xasprintf("%s/rcpthosts", scratch_dir());
	if (file_replace(me, "me.test\n", 8, 0600, NULL) == -1 ||
	    file_replace(rcpthosts, "a.test\n.b.test\n", 15, 0600, NULL) == -1)
		abort();
	settings = settings_load(scratch_dir(), NULL, NULL, NULL);
	if (settings == NULL)
		abort();
	free(me);
	free(rcpthosts);
	return settings;
}

static void
match(const char *mailbox, bool may_fail)
{
	struct error err = { "" };
	struct rcpthosts *hosts = rcpthosts_new(
	    scratch_dir(), get_settings(), &err);
	int found;

	if (hosts == NULL) {
		assert(may_fail && err.text[0] != '\0');
		return;
	}
	found = rcpthosts_match(hosts, mailbox, &err);
	assert(found != -1 || (may_fail && err.text[0] != '\0'));
	assert(found == 1 || strchr(mailbox, '@') != NULL);
	assert(rcpthosts_match(hosts, "x@A.test", &err) == 1);
	assert(rcpthosts_match(hosts, "x@c.B.test", &err) == 1);
	rcpthosts_free(&hosts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct error err = { "" };
	size_t length;
	char *mailbox, *path;
	bool is_cdb;

	if (size == 0)
		return 0;
	get_settings();
	is_cdb = data[0] & 1;
	length = strnlen(text, size - 1);
	mailbox = xstrndup(text, length);
	if (length < size - 1)
		length++;
	path = xasprintf(
	    "%s/morercpthosts%s", scratch_dir(), is_cdb ? ".cdb" : "");
	if (file_replace(path, text + length, size - 1 - length, 0600, &err) ==
	    -1)
		abort();
	if (!is_cdb && rcpthosts_compile_more(scratch_dir(), &err) == -1)
		assert(errno == EINVAL && strstr(err.text, path) != NULL);
	else
		match(mailbox, is_cdb);
	free(mailbox);
	free(path);
	return 0;
}
