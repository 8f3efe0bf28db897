/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as control/virtualdomains: svctool check finds fault with it when
 * the programs would not load it, and what it says is fit to be shown.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "svctool/check/domain.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Names may be borrowed: nothing changes or frees them. */
#define NAME(text)   \
	(char[])     \
	{            \
		text \
	}

static struct check_assign lines[] = {
	{ .line = 1,
	    .is_wildcard = true,
	    .address = NAME("a.test-"),
	    .domain_length = 6,
	    .user = NAME("a.test") },
	{ .line = 2,
	    .is_wildcard = true,
	    .address = NAME("b.test-"),
	    .domain_length = 6,
	    .user = NAME("a.test") },
};

static void
put(const char *name, const void *data, size_t size)
{
	char *path = xasprintf("%s/%s", scratch_dir(), name);

	if (file_replace(path, data, size, 0600, NULL) == -1)
		abort();
	free(path);
}

static void
assert_plain(const char *text)
{
	assert(text != NULL);
	for (; *text != '\0'; text++)
		assert((unsigned char)*text >= ' ' && *text != 127);
}

static bool
is_loaded(void)
{
	struct settings *settings = settings_load(
	    scratch_dir(), "qmail-send", NULL, NULL);
	bool is_there = settings != NULL;

	settings_free(&settings);
	return is_there;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct check_assigns assigns = { "/assign", lines,
		sizeof(lines) / sizeof(lines[0]) };
	struct home home = { .root = scratch_folder,
		.control = scratch_folder };
	const struct node node = { .home = &home };
	struct check check = { .node = &node };

	put("me", "m.test\n", 7);
	put("rcpthosts", "a.test\nb.test\n", 14);
	put("virtualdomains", data, size);
	check_routes(&check, &assigns);
	/* NUL bytes are the matter of check_settings(). */
	if (!is_loaded() && (size == 0 || memchr(data, '\0', size) == NULL))
		assert(check.errors > 0);
	for (size_t i = 0; i < check.count; i++) {
		assert_plain(check.findings[i].file);
		assert(strcmp(check.findings[i].file, assigns.path) == 0 ||
		    check.findings[i].line <= size);
		assert_plain(check.findings[i].text);
		assert_plain(check.findings[i].remedy);
	}
	check_release(&check);
	return 0;
}
