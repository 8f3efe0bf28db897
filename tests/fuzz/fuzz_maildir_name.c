/* SPDX-License-Identifier: ISC */
/*
 * Names of messages in a Maildir that other programs share, one a line: what
 * they say of sizes and flags is added up, and never more than is there.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "mailbox/quota_scan.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAMES_MAX = 16, CONTENT = 7 };

static int
make_folder(const char *name)
{
	static char *cur;
	int fd;

	if (cur == NULL)
		cur = xasprintf("%s/cur", scratch_dir());
	file_remove_tree(cur, NULL);
	if (mkdir(cur, 0700) == -1)
		abort();
	fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fd != -1);
	return fd;
}

/* Makes the message; false when that can be no name. */
static bool
put_message(int maildir_fd, const char *name)
{
	char *path;
	int fd;

	if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL)
		return false;
	path = xasprintf("cur/%s", name);
	fd = openat(maildir_fd, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	free(path);
	if (fd == -1)
		return false; /* too long, or there already */
	assert(write(fd, "content", CONTENT) == CONTENT);
	close(fd);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size), *rest = text, *name;
	int maildir_fd = make_folder(scratch_dir());
	struct quota_usage usage;
	struct error err = { "" };
	int64_t count = 0;

	while (count < NAMES_MAX && (name = strsep(&rest, "\n")) != NULL)
		count += put_message(maildir_fd, name);
	assert(quota_scan(maildir_fd, &usage, &err) == 0);
	assert(usage.count >= 0 && usage.count <= count);
	assert(usage.bytes >= 0 && usage.bytes <= usage.count << 40);
	close(maildir_fd);
	free(text);
	return 0;
}
