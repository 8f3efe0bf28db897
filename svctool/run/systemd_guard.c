/* SPDX-License-Identifier: ISC */
/* Services that systemd runs, by the units of svctool systemd. */
#include "svctool/run/systemd_guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "svctool/run/proc.h"

enum { CGROUP_MAX = 64 * 1024 };

static const char unit_prefix[] = "mqmail-";
static const char unit_suffix[] = ".service";

/* One part of a path: is it the name of such a unit? */
static bool
read_unit(const char *part, size_t length, char name_out[SYSTEMD_NAME_SIZE])
{
	const size_t before = sizeof(unit_prefix) - 1;
	const size_t behind = sizeof(unit_suffix) - 1;
	size_t name_length = length - before - behind;

	if (length <= before + behind || name_length >= SYSTEMD_NAME_SIZE ||
	    memcmp(part, unit_prefix, before) != 0 ||
	    memcmp(part + length - behind, unit_suffix, behind) != 0)
		return false;
	memcpy(name_out, part + before, name_length);
	name_out[name_length] = '\0';
	return true;
}

/*
 * cgroups(7), a line for each hierarchy:
 *
 *	ID ":" CONTROLLERS ":" PATH
 *
 * systemd names folders in that without controllers (version 2), or in its own.
 */
static bool
read_line(const char *line, const char *end, char name_out[SYSTEMD_NAME_SIZE])
{
	static const char own[] = "name=systemd";
	const char *list = memchr(line, ':', (size_t)(end - line));
	const char *path;

	if (list == NULL)
		return false;
	list++;
	path = memchr(list, ':', (size_t)(end - list));
	if (path == NULL ||
	    !(path == list ||
		((size_t)(path - list) == sizeof(own) - 1 &&
		    memcmp(list, own, sizeof(own) - 1) == 0)))
		return false;
	while (path < end) {
		const char *part = path + 1;

		path = memchr(part, '/', (size_t)(end - part));
		if (path == NULL)
			path = end;
		if (read_unit(part, (size_t)(path - part), name_out))
			return true;
	}
	return false;
}

bool
systemd_guard_parse(
    const char *cgroup, size_t length, char name_out[SYSTEMD_NAME_SIZE])
{
	const char *line = cgroup, *end = cgroup + length;

	while (line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));

		if (newline == NULL)
			newline = end;
		if (read_line(line, newline, name_out))
			return true;
		line = newline + 1;
	}
	return false;
}

/* 1 with the service's name; 0, also when the process has gone; -1. */
static int
find_service(pid_t pid, char name_out[SYSTEMD_NAME_SIZE], struct error *err)
{
	char path[64];
	struct buf buf;
	int result;

	snprintf(path, sizeof(path), "/proc/%ld/cgroup", (long)pid);
	buf_init(&buf);
	result = file_read(path, CGROUP_MAX, &buf, err);
	if (result == 1)
		result = systemd_guard_parse(buf.data, buf.length, name_out);
	else if (result == -1 && !proc_is_alive(pid))
		result = 0;
	buf_release(&buf);
	return result;
}

/*
 * A unit of that name may be the operator's own, and have started svscan: only
 * those of services are meant.
 */
static bool
is_meant(const struct node *node, const char *name, const char *service)
{
	char *folder;
	bool result;

	if (service != NULL)
		return strcmp(name, service) == 0;
	folder = node_path(node, "%s/%s", node->home->service, name);
	result = access(folder, F_OK) == 0;
	free(folder);
	return result;
}

int
systemd_guard(const struct node *node, const char *service, struct error *err)
{
	struct proc_list list;
	char name[SYSTEMD_NAME_SIZE];
	int result = proc_find_node(node->home->root, &list, err);

	for (size_t i = 0; result == 0 && i < list.count; i++) {
		const struct proc *proc = &list.items[i];

		result = find_service(proc->pid, name, err);
		if (result == 1 && !is_meant(node, name, service))
			result = 0;
		if (result == 1 && service != NULL)
			result = error_set(err,
			    "'%s' runs under systemd (process %ld, %s): first "
			    "'systemctl stop mqmail-%s.service'",
			    name, (long)proc->pid, proc->name, name);
		else if (result == 1)
			result = error_set(err,
			    "the node runs under systemd (process %ld, %s, is "
			    "of mqmail-%s.service): use 'systemctl start', "
			    "'stop' or 'restart mqmail.target', or, to run it "
			    "under svscan, first 'systemctl disable --now "
			    "mqmail.target'",
			    (long)proc->pid, proc->name, name);
	}
	proc_list_release(&list);
	return result;
}
