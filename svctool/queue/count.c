/* SPDX-License-Identifier: ISC */
/* control/queue_count: how many queues new mail is spread over. */
#include "svctool/queue/count.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/settings.h"
#include "svctool/make.h"
#include "svctool/run/ready.h"
#include "svctool/run/service.h"

enum { NUMBER_MAX = 1000000 };

/* Is a first queue there, or none at all yet? */
static int
check_start(const struct node *node, unsigned start, const char *source,
    struct error *err)
{
	AUTO(strlist_release) struct strlist names = { .count = 0 };
	const char *other = NULL;
	bool is_there = false;
	int result = node_queues(node, &names, err);

	for (size_t i = 0; result == 0 && i < names.count; i++) {
		unsigned number = queue_count_number(names.items[i]);

		if (number == start)
			is_there = true;
		else if (number != 0 && other == NULL)
			other = names.items[i];
	}
	if (result == 0 && !is_there && other != NULL)
		result = error_set(err,
		    "the queues begin with queue%u, as %s says, and that is "
		    "not there, while %s is: is the number wrong?  Put the "
		    "first queue's there (control/queue_start), then svc -h "
		    "%s/*",
		    start, source, other, node->home->service);
	return result;
}

int
queue_count_read(const struct node *node,
    struct queue_collection *collection_out, struct error *err)
{
	AUTO(settings_free)
	struct settings *settings = settings_load(
	    node->home->control, "qmail-smtpd", NULL, err);

	if (settings == NULL)
		return -1;
	collection_out->start = (unsigned)settings_number(
	    settings, SETTING_queue_start);
	collection_out->count = (unsigned)settings_number(
	    settings, SETTING_queue_count);
	return check_start(node, collection_out->start,
	    settings_source(settings, SETTING_queue_start), err);
}

int
queue_count_write(const struct node *node, unsigned count, struct error *err)
{
	OWN_TEXT path = layout_path(node->home, LAYOUT_setting, "queue_count");
	OWN_TEXT text = xasprintf("%u\n", count);
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	int result = file_replace(
	    path, text, strlen(text), layout_rows[LAYOUT_setting].mode, err);

	if (result == 0) {
		make_say("changed", "%s: %u", path, count);
		result = node_services(node, &services, err);
	}
	for (size_t i = 0; result == 0 && i < services.count; i++)
		if (node_is_listener(services.items[i]) ||
		    ready_is_queue(node, services.items[i]))
			result = service_hangup(node, services.items[i], err);
	return result;
}

unsigned
queue_count_number(const char *name)
{
	uint64_t number;

	if (strncmp(name, "queue", 5) != 0 || name[5] == '0' ||
	    !scan_u64(name + 5, NUMBER_MAX, &number))
		return 0;
	return (unsigned)number;
}
