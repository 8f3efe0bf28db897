/* SPDX-License-Identifier: ISC */
/* Is a node in the place that it was made for? */
#include "svctool/run/place.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"

enum { SCRIPT_MAX = 65536 };

char *
place_word(const char *script, const char *mark)
{
	const char *at = strstr(script, mark);
	bool is_quoted = false;
	AUTO(buf_release) struct buf word = BUF_INIT;

	if (at == NULL)
		return NULL;
	at += strlen(mark);
	while (*at != '\0' && *at != '\n' &&
	    !(strchr("'/", *at) != NULL && strchr(" \t", at[-1]) != NULL))
		at++;
	if (*at == '\0' || *at == '\n')
		return NULL;
	/* As run_script_quote() writes it: 'it'\''s'. */
	for (; *at != '\0' && (is_quoted || strchr(" \t\n", *at) == NULL);
	     at++) {
		if (*at == '\'')
			is_quoted = !is_quoted;
		else if (*at == '\\' && !is_quoted && at[1] != '\0')
			buf_addc(&word, *++at);
		else
			buf_addc(&word, *at);
	}
	return xstrdup(word.length > 0 ? word.data : "");
}

/* The same folder, by whatever name. */
static bool
is_same(const char *path, const char *own)
{
	struct stat a, b;

	return strcmp(path, own) == 0 ||
	    (stat(path, &a) == 0 && stat(own, &b) == 0 &&
		a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

static void
look_at_name(const char *file, const char *named, const char *own,
    place_see *see, void *context)
{
	if (named != NULL && *named != '\0' && !is_same(named, own))
		see(file, named, context);
}

static void
look_into_script(const char *file, const char *mark, const char *own,
    place_see *see, void *context)
{
	AUTO(buf_release) struct buf script = BUF_INIT;

	if (file_read(file, SCRIPT_MAX, &script, NULL) == 1) {
		OWN_TEXT named = place_word(script.data, mark);

		look_at_name(file, named, own, see, context);
	}
}

void
place_find(const struct node *node, place_see *see, void *context)
{
	const struct home *home = node->home;
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	OWN_TEXT file = xasprintf("%s/MQMAIL_HOME", node->global_vars);
	OWN_TEXT named = node_global_variable(node, "MQMAIL_HOME");

	look_at_name(file, named, home->root, see, context);
	/* Where the services are not to be listed there is nothing to find. */
	node_services(node, &services, NULL);
	for (size_t i = 0; i < services.count; i++) {
		const char *name = services.items[i];
		OWN_TEXT run = xasprintf("%s/%s/run", home->service, name);
		OWN_TEXT log_run = xasprintf(
		    "%s/%s/log/run", home->service, name);
		OWN_TEXT log = xasprintf("%s/%s", home->log, name);

		/* Others are the operator's own. */
		if (node_is_made_service(node, name)) {
			look_into_script(
			    run, "envdir ", node->global_vars, see, context);
			look_into_script(
			    log_run, "multilog ", log, see, context);
		}
	}
}

bool
place_fits_queue(const struct node *node, const char *queue, struct error *err)
{
	const char *home = node->home->root;
	OWN_TEXT path = xasprintf(
	    "%s/%s/lock/intake", node->home->queue, queue);
	size_t length = strlen(path);
	size_t rest = length - strlen(home);
	bool fits = length <= PACKET_PATH_MAX;

	if (!fits)
		error_set(err,
		    "the name of '%s' has %zu bytes; for the sockets of its "
		    "queue '%s' it may have %zu at most, as a socket's path "
		    "ends at %d",
		    home, strlen(home), queue, PACKET_PATH_MAX - rest,
		    PACKET_PATH_MAX);
	return fits;
}

struct first {
	const struct node *node;
	struct error *err;
	bool is_found;
};

static void
keep_first(const char *file, const char *other, void *context)
{
	struct first *first = context;

	if (!first->is_found)
		error_set(first->err,
		    "the node at '%s' was made for another place, where its "
		    "services would work: '%s' names '%s'.  Put the folder "
		    "back there, or do what 'svctool check --home %s' says",
		    first->node->home->root, file, other,
		    first->node->home->root);
	first->is_found = true;
}

bool
place_is_right(const struct node *node, struct error *err)
{
	struct first first = { node, err, false };

	place_find(node, keep_first, &first);
	return !first.is_found;
}
