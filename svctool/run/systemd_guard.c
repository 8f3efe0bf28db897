/* SPDX-License-Identifier: ISC */
/* Services that systemd runs, by the units of svctool systemd. */
#include "svctool/run/systemd_guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "svctool/run/proc.h"

enum { CGROUP_MAX = 64 * 1024 };

/*
 * cgroups(7): a line "ID:CONTROLLERS:PATH" for each hierarchy; the unit's name
 * is a folder of the path, and may have folders below it.
 */
bool
systemd_guard_is_unit(const char *cgroup, const char *service)
{
	OWN_TEXT unit = xasprintf("/mqmail-%s.service", service);
	const char *at = cgroup;
	bool is_found = false;

	while (!is_found && (at = strstr(at, unit)) != NULL) {
		at += strlen(unit);
		is_found = strchr("/\n", *at) != NULL;
	}
	return is_found;
}

/* The service in whose unit the process is.  1, 0 or -1. */
static int
find_unit(const struct proc *proc, const struct strlist *services,
    const char **service_out, struct error *err)
{
	AUTO(buf_release) struct buf cgroup = BUF_INIT;
	char path[64];
	int result;

	snprintf(path, sizeof(path), "/proc/%ld/cgroup", (long)proc->pid);
	result = file_read(path, CGROUP_MAX, &cgroup, err);
	if (result == -1 && !proc_is_alive(proc->pid))
		result = 0;
	*service_out = NULL;
	for (size_t i = 0; result == 1 && i < services->count; i++)
		if (systemd_guard_is_unit(cgroup.data, services->items[i]))
			*service_out = services->items[i];
	return result == -1 ? -1 : *service_out != NULL;
}

static int
say_unit(const struct proc *proc, const char *unit, bool is_one_meant,
    struct error *err)
{
	if (is_one_meant)
		return error_set(err,
		    "'%s' runs under systemd (process %ld, %s): first "
		    "'systemctl stop mqmail-%s.service'",
		    unit, (long)proc->pid, proc->name, unit);
	return error_set(err,
	    "the node runs under systemd (process %ld, %s, is of "
	    "mqmail-%s.service): use 'systemctl start', 'stop' or 'restart "
	    "mqmail.target', or, to run it under svscan, first 'systemctl "
	    "disable --now mqmail.target'",
	    (long)proc->pid, proc->name, unit);
}

int
systemd_guard(const struct node *node, const char *service, struct error *err)
{
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	AUTO(proc_list_release) struct proc_list all = { .count = 0 };
	int result = 0;

	/* A unit of another name is the operator's own, and may start us. */
	if (service != NULL)
		strlist_add(&services, service);
	else
		result = node_services(node, &services, err);
	if (result == 0)
		result = proc_list_all(&all, err);
	for (size_t i = 0; result == 0 && i < all.count; i++) {
		const struct proc *proc = &all.items[i];
		const char *unit;

		if (proc_works_in(proc->pid, node->home->root))
			result = find_unit(proc, &services, &unit, err);
		if (result == 1)
			result = say_unit(proc, unit, service != NULL, err);
	}
	return result;
}
