/* SPDX-License-Identifier: ISC */
/* svctool queue hold and release: holdlocal.QUEUE, holdremote.QUEUE, HUP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/settings.h"
#include "queue/health.h"
#include "svctool/make.h"
#include "svctool/queue/ops.h"
#include "svctool/run/service.h"
#include "svctool/wait.h"

/* Writes the flag file, or removes it. */
static int
set_flag(const struct node *node, const char *setting, const char *name,
    bool is_held, struct error *err)
{
	OWN_TEXT path = xasprintf(
	    "%s/%s.%s", node->home->control, setting, name);
	int result = 0;

	if (is_held) {
		result = file_replace(
		    path, "1\n", 2, layout_rows[LAYOUT_setting].mode, err);
		if (result == 0)
			make_say("wrote", "%s: 1", path);
	} else if (unlink(path) == 0)
		make_say("removed", "%s", path);
	else if (errno != ENOENT)
		result = error_sys(err, "cannot remove '%s'", path);
	return result;
}

/* What the settings say now, of which the queue must be told. */
static int
wanted(const struct node *node, const char *name, bool *local_out,
    bool *remote_out, struct error *err)
{
	AUTO(settings_free)
	struct settings *settings = settings_load(
	    node->home->control, "qmail-send", name, err);

	if (settings == NULL)
		return -1;
	*local_out = settings_flag(settings, SETTING_holdlocal);
	*remote_out = settings_flag(settings, SETTING_holdremote);
	return 0;
}

/* Until the queue's health says what the settings say. */
static int
wait_told(const struct node *node, const char *name, unsigned timeout_s,
    struct error *err)
{
	OWN_TEXT queue = node_path(node, "%s/%s", node->home->queue, name);
	int64_t deadline = clock_ms() + timeout_s * 1000L;
	bool is_local, is_remote;
	struct health health;

	if (wanted(node, name, &is_local, &is_remote, err) == -1)
		return -1;
	do {
		int found = health_read(queue, &health, err);

		if (found == -1)
			return -1;
		if (found == 0 || health.state == HEALTH_DOWN) {
			make_say("note",
			    "%s is down: this counts from its next start on",
			    name);
			return 0;
		}
		if (health.is_held_local == is_local &&
		    health.is_held_remote == is_remote) {
			make_say("now",
			    "%s: local deliveries %s, remote deliveries %s",
			    name, is_local ? "are held" : "go on",
			    is_remote ? "are held" : "go on");
			return 0;
		}
	} while (wait_more(deadline));
	return error_set(err,
	    "%s did not take the change in %u s: its log '%s/%s/current' may "
	    "say why",
	    name, timeout_s, node->home->log, name);
}

/*
 * A release that leaves something held must say so: the setting without a
 * queue's name holds every queue that has none of its own.
 */
static int
check_released(const struct node *node, const char *name, bool of_local,
    bool of_remote, struct error *err)
{
	bool is_local, is_remote;

	if (wanted(node, name, &is_local, &is_remote, err) == -1)
		return -1;
	if ((of_local && is_local) || (of_remote && is_remote))
		return error_set(err,
		    "%s is still held, by '%s/%s', which holds every queue: "
		    "remove that file, then svc -h %s/*",
		    name, node->home->control,
		    of_local && is_local ? "holdlocal" : "holdremote",
		    node->home->service);
	return 0;
}

/* A message's number is given where a queue is wanted: say how it is meant. */
static int
must_be_queue(
    const struct node *node, const char *name, bool is_held, struct error *err)
{
	uint64_t id;

	if (queue_must_exist(node, name, err) == 0)
		return 0;
	return scan_u64(name, UINT64_MAX, &id)
	    ? error_set(err,
		  "no queue has the name '%s'; a message is meant by 'svctool "
		  "queue %s --id %s'",
		  name, is_held ? "hold" : "release", name)
	    : -1;
}

static int
change(const struct node *node, const char *name,
    const struct queue_op_options *options, bool is_held, struct error *err)
{
	bool is_both = !options->is_local && !options->is_remote;

	if (must_be_queue(node, name, is_held, err) == -1 ||
	    ((options->is_local || is_both) &&
		set_flag(node, "holdlocal", name, is_held, err) == -1) ||
	    ((options->is_remote || is_both) &&
		set_flag(node, "holdremote", name, is_held, err) == -1) ||
	    service_hangup(node, name, err) == -1 ||
	    wait_told(node, name, options->timeout_s, err) == -1)
		return -1;
	return is_held
	    ? 0
	    : check_released(node, name, options->is_local || is_both,
		  options->is_remote || is_both, err);
}

int
queue_hold(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err)
{
	return change(node, name, options, true, err);
}

int
queue_release(const struct node *node, const char *name,
    const struct queue_op_options *options, struct error *err)
{
	return change(node, name, options, false, err);
}
