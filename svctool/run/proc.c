/* SPDX-License-Identifier: ISC */
/* The running processes of a node, from /proc. */
#include "svctool/run/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "svctool/run/proc_private.h"

enum { ENVIRONMENT_MAX = 1 << 20, GENERATIONS_MAX = 8 };

bool
proc_is_ours(const char *name)
{
	static const char *const names[] = { "svscan", "supervise", "multilog",
		"qmail-start", "qmail-send", "qmail-vdeliver", "qmail-smtpd" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* "PID (NAME) STATE PARENT ..." */
bool
proc_read(pid_t pid, struct proc *proc_out)
{
	char path[64], line[256], state;
	const char *open, *close;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	n = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[n] = '\0';
	open = strchr(line, '(');
	close = strrchr(line, ')');
	if (open == NULL || close == NULL ||
	    sscanf(close, ") %c %d", &state, &proc_out->parent) != 2 ||
	    state == 'Z' || state == 'X')
		return false;
	snprintf(proc_out->name, sizeof(proc_out->name), "%.*s",
	    (int)(close - open - 1), open + 1);
	proc_out->pid = pid;
	proc_out->state = state;
	return true;
}

/* Its working folder, or false. */
static bool
read_cwd(pid_t pid, char cwd_out[PATH_MAX])
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%ld/cwd", (long)pid);
	n = readlink(path, cwd_out, PATH_MAX - 1);
	if (n <= 0)
		return false;
	cwd_out[n] = '\0';
	return true;
}

static bool
is_below(const char *path, const char *root)
{
	size_t length = strlen(root);

	return strncmp(path, root, length) == 0 &&
	    (path[length] == '/' || path[length] == '\0');
}

/* Was it started with MQMAIL_HOME=root? */
static bool
has_home(pid_t pid, const char *root)
{
	char path[64];
	struct buf buf;
	bool result = false;

	snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
	buf_init(&buf);
	if (file_read(path, ENVIRONMENT_MAX, &buf, NULL) == 1) {
		const char *at = buf.data;
		const char *end = buf.data + buf.length;

		for (; at < end && !result; at += strlen(at) + 1)
			result = strncmp(at, "MQMAIL_HOME=", 12) == 0 &&
			    strcmp(at + 12, root) == 0;
	}
	buf_release(&buf);
	return result;
}

int
proc_each(bool (*visit)(const struct proc *proc, void *context), void *context,
    struct error *err)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;

	if (dir == NULL)
		return error_sys(err, "cannot read '/proc'");
	while ((entry = readdir(dir)) != NULL) {
		struct proc proc;
		uint64_t pid;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !scan_u64(entry->d_name, INT_MAX, &pid) ||
		    !proc_read((pid_t)pid, &proc))
			continue;
		if (visit(&proc, context))
			break;
	}
	closedir(dir);
	return 0;
}

bool
proc_is_alive(pid_t pid)
{
	struct proc proc;

	return proc_read(pid, &proc);
}

bool
proc_descends(const struct proc *proc, pid_t ancestor)
{
	struct proc at = *proc;

	for (int i = 0; i < GENERATIONS_MAX && at.parent > 1; i++) {
		if (at.parent == ancestor)
			return true;
		if (!proc_read(at.parent, &at))
			return false;
	}
	return false;
}

struct node_search {
	char root[PATH_MAX];
	struct proc_list *list;
};

/* The kernel's paths have no symbolic links. */
static void
resolve(const char *root, char out[PATH_MAX])
{
	if (realpath(root, out) == NULL)
		snprintf(out, PATH_MAX, "%s", root);
}

static bool
is_of_root(pid_t pid, const char *root)
{
	char cwd[PATH_MAX];

	return (read_cwd(pid, cwd) && is_below(cwd, root)) ||
	    has_home(pid, root);
}

bool
proc_is_of_node(pid_t pid, const char *root)
{
	char real[PATH_MAX];

	resolve(root, real);
	return is_of_root(pid, real);
}

static bool
visit_node(const struct proc *proc, void *context)
{
	const struct node_search *search = context;

	if (!proc_is_ours(proc->name) || !is_of_root(proc->pid, search->root))
		return false;
	search->list->items = xrealloc(search->list->items,
	    (search->list->count + 1) * sizeof(*search->list->items));
	search->list->items[search->list->count++] = *proc;
	return false;
}

int
proc_find_node(const char *root, struct proc_list *list_out, struct error *err)
{
	struct node_search search = { .list = list_out };

	list_out->items = NULL;
	list_out->count = 0;
	resolve(root, search.root);
	return proc_each(visit_node, &search, err);
}

void
proc_list_release(struct proc_list *list)
{
	free(list->items);
	list->items = NULL;
	list->count = 0;
}

struct svscan_search {
	char folder[PATH_MAX];
	pid_t pid;
};

/*
 * Of another user's process only the command line is to be seen: "svscan",
 * FOLDER.
 */
static bool
has_folder_argument(pid_t pid, const char *folder)
{
	char path[64], real[PATH_MAX];
	struct buf buf;
	const char *argument = NULL;
	bool result;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
	buf_init(&buf);
	if (file_read(path, ENVIRONMENT_MAX, &buf, NULL) == 1 &&
	    strlen(buf.data) + 1 < buf.length)
		argument = buf.data + strlen(buf.data) + 1;
	result = argument != NULL && realpath(argument, real) != NULL &&
	    strcmp(real, folder) == 0;
	buf_release(&buf);
	return result;
}

static bool
visit_svscan(const struct proc *proc, void *context)
{
	struct svscan_search *search = context;
	char cwd[PATH_MAX];

	if (strcmp(proc->name, "svscan") != 0 ||
	    !(read_cwd(proc->pid, cwd)
		    ? strcmp(cwd, search->folder) == 0
		    : has_folder_argument(proc->pid, search->folder)))
		return false;
	search->pid = proc->pid;
	return true;
}

pid_t
proc_find_svscan(const char *service_dir)
{
	struct svscan_search search = { .pid = 0 };

	if (realpath(service_dir, search.folder) == NULL)
		return 0;
	proc_each(visit_svscan, &search, NULL);
	return search.pid;
}

struct child_search {
	char folder[PATH_MAX];
	pid_t pid;
};

/* Is it what the supervise that works in the folder has started? */
static bool
visit_supervised(const struct proc *proc, void *context)
{
	struct child_search *search = context;
	struct proc parent;
	char cwd[PATH_MAX];

	if (proc->parent <= 1 || !proc_read(proc->parent, &parent) ||
	    strcmp(parent.name, "supervise") != 0 ||
	    !read_cwd(parent.pid, cwd) || strcmp(cwd, search->folder) != 0)
		return false;
	search->pid = proc->pid;
	return true;
}

pid_t
proc_find_supervised(const char *folder, pid_t said)
{
	struct child_search search = { .pid = 0 };
	struct proc proc;

	if (realpath(folder, search.folder) == NULL)
		return said;
	if (said != 0 && proc_read(said, &proc) &&
	    visit_supervised(&proc, &search))
		return said;
	proc_each(visit_supervised, &search, NULL);
	return search.pid != 0 ? search.pid : said;
}

struct stopped_search {
	pid_t ancestor;
	struct proc *proc;
	bool is_found;
};

static bool
visit_stopped(const struct proc *proc, void *context)
{
	struct stopped_search *search = context;

	if (proc->state != 'T' ||
	    (proc->pid != search->ancestor &&
		!proc_descends(proc, search->ancestor)))
		return false;
	*search->proc = *proc;
	search->is_found = true;
	return true;
}

bool
proc_find_stopped(pid_t pid, struct proc *proc_out)
{
	struct stopped_search search = { .ancestor = pid, .proc = proc_out };

	proc_each(visit_stopped, &search, NULL);
	return search.is_found;
}

bool
proc_is_in_removed(pid_t pid)
{
	static const char mark[] = " (deleted)";
	const size_t mark_length = sizeof(mark) - 1;
	char cwd[PATH_MAX];
	size_t length;

	if (!read_cwd(pid, cwd))
		return false;
	length = strlen(cwd);
	/* The kernel's mark, and not the end of a name. */
	return length > mark_length &&
	    strcmp(cwd + length - mark_length, mark) == 0 &&
	    access(cwd, F_OK) == -1;
}
