/* SPDX-License-Identifier: ISC */
/* Which process holds a socket, from /proc. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "svctool/run/proc_private.h"

enum { LINK_SIZE = 64 };

static bool
is_one_of(const char *link, const uint64_t *inodes, size_t count)
{
	uint64_t inode;

	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
		return false;
	for (size_t i = 0; i < count; i++)
		if (inodes[i] == inode)
			return true;
	return false;
}

/* The descriptors of one process, as proc_holds_socket(). */
static int
look_into(pid_t pid, const uint64_t *inodes, size_t count)
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

		if (n <= 0)
			continue;
		link[n] = '\0';
		result = is_one_of(link, inodes, count);
	}
	closedir(dir);
	return result;
}

struct socket_search {
	pid_t ancestor;
	const uint64_t *inodes;
	size_t count;
	int result;
};

static bool
visit_child(const struct proc *proc, void *context)
{
	struct socket_search *search = context;
	int found;

	if (!proc_descends(proc, search->ancestor))
		return false;
	found = look_into(proc->pid, search->inodes, search->count);
	if (found != 0)
		search->result = found;
	return found == 1;
}

int
proc_holds_socket(pid_t pid, const uint64_t *inodes, size_t count)
{
	struct socket_search search = {
		.ancestor = pid, .inodes = inodes, .count = count
	};

	if (count == 0)
		return 0;
	search.result = look_into(pid, inodes, count);
	/* A wrapper (strace, say) may stand between supervise and it. */
	if (search.result == 0)
		proc_each(visit_child, &search, NULL);
	return search.result;
}

struct holder_search {
	const uint64_t *inodes;
	size_t count;
	struct proc *proc;
	int result;
};

static bool
visit_holder(const struct proc *proc, void *context)
{
	struct holder_search *search = context;
	int found = look_into(proc->pid, search->inodes, search->count);

	if (found != 0)
		search->result = found;
	if (found == 1)
		*search->proc = *proc;
	return found == 1;
}

int
proc_find_holder(const uint64_t *inodes, size_t count, struct proc *proc_out)
{
	struct holder_search search = {
		.inodes = inodes, .count = count, .proc = proc_out
	};

	if (count > 0)
		proc_each(visit_holder, &search, NULL);
	return search.result;
}
