/* SPDX-License-Identifier: ISC */
/* Running processes, as /proc has them. */
#include "svctool/run/proc.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scan.h"

enum { LINK_SIZE = 64 };

/*
 * proc_pid_stat(5): "PID (NAME) STATE PARENT GROUP SESSION ...", and field 22
 * is the start time.
 */
bool
proc_read(pid_t pid, struct proc *proc_out)
{
	char path[64], line[512];
	const char *open, *close;
	struct stat st;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	n = fstat(fileno(file), &st) == -1
	    ? 0
	    : fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[n] = '\0';
	open = strchr(line, '(');
	close = strrchr(line, ')');
	if (open == NULL || close == NULL ||
	    sscanf(close,
		") %c %d %*s %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		"%*s %*s %*s %*s %" SCNu64,
		&proc_out->state, &proc_out->parent, &proc_out->session,
		&proc_out->started) != 4 ||
	    strchr("ZX", proc_out->state) != NULL)
		return false;
	snprintf(proc_out->name, sizeof(proc_out->name), "%.*s",
	    (int)(close - open - 1), open + 1);
	proc_out->pid = pid;
	proc_out->uid = st.st_uid;
	return true;
}

bool
proc_is_alive(pid_t pid)
{
	struct proc proc;

	return proc_read(pid, &proc);
}

void
proc_list_add(struct proc_list *list, const struct proc *proc)
{
	list->items = mem_room(list->items, list->count, sizeof(*list->items));
	list->items[list->count++] = *proc;
}

void
proc_list_release(struct proc_list *list)
{
	free(list->items);
	*list = (struct proc_list){ .count = 0 };
}

int
proc_list_all(struct proc_list *list_out, struct error *err)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;

	*list_out = (struct proc_list){ .count = 0 };
	if (dir == NULL)
		return error_sys(err, "cannot read '/proc'");
	while ((entry = readdir(dir)) != NULL) {
		struct proc proc;
		uint64_t pid;

		if (scan_u64(entry->d_name, INT_MAX, &pid) &&
		    proc_read((pid_t)pid, &proc))
			proc_list_add(list_out, &proc);
	}
	closedir(dir);
	return 0;
}

const struct proc *
proc_list_find(const struct proc_list *list, pid_t pid)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].pid == pid)
			return &list->items[i];
	return NULL;
}

/*
 * What one thread started: proc_pid_task_children(5).  Only those, as a look at
 * each process of a large host takes long.
 */
static void
list_children_of_thread(
    const char *pid, const char *thread, struct proc_list *list)
{
	char path[sizeof("/proc//task//children") + 2 * NAME_MAX];
	struct proc proc;
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%s/task/%s/children", pid, thread);
	file = fopen(path, "re");
	if (file == NULL)
		return;
	while (fscanf(file, "%d", &child) == 1)
		if (proc_read(child, &proc))
			proc_list_add(list, &proc);
	fclose(file);
}

static void
list_children(pid_t pid, struct proc_list *list)
{
	char name[32], path[64];
	const struct dirent *entry;
	DIR *dir;

	snprintf(name, sizeof(name), "%ld", (long)pid);
	snprintf(path, sizeof(path), "/proc/%s/task", name);
	dir = opendir(path);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (*entry->d_name != '.')
			list_children_of_thread(name, entry->d_name, list);
	closedir(dir);
}

/* The process and what it started; none when there is no such process. */
static void
list_tree(pid_t pid, struct proc_list *list_out)
{
	struct proc proc;

	*list_out = (struct proc_list){ .count = 0 };
	if (proc_read(pid, &proc))
		proc_list_add(list_out, &proc);
	for (size_t i = 0; i < list_out->count; i++)
		list_children(list_out->items[i].pid, list_out);
}

bool
proc_find_stopped(pid_t pid, struct proc *proc_out)
{
	AUTO(proc_list_release) struct proc_list tree = { .count = 0 };
	bool is_found = false;

	list_tree(pid, &tree);
	for (size_t i = 0; i < tree.count && !is_found; i++) {
		*proc_out = tree.items[i];
		is_found = proc_out->state == 'T';
	}
	return is_found;
}

static bool
is_link_to(const char *link, const uint64_t *inodes, size_t count)
{
	uint64_t inode;

	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
		return false;
	for (size_t i = 0; i < count; i++)
		if (inodes[i] == inode)
			return true;
	return false;
}

/* 1; 0 it has none of the sockets; -1 we may not look into it. */
static int
has_descriptor(pid_t pid, const uint64_t *inodes, size_t count)
{
	char path[64];
	const struct dirent *entry;
	int result = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
	dir = opendir(path);
	if (dir == NULL)
		return proc_is_alive(pid) ? -1 : 0;
	while (result == 0 && (entry = readdir(dir)) != NULL) {
		char link[LINK_SIZE];
		ssize_t n = readlinkat(
		    dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		result = is_link_to(link, inodes, count);
	}
	closedir(dir);
	return result;
}

int
proc_list_holder(const struct proc_list *list, const uint64_t *inodes,
    size_t count, struct proc *holder_out)
{
	int result = 0;

	for (size_t i = 0; count > 0 && i < list->count; i++) {
		int found = has_descriptor(list->items[i].pid, inodes, count);

		if (found != 0)
			result = found;
		if (found == 1) {
			*holder_out = list->items[i];
			break;
		}
	}
	return result;
}

int
proc_holds_socket(pid_t pid, const uint64_t *inodes, size_t count)
{
	AUTO(proc_list_release) struct proc_list tree = { .count = 0 };
	struct proc holder;

	list_tree(pid, &tree);
	return proc_list_holder(&tree, inodes, count, &holder);
}

bool
proc_cwd(pid_t pid, char *cwd_out, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%ld/cwd", (long)pid);
	n = readlink(path, cwd_out, size - 1);
	cwd_out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

bool
proc_works_in(pid_t pid, const char *folder)
{
	char cwd[PATH_MAX], real[PATH_MAX];
	size_t length;

	/* The kernel's paths have no symbolic links. */
	if (realpath(folder, real) == NULL)
		snprintf(real, sizeof(real), "%s", folder);
	length = strlen(real);
	return proc_cwd(pid, cwd, sizeof(cwd)) &&
	    strncmp(cwd, real, length) == 0 &&
	    (cwd[length] == '\0' || cwd[length] == '/' ||
		strcmp(cwd + length, " (deleted)") == 0);
}

/* Has the supervise that works in the folder started it? */
static bool
is_supervised_in(const struct proc *proc, const char *folder)
{
	struct proc parent;
	char cwd[PATH_MAX];

	return proc->parent > 1 && proc_read(proc->parent, &parent) &&
	    strcmp(parent.name, "supervise") == 0 &&
	    proc_cwd(parent.pid, cwd, sizeof(cwd)) && strcmp(cwd, folder) == 0;
}

pid_t
proc_find_supervised(const char *folder, pid_t said)
{
	char real[PATH_MAX];
	AUTO(proc_list_release) struct proc_list all = { .count = 0 };
	struct proc proc;
	pid_t found = said;

	if (realpath(folder, real) == NULL ||
	    (said != 0 && proc_read(said, &proc) &&
		is_supervised_in(&proc, real)))
		return said;
	proc_list_all(&all, NULL);
	for (size_t i = 0; i < all.count && found == said; i++)
		if (is_supervised_in(&all.items[i], real))
			found = all.items[i].pid;
	return found;
}
