/* SPDX-License-Identifier: ISC */
/* One message for many users, kept once. */
#include "mailbox/bulletin.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "mailbox/maildir.h"
#include "mailbox/maildir_file.h"
#include "mailbox/quota.h"

enum { MESSAGE_MAX = 64 * 1024 * 1024, NAME_LENGTH_MAX = 100 };

struct bulletin {
	struct buf text;
	char name[MAILDIR_NAME_SIZE];       /* in tmp */
	char final[MAILDIR_NAME_SIZE + 32]; /* in new, with its size */
	int root_fd;
	char *root;
	int first_fd; /* the file that the others are names of; -1: none yet */
};

static bool
is_name(const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			return false;
	return *name != '\0' && strlen(name) <= NAME_LENGTH_MAX;
}

struct bulletin *
bulletin_open(const char *path, const char *root, const char *name,
    const char *host, struct error *err)
{
	struct bulletin *bulletin;
	char escaped[MAILDIR_HOST_SIZE];
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;

	if (fd == -1) {
		error_sys(err, "cannot open folder '%s'", root);
		return NULL;
	}
	bulletin = xcalloc(1, sizeof(*bulletin));
	bulletin->root_fd = fd;
	bulletin->root = xstrdup(root);
	bulletin->first_fd = -1;
	maildir_escape(host, escaped, sizeof(escaped));
	result = file_read(path, MESSAGE_MAX, &bulletin->text, err);
	if (result == 0)
		error_set(err, "there is no file '%s'", path);
	if (result == 1 && name != NULL && !is_name(name))
		result = error_set(err,
		    "'%.40s' is no name: letters, digits, '-' and '_'", name);
	if (result != 1) {
		bulletin_close(&bulletin);
		return NULL;
	}
	if (name == NULL)
		maildir_make_name(bulletin->name, escaped);
	else
		snprintf(bulletin->name, sizeof(bulletin->name),
		    "%lld.B%s.%.60s", (long long)time(NULL), name, escaped);
	snprintf(bulletin->final, sizeof(bulletin->final), "%s,S=%zu",
	    bulletin->name, bulletin->text.length);
	return bulletin;
}

void
bulletin_close(struct bulletin **bulletin_in)
{
	struct bulletin *bulletin = *bulletin_in;

	if (bulletin == NULL)
		return;
	file_close(&bulletin->first_fd);
	file_close(&bulletin->root_fd);
	buf_release(&bulletin->text);
	free(bulletin->root);
	free(bulletin);
	*bulletin_in = NULL;
}

/* Behind the seconds, which are another run's; in front of ",S=" or ":2,". */
static bool
is_same(const struct bulletin *bulletin, const char *entry)
{
	const char *mine = strchr(bulletin->name, '.');
	const char *its = strchr(entry, '.');
	size_t length = strlen(mine);

	return its != NULL && strncmp(its, mine, length) == 0 &&
	    (its[length] == ',' || its[length] == ':' || its[length] == '\0');
}

/* Is it in the Maildir's folder?  1, 0, -1. */
static int
is_in(const struct bulletin *bulletin, const struct maildir *maildir,
    const char *part, struct error *err)
{
	int fd = openat(maildir->dir_fd, part,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int found = 0;

	if (dir == NULL) {
		error_sys(err, "cannot open folder '%s'", part);
		file_close(&fd);
		return -1;
	}
	while (found == 0 && (entry = readdir(dir)) != NULL)
		found = is_same(bulletin, entry->d_name);
	closedir(dir);
	return found;
}

/* The first on its filesystem. */
static int
put_copy(struct bulletin *bulletin, struct maildir *maildir, struct error *err)
{
	struct iovec part = { bulletin->text.data, bulletin->text.length };
	struct maildir_file file;

	if (maildir_file_create(&file, maildir, bulletin->name, err) == -1)
		return -1;
	if (maildir_file_add(&file, &part, 1, err) == -1 ||
	    maildir_file_sync(&file, err) == -1 ||
	    maildir_file_publish(&file, err) == -1) {
		maildir_file_discard(&file);
		return -1;
	}
	file_close(&bulletin->first_fd);
	bulletin->first_fd = openat(maildir->new_fd, bulletin->final,
	    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return 0;
}

static int
put_name(struct bulletin *bulletin, struct maildir *maildir, struct error *err)
{
	char path[64];

	if (bulletin->first_fd == -1)
		return put_copy(bulletin, maildir, err);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", bulletin->first_fd);
	/* Without a journal the number of names is the file's own to sync. */
	if (linkat(AT_FDCWD, path, maildir->new_fd, bulletin->final,
		AT_SYMLINK_FOLLOW) == 0)
		return fsync(bulletin->first_fd) == 0
		    ? 0
		    : error_sys(err, "cannot sync '%s'", bulletin->final);
	/* Another filesystem, too many names, or the user has removed it. */
	if (errno == EXDEV || errno == EMLINK || errno == ENOENT)
		return put_copy(bulletin, maildir, err);
	return error_sys(err, "cannot link '%s'", bulletin->final);
}

static int
put_into(struct bulletin *bulletin, struct maildir *maildir, struct error *err)
{
	const struct quota_usage added = { (int64_t)bulletin->text.length, 1 };
	int found = is_in(bulletin, maildir, "new", err);

	if (found == 0)
		found = is_in(bulletin, maildir, "cur", err);
	if (found != 0)
		return found == 1 ? 0 : -1;
	if (put_name(bulletin, maildir, err) == -1)
		return -1;
	if (fsync(maildir->new_fd) == -1)
		return error_sys(err, "cannot sync folder 'new'");
	/* It is there; a cache that is wrong heals itself. */
	quota_add(maildir->dir_fd, &added, NULL);
	return 1;
}

int
bulletin_put(struct bulletin *bulletin, const char *user_dir, struct error *err)
{
	size_t root = strlen(bulletin->root);
	struct maildir maildir = MAILDIR_INIT;
	AUTO(file_close) int user_fd = -1;
	int result = -1;

	while (root > 1 && bulletin->root[root - 1] == '/')
		root--;
	if (strncmp(user_dir, bulletin->root, root) != 0 ||
	    user_dir[root] != '/')
		return error_set(err, "folder '%s' is not below '%s'", user_dir,
		    bulletin->root);
	user_fd = maildir_open_beneath(bulletin->root_fd, user_dir + root + 1);
	if (user_fd == -1)
		return error_sys(err, "cannot open folder '%s'", user_dir);
	if (maildir_open(user_fd, "Maildir", &maildir, err) == 0)
		result = put_into(bulletin, &maildir, err);
	maildir_release(&maildir);
	if (result == -1)
		error_context(err, "'%s'", user_dir);
	return result;
}
