/* SPDX-License-Identifier: ISC */
/*
 * A recipient as qmail-send classifies it, with a catch-all when the first byte
 * is odd: the SMTP server's percenthack must rewrite it the same, and reports
 * must name it as it was rewritten, without the prefix of its virtual domain.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/percenthack.h"
#include "queue/route.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char rules[] = "example.test:example.test\n"
			    ".sub.test:sub-domain\n"
			    "u@mailbox.test:mailbox\n"
			    "mailbox.test:\n"
			    ":catch-all\n";

static struct settings *settings;

static void
put(const char *name, const char *text, size_t length)
{
	char *path = xasprintf("%s/%s", scratch_dir(), name);

	if (file_replace(path, text, length, 0600, NULL) == -1)
		abort();
	free(path);
}

static struct route *
make_route(bool has_catch_all)
{
	const char *end = has_catch_all ? strchr(rules, '\0')
					: strstr(rules, ":catch-all");
	struct route *route;

	put("me", "me.test\n", 8);
	put("locals", "local.test\n", 11);
	put("percenthack", "gate.test\nexample.test\n", 23);
	put("virtualdomains", rules, (size_t)(end - rules));
	settings_free(&settings);
	settings = settings_load(scratch_dir(), NULL, NULL, NULL);
	route = settings == NULL ? NULL : route_new(settings, NULL);
	if (route == NULL)
		abort();
	return route;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct route *routes[2];
	const struct route *route;
	char *recipient, *hacked;
	struct buf rewritten;
	enum route_channel channel;
	const char *shown;

	if (size == 0)
		return 0;
	if (routes[0] == NULL) {
		routes[0] = make_route(false);
		routes[1] = make_route(true);
	}
	route = routes[data[0] & 1];
	recipient = xstrndup((const char *)data + 1, size - 1);
	buf_init(&rewritten);
	channel = route_rewrite(route, recipient, &rewritten);
	assert(strlen(rewritten.data) + 1 == rewritten.length);
	assert(strchr(rewritten.data, '@') != NULL);
	hacked = strchr(recipient, '@') != NULL
	    ? xstrdup(recipient)
	    : xasprintf("%s@me.test", recipient);
	percenthack_apply(settings_list(settings, SETTING_percenthack), hacked);
	assert(strlen(rewritten.data) >= strlen(hacked));
	assert(
	    strcmp(strchr(rewritten.data, '\0') - strlen(hacked), hacked) == 0);
	assert(channel == ROUTE_LOCAL || strcmp(rewritten.data, hacked) == 0);
	shown = route_strip(route, rewritten.data);
	assert(shown >= rewritten.data &&
	    shown < rewritten.data + rewritten.length);
	/* One that goes out has no prefix; it may look as if it had. */
	assert(channel == ROUTE_REMOTE || strcmp(shown, hacked) == 0);
	free(recipient);
	free(hacked);
	buf_release(&rewritten);
	return 0;
}
