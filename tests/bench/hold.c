/* SPDX-License-Identifier: ISC */
/*
 * hold - fills a stopped queue with messages that wait for a far destination
 *
 *   hold QUEUE COUNT RETRY_IN [DOMAINS]
 *
 * Writes COUNT messages in state S5 (docs/queue.md): mess, info and remote,
 * each a file of its own as qmail-send makes them, the next try RETRY_IN
 * seconds from now, to remote.example.net, or to d0.test to d(DOMAINS-1).test.
 * The queue's split is the number of folders in mess/. The files belong to
 * whoever owns mess/.  One sync of the filesystem at the end.  Exit: 0, 111
 * when something failed.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SPLIT_MAX = 1000 };

static const char *const areas[] = { "mess", "info", "remote" };
enum { MESS, INFO, REMOTE, AREAS };

static int folders[AREAS][SPLIT_MAX];
static struct stat owner; /* of mess/ */

static unsigned
count_split(const char *queue)
{
	char path[512];
	const struct dirent *entry;
	unsigned split = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/mess", queue);
	dir = opendir(path);
	if (dir == NULL || fstat(dirfd(dir), &owner) == -1)
		err(111, "cannot open '%s'", path);
	while ((entry = readdir(dir)) != NULL)
		split += entry->d_name[0] != '.';
	closedir(dir);
	if (split == 0 || split > SPLIT_MAX)
		errx(111, "'%s' has %u folders, not 1 to %d", path, split,
		    SPLIT_MAX);
	return split;
}

static void
open_folders(const char *queue, unsigned split)
{
	char path[512];
	unsigned area, i;

	for (area = 0; area < AREAS; area++)
		for (i = 0; i < split; i++) {
			snprintf(path, sizeof(path), "%s/%s/%u", queue,
			    areas[area], i);
			folders[area][i] = open(path, O_RDONLY | O_DIRECTORY);
			if (folders[area][i] == -1)
				err(111, "cannot open '%s'", path);
		}
}

/* Makes a file; its descriptor is the caller's. */
static int
make(int dir, const char *name, const char *data, size_t length)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd == -1)
		err(111, "cannot create '%s'", name);
	if (write(fd, data, length) != (ssize_t)length)
		err(111, "cannot write '%s'", name);
	if (fchown(fd, owner.st_uid, owner.st_gid) == -1)
		err(111, "cannot give '%s' away", name);
	return fd;
}

static void
hold(unsigned split, unsigned number, time_t retry_at, unsigned domains)
{
	static const char message[] =
	    "Received: (qmail 1 invoked by uid 0); 1 Jan 2026 00:00:00 -0000\n"
	    "From: bench@example.org\nTo: far@remote.example.net\n"
	    "Subject: held\n\nThis message waits in the queue.\n";
	static const char sender[] = "Fbench@example.org";
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = retry_at } };
	char made[32], name[32], recipient[64];
	struct stat st;
	unsigned part;
	int fd, length;

	/* Made in one split folder and moved to its own, when the inode is
	 * known. */
	snprintf(made, sizeof(made), "held.%u", number);
	fd = make(
	    folders[MESS][number % split], made, message, sizeof(message) - 1);
	if (fstat(fd, &st) == -1)
		err(111, "cannot stat '%s'", made);
	close(fd);
	part = (unsigned)(st.st_ino % split);
	snprintf(name, sizeof(name), "%ju", (uintmax_t)st.st_ino);
	if (renameat(folders[MESS][number % split], made, folders[MESS][part],
		name) == -1)
		err(111, "cannot rename '%s' to '%s'", made, name);
	length = domains == 0
	    ? snprintf(recipient, sizeof(recipient),
		  "Tfar%u@remote.example.net", number)
	    : snprintf(recipient, sizeof(recipient), "Tfar%u@d%u.test", number,
		  number % domains);
	fd = make(folders[REMOTE][part], name, recipient, (size_t)length + 1);
	if (futimens(fd, times) == -1)
		err(111, "cannot set the time of remote '%s'", name);
	close(fd);
	close(make(folders[INFO][part], name, sender, sizeof(sender)));
}

int
main(int argc, char **argv)
{
	unsigned split, count, i, domains;
	time_t retry_at;

	if (argc != 4 && argc != 5)
		errx(100, "usage: hold QUEUE COUNT RETRY_IN [DOMAINS]");
	count = (unsigned)strtoul(argv[2], NULL, 10);
	retry_at = time(NULL) + strtol(argv[3], NULL, 10);
	domains = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
	split = count_split(argv[1]);
	open_folders(argv[1], split);
	for (i = 0; i < count; i++)
		hold(split, i, retry_at, domains);
	if (syncfs(folders[MESS][0]) == -1)
		err(111, "cannot sync the filesystem of '%s'", argv[1]);
	return 0;
}
