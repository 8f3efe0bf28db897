/* SPDX-License-Identifier: ISC */
/*
 * svctool init on a node that is there already: it brings back what is missing
 * and adds what is asked for, but no listener or queue that nobody asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/names.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/settings.h"
#include "svctool/init/init.h"
#include "svctool/run/ready.h"
#include "svctool/run/service.h"

enum { ME_MAX = 4096 };

int
init_read_me(
    const struct node *node, char me_out[NAMES_DOMAIN_SIZE], struct error *err)
{
	OWN_TEXT path = node_layout_path(node, LAYOUT_setting, "me");
	AUTO(buf_release) struct buf text = BUF_INIT;
	int result = file_read(path, ME_MAX, &text, err);

	if (result != 1)
		return result;
	text.data[strcspn(text.data, " \t\r\n")] = '\0';
	return names_domain(text.data, me_out, err) == 0
	    ? 1
	    : error_context(err, "'%s' is to hold the node's host name", path);
}

/* The name that the node has, whatever this host is called. */
static int
take_me(
    const struct node *node, struct init_options *options, struct error *err)
{
	char me[NAMES_DOMAIN_SIZE];
	int found = init_read_me(node, me, err);

	if (found == 1) {
		free(options->me);
		options->me = xstrdup(me);
	} else if (found == 0 && options->me == NULL)
		found = error_set(err,
		    "the node at '%s' has lost its host name, '%s/me', and "
		    "this host's need not be the same: write it there again, "
		    "or give it with --me",
		    node->home->root, node->home->control);
	return found == -1 ? -1 : 0;
}

/*
 * Nobody but the operator knows what else stood there, and a domain that is not
 * in it gets no mail.
 */
static int
check_rcpthosts(const struct node *node, struct error *err)
{
	OWN_TEXT path = node_layout_path(node, LAYOUT_setting, "rcpthosts");

	if (access(path, F_OK) == 0 || errno != ENOENT)
		return 0;
	return error_set(err,
	    "the node has lost '%s': put it back, or make it with \"(cd '%s'; "
	    "cat locals; sed 's/:.*//' virtualdomains) > '%s'\" and look "
	    "through it",
	    path, node->home->control, path);
}

/* What settings of the collection are wrong. */
static void
see_queue_reason(enum setting_id id, const char *reason, void *context)
{
	struct error *err = context;

	if (id == SETTING_queue_count || id == SETTING_queue_start ||
	    id == SETTING_queue_base)
		error_set(err, "%s", reason);
}

/* The queues that are counted; none when they are another folder's. */
static int
take_queues(
    const struct node *node, struct init_options *options, struct error *err)
{
	OWN_TEXT control = node_path(node, "%s", node->home->control);
	struct error reason = { .text = "" };
	AUTO(settings_free)
	struct settings *settings = settings_load_all(
	    control, NULL, see_queue_reason, &reason);
	unsigned count = (unsigned)settings_number(
	    settings, SETTING_queue_count);
	const char *base = settings_text(settings, SETTING_queue_base);
	int result = 0;

	if (*reason.text != '\0')
		result = error_set(err, "%s", reason.text);
	else if (options->queues != INIT_UNSAID && options->queues > count)
		result = error_set(err,
		    "--queues %u: the node has %u (%s), and 'svctool queue "
		    "add' adds one and counts it",
		    options->queues, count,
		    settings_source(settings, SETTING_queue_count));
	options->queues = count;
	options->queue_start = (unsigned)settings_number(
	    settings, SETTING_queue_start);
	options->has_other_base = *base != '\0' &&
	    strcmp(base, node->home->queue) != 0;
	return result;
}

int
init_take_existing(
    const struct node *node, struct init_options *options, struct error *err)
{
	AUTO(strlist_release) struct strlist services = { .count = 0 };

	if (node_services(node, &services, err) == -1)
		return -1;
	options->is_existing = services.count > 0;
	init_say_unused(node, options);
	return options->is_existing &&
		(take_me(node, options, err) == -1 ||
		    take_queues(node, options, err) == -1 ||
		    check_rcpthosts(node, err) == -1)
	    ? -1
	    : 0;
}

int
init_complete_services(struct maker *maker, struct error *err)
{
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	int result = node_services(maker->node, &services, err);

	for (size_t i = 0; result == 0 && i < services.count; i++) {
		const char *name = services.items[i];

		if (ready_is_queue(maker->node, name))
			result = service_make_queue(maker, name, err);
		else if (node_is_listener(name))
			result = service_complete_listener(maker, name, err);
	}
	return result;
}
