/* SPDX-License-Identifier: ISC */
/* vbulletin: a message for all users of domains, by one inode where it can. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/domain_list.h"
#include "adminsrv/progress.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/global_vars.h"

enum { MESSAGE_MAX = 100 * 1024 * 1024, EXCLUDED_MAX = 64 * 1024 * 1024 };

static const char usage_format[] =
    "usage: %s -f message [-e excluded] [-S subscribers] [-c | -h | -s]\n"
    "                 [-nV] [domain]...\n";

struct request {
	const struct home *home;
	const char *path; /* of the message, absolute */
	struct buf message;
	struct strlist excluded; /* sorted */
	struct strlist subscribers; /* the same */
	bool has_subscribers;       /* nobody else gets it */
	char *name;              /* of the file in each Maildir */
	int way;                 /* c: copies, h: links to one copy, s */
	bool is_dry, is_verbose;
	struct progress progress;
	uint64_t count;

	/* Of one domain: the copy that others are linked to. */
	char *original;
	dev_t original_dev;
};

/*
 * The name is the same whenever the same message is sent, so that who runs it
 * again after it was killed gives nobody a second one.
 */
static char *
bulletin_name(const struct buf *message, const char *path, struct error *err)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
	struct stat st;

	if (stat(path, &st) == -1) {
		error_sys(err, "cannot look at '%s'", path);
		return NULL;
	}
	for (size_t i = 0; i < message->length; i++)
		hash = (hash ^ (unsigned char)message->data[i]) *
		    UINT64_C(1099511628211);
	return xasprintf(
	    "%" PRId64 ".B%016" PRIx64 ".bulletin", (int64_t)st.st_mtime, hash);
}

/* Has the user got it already, read or not? */
static bool
has_bulletin(const struct request *request, const char *maildir)
{
	OWN_TEXT new = xasprintf("%s/new/%s", maildir, request->name);
	OWN_TEXT cur = xasprintf("%s/cur", maildir);
	size_t length = strlen(request->name);
	DIR *folder = access(new, F_OK) == 0 ? NULL : opendir(cur);
	const struct dirent *entry;
	bool is_found = folder == NULL && access(new, F_OK) == 0;

	while (folder != NULL && !is_found && (entry = readdir(folder)) != NULL)
		is_found = strncmp(entry->d_name, request->name, length) == 0;
	if (folder != NULL)
		closedir(folder);
	return is_found;
}

/* A copy in tmp, and its name in new; with h the next ones are links to it. */
static int
put_copy(struct request *request, const char *maildir, struct error *err)
{
	OWN_TEXT tmp = xasprintf("%s/tmp/%s", maildir, request->name);
	char *new = xasprintf("%s/new/%s", maildir, request->name);
	AUTO(file_close) int fd = -1;
	struct stat st;
	int result = 0;

	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1 ||
	    file_write_all(
		fd, request->message.data, request->message.length) == -1 ||
	    fsync(fd) == -1 || fstat(fd, &st) == -1 || rename(tmp, new) == -1)
		result = error_sys(err, "cannot write '%s'", new);
	if (result == 0 && request->way == 'h') {
		free(request->original);
		request->original = new;
		request->original_dev = st.st_dev;
		return 0;
	}
	free(new);
	return result;
}

static int
put_link(struct request *request, const char *maildir, struct error *err)
{
	OWN_TEXT new = xasprintf("%s/new/%s", maildir, request->name);
	struct stat st;

	if (request->way == 's')
		return symlink(request->path, new) == -1
		    ? error_sys(err, "cannot make the link '%s'", new)
		    : 0;
	/* The first of a filesystem, or of a file with all links it may have;
	 * the one that was linked to may have been read and moved. */
	if (request->original == NULL || stat(maildir, &st) == -1 ||
	    st.st_dev != request->original_dev)
		return put_copy(request, maildir, err);
	if (link(request->original, new) == 0)
		return 0;
	if (errno == EMLINK || errno == ENOENT || errno == EXDEV)
		return put_copy(request, maildir, err);
	return error_sys(err, "cannot make the link '%s'", new);
}

static int
give_user(struct request *request, const struct vpasswd_entry *entry,
    const char *domain, struct error *err)
{
	OWN_TEXT address = xasprintf("%s@%s", entry->name, domain);
	OWN_TEXT maildir = xasprintf("%s/Maildir", entry->dir);
	struct stat st;
	int result;

	if ((entry->uid_flags & VPASSWD_INACTIVE) != 0 ||
	    strlist_find(&request->excluded, address) ||
	    (request->has_subscribers &&
		!strlist_find(&request->subscribers, address)) ||
	    stat(maildir, &st) == -1)
		return 0;
	if (request->is_verbose)
		puts(address);
	if (request->is_dry || has_bulletin(request, maildir))
		return 0;
	result = request->way == 'c' ? put_copy(request, maildir, err)
				     : put_link(request, maildir, err);
	request->count += result == 0;
	progress_add(&request->progress, 1);
	return result;
}

static int
sync_domain(const char *dir, struct error *err)
{
	AUTO(file_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd == -1 || syncfs(fd) == -1
	    ? error_sys(err, "cannot sync the filesystem of '%s'", dir)
	    : 0;
}

static enum admin_result
give_domain(const struct users_at *at, void *context, struct error *err)
{
	struct request *request = context;
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result = users_open_to_read(at, &users, err);
	const struct vpasswd_entry *entry;
	int found = 0;

	free(request->original);
	request->original = NULL;
	while (
	    result == ADMIN_OK && (found = users_next(users, &entry, err)) == 1)
		if (give_user(request, entry, at->domain, err) == -1)
			result = ADMIN_FAILED;
	if (found == -1)
		result = ADMIN_FAILED;
	return result == ADMIN_OK && !request->is_dry
	    ? admin_result_of(sync_domain(at->dir, err))
	    : result;
}

/* One address a line; sorted. */
static int
read_addresses(const char *path, struct strlist *list, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = file_read(path, EXCLUDED_MAX, &text, err);
	char *rest = text.data, *line;

	if (found == 0)
		return error_set(err, "there is no file '%s'", path);
	while (found == 1 && (line = strsep(&rest, "\n")) != NULL) {
		struct names_address address;
		OWN_TEXT plain = NULL;

		line += strspn(line, " \t");
		line[strcspn(line, " \t\r")] = '\0';
		if (*line == '\0' || *line == '#')
			continue;
		if (names_address(line, &address, err) == -1)
			return error_context(err, "'%s'", path);
		plain = xasprintf("%s@%s", address.local, address.domain);
		strlist_add(list, plain);
	}
	strlist_sort(list);
	return found == -1 ? -1 : 0;
}

static int
read_message(struct request *request, const char *path, struct error *err)
{
	static char absolute[PATH_MAX];
	int found = file_read(path, MESSAGE_MAX, &request->message, err);

	if (found == 0)
		return error_set(err, "there is no file '%s'", path);
	if (found == -1)
		return -1;
	if (realpath(path, absolute) == NULL)
		return error_sys(err, "cannot find '%s'", path);
	request->path = absolute;
	request->name = bulletin_name(&request->message, path, err);
	return request->name == NULL ? -1 : 0;
}

static enum admin_result
give_all(struct request *request, char *const domains[], struct error *err)
{
	enum admin_result result = ADMIN_OK;

	progress_begin(&request->progress, "delivering", 0);
	if (*domains == NULL)
		result = domain_list_each(
		    request->home, give_domain, request, err);
	for (; result == ADMIN_OK && *domains != NULL; domains++)
		result = domain_list_one(
		    request->home, *domains, give_domain, request, err);
	progress_end(&request->progress);
	return result;
}

int
main(int argc, char **argv)
{
	OWN_TEXT usage = NULL;
	AUTO(home_free) struct home *home = NULL;
	struct request request = { .way = 'c' };
	const char *message = NULL, *excluded = NULL, *subscribers = NULL;
	enum admin_result result;
	struct error err;
	int option;

	usage = xasprintf(usage_format, program_invocation_short_name);
	cli_start(program_invocation_short_name, argv, usage);
	while ((option = getopt(argc, argv, "ce:f:hnsS:vV")) != -1) {
		if (option == 'e')
			excluded = optarg;
		else if (option == 'f')
			message = optarg;
		else if (option == 'S')
			subscribers = optarg;
		else if (option == 'n')
			request.is_dry = true;
		else if (option == 'v' || option == 'V')
			request.is_verbose = true;
		else if (option == '?')
			cli_usage(usage);
		else
			request.way = option;
	}
	if (message == NULL)
		cli_usage(usage);
	buf_init(&request.message);
	if (read_message(&request, message, &err) == -1 ||
	    (excluded != NULL &&
		read_addresses(excluded, &request.excluded, &err) == -1) ||
	    (subscribers != NULL &&
		read_addresses(subscribers, &request.subscribers, &err) == -1))
		return cli_end(ADMIN_REFUSED, &err);
	request.has_subscribers = subscribers != NULL;
	request.home = home = global_vars_home();
	result = give_all(&request, argv + optind, &err);
	if (result == ADMIN_OK && request.is_verbose && !request.is_dry)
		printf("%" PRIu64 " delivered\n", request.count);
	buf_release(&request.message);
	strlist_release(&request.excluded);
	strlist_release(&request.subscribers);
	free(request.name);
	free(request.original);
	return cli_end(result, &err);
}
