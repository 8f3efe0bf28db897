/* SPDX-License-Identifier: ISC */
/* What a session sees of a Maildir. */
#include "pop3/maildrop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "mailbox/maildir.h"
#include "mailbox/quota.h"

enum {
	OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	/* The budget is asked for so much at once. */
	MEMORY_STEP = 64 * 1024
};

/* How much of a file's name stays with the message. */
static size_t
base_length(const char *name)
{
	return strcspn(name, ":");
}

/* The number behind ",X=" in the part of the name that stays. */
static bool
name_number(const char *name, const char *mark, uint64_t *number_out)
{
	const char *end = name + base_length(name);
	const char *at = strstr(name, mark);

	if (at == NULL || at >= end)
		return false;
	at += strlen(mark);
	return scan_u64n(at, strcspn(at, ",:"), UINT64_MAX / 2, number_out);
}

/* Flags are behind ":2,". */
static bool
has_flag(const char *name, char flag)
{
	const char *info = strstr(name, ":2,");

	return info != NULL && strchr(info + 3, flag) != NULL;
}

static bool
take_memory(struct maildrop *maildrop, uint64_t bytes)
{
	static const uint64_t step = MEMORY_STEP;
	uint64_t wanted;

	if (bytes <= maildrop->taken_bytes)
		return true;
	wanted = (bytes - maildrop->taken_bytes + step - 1) / step * step;
	if (mem_is_short() || !budget_take(maildrop->memory, wanted))
		return false;
	maildrop->taken_bytes += wanted;
	return true;
}

/* What the name does not say, the file does; one that is gone is left out. */
static bool
judge_file(int folder_fd, struct maildrop_message *message)
{
	uint64_t seconds;
	struct stat st;
	bool has_size = name_number(
			    message->name, ",W=", &message->size_bytes) ||
	    name_number(message->name, ",S=", &message->size_bytes);
	bool has_time = scan_u64n(
	    message->name, strcspn(message->name, "."), INT64_MAX, &seconds);

	if (has_time)
		message->time_s = (int64_t)seconds;
	if (has_size && has_time)
		return true;
	if (fstatat(folder_fd, message->name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode))
		return false;
	if (!has_size)
		message->size_bytes = (uint64_t)st.st_size;
	if (!has_time)
		message->time_s = (int64_t)st.st_mtime;
	return true;
}

static int
compare_bases(const char *a, const char *b)
{
	size_t a_length = base_length(a), b_length = base_length(b);
	int result = memcmp(a, b, a_length < b_length ? a_length : b_length);

	if (result != 0 || a_length == b_length)
		return result;
	return a_length < b_length ? -1 : 1;
}

static int
compare_messages(const void *a_in, const void *b_in)
{
	const struct maildrop_message *a = a_in, *b = b_in;

	if (a->time_s != b->time_s)
		return a->time_s < b->time_s ? -1 : 1;
	return compare_bases(a->name, b->name);
}

/* Calls tell for each file of a folder.  0 or -1. */
static int
walk_folder(int folder_fd, const char *name,
    int (*tell)(struct maildrop *maildrop, const char *file, bool is_new,
	struct error *err),
    struct maildrop *maildrop, struct error *err)
{
	bool is_new = folder_fd == maildrop->new_fd;
	int fd = openat(folder_fd, ".", OPEN_FOLDER);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int result = 0;

	if (dir == NULL) {
		error_sys(err, "cannot read folder '%s'", name);
		file_close(&fd);
		return -1;
	}
	for (errno = 0; result == 0 && (entry = readdir(dir)) != NULL;
	     errno = 0)
		if (entry->d_name[0] != '.')
			result = tell(maildrop, entry->d_name, is_new, err);
	if (result == 0 && errno != 0)
		result = error_sys(err, "cannot read folder '%s'", name);
	closedir(dir);
	return result;
}

static int
add_file(
    struct maildrop *maildrop, const char *file, bool is_new, struct error *err)
{
	struct maildrop_message message = { .name = file, .is_new = is_new };
	uint64_t name_bytes = strlen(file) + 16;

	if (!judge_file(is_new ? maildrop->new_fd : maildrop->cur_fd, &message))
		return 0;
	/* The list doubles, and is copied for it. */
	if (!take_memory(maildrop,
		(maildrop->count + 1) *
		    (3 * sizeof(*maildrop->items) + name_bytes)))
		return error_set(err,
		    "no memory for a list of more than %zu messages "
		    "(sessionmemory)",
		    maildrop->count);
	message.name = arena_strdup(&maildrop->names, file);
	maildrop->items = mem_room(
	    maildrop->items, maildrop->count, sizeof(*maildrop->items));
	maildrop->items[maildrop->count++] = message;
	return 0;
}

/*
 * New first: what another reader moves to cur meanwhile is in the list twice
 * then, rather than not at all, and once again after this.
 */
static void
drop_twins(struct maildrop *maildrop)
{
	size_t kept = 0;

	for (size_t i = 0; i < maildrop->count; i++) {
		struct maildrop_message *message = &maildrop->items[i];

		if (kept > 0 &&
		    compare_messages(&maildrop->items[kept - 1], message) ==
			0) {
			if (!message->is_new)
				maildrop->items[kept - 1] = *message;
		} else
			maildrop->items[kept++] = *message;
	}
	maildrop->count = kept;
}

static int
list_messages(struct maildrop *maildrop, struct error *err)
{
	if (walk_folder(maildrop->new_fd, "new", add_file, maildrop, err) ==
		-1 ||
	    walk_folder(maildrop->cur_fd, "cur", add_file, maildrop, err) == -1)
		return -1;
	if (maildrop->count > 0)
		qsort(maildrop->items, maildrop->count,
		    sizeof(*maildrop->items), compare_messages);
	drop_twins(maildrop);
	maildrop_undelete_all(maildrop);
	return 0;
}

static int
open_folders(struct maildrop *maildrop, int parent_fd, const char *name,
    struct error *err)
{
	struct maildir maildir;

	if (maildir_open(parent_fd, name, &maildir, err) == -1)
		return -1;
	/* Taken over, but for tmp. */
	maildrop->dir_fd = maildir.dir_fd;
	maildrop->new_fd = maildir.new_fd;
	maildir.dir_fd = maildir.new_fd = -1;
	maildir_release(&maildir);
	maildrop->cur_fd = openat(maildrop->dir_fd, "cur", OPEN_FOLDER);
	return maildrop->cur_fd == -1 ? error_sys(err, "cannot open 'cur'") : 0;
}

static int
open_in(struct maildrop *maildrop, int parent_fd, const char *name,
    struct budget *memory, struct error *err)
{
	*maildrop = (struct maildrop){
		.dir_fd = -1,
		.new_fd = -1,
		.cur_fd = -1,
		.names = ARENA_INIT,
		.memory = memory,
	};
	if (open_folders(maildrop, parent_fd, name, err) == 0 &&
	    list_messages(maildrop, err) == 0)
		return 0;
	maildrop_release(maildrop);
	return -1;
}

int
maildrop_open(struct maildrop *maildrop, const char *user_dir,
    struct budget *memory, struct error *err)
{
	AUTO(file_close)
	int parent_fd = open(user_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*maildrop = (struct maildrop){
		.dir_fd = -1, .new_fd = -1, .cur_fd = -1
	};
	if (parent_fd == -1)
		return error_sys(err, "cannot open '%s'", user_dir);
	return open_in(maildrop, parent_fd, "Maildir", memory, err) == -1
	    ? error_context(err, "Maildir of '%s'", user_dir)
	    : 0;
}

int
maildrop_open_at(struct maildrop *maildrop, const char *path,
    struct budget *memory, struct error *err)
{
	AUTO(file_close)
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*maildrop = (struct maildrop){
		.dir_fd = -1, .new_fd = -1, .cur_fd = -1
	};
	if (fd == -1)
		return error_sys(err, "cannot open '%s'", path);
	return open_in(maildrop, fd, ".", memory, err) == -1
	    ? error_context(err, "Maildir '%s'", path)
	    : 0;
}

void
maildrop_release(struct maildrop *maildrop)
{
	file_close(&maildrop->dir_fd);
	file_close(&maildrop->new_fd);
	file_close(&maildrop->cur_fd);
	free(maildrop->items);
	maildrop->items = NULL;
	maildrop->count = 0;
	arena_reset(&maildrop->names);
	if (maildrop->taken_bytes > 0)
		budget_give(maildrop->memory, maildrop->taken_bytes);
	maildrop->taken_bytes = 0;
}

/* A file that is there now: it may be one of ours, elsewhere. */
static int
find_moved(
    struct maildrop *maildrop, const char *file, bool is_new, struct error *err)
{
	struct maildrop_message wanted = { .name = file, .is_new = is_new };
	struct maildrop_message *found;

	(void)err;
	if (!judge_file(is_new ? maildrop->new_fd : maildrop->cur_fd, &wanted))
		return 0;
	found = maildrop->count == 0
	    ? NULL
	    : bsearch(&wanted, maildrop->items, maildrop->count,
		  sizeof(*maildrop->items), compare_messages);
	if (found == NULL || !found->is_gone)
		return 0;
	found->is_gone = false;
	found->is_new = is_new;
	if (strcmp(found->name, file) != 0) {
		if (!take_memory(
			maildrop, maildrop->taken_bytes + strlen(file) + 16))
			found->is_gone = true;
		else
			found->name = arena_strdup(&maildrop->names, file);
	}
	return 0;
}

/*
 * One message is not where it was: where are all of them?  A reader who moves
 * one mostly moves many.
 */
static int
look_again(struct maildrop *maildrop, struct error *err)
{
	for (size_t i = 0; i < maildrop->count; i++)
		maildrop->items[i].is_gone = true;
	return walk_folder(
		   maildrop->new_fd, "new", find_moved, maildrop, err) == -1 ||
		walk_folder(
		    maildrop->cur_fd, "cur", find_moved, maildrop, err) == -1
	    ? -1
	    : 0;
}

static int
open_message(const struct maildrop *maildrop,
    const struct maildrop_message *message, int *fd_out, struct error *err)
{
	struct stat st;

	*fd_out = openat(message->is_new ? maildrop->new_fd : maildrop->cur_fd,
	    message->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd_out == -1 && errno == ENOENT)
		return 0;
	if (*fd_out == -1)
		return error_sys(err, "cannot open '%s'", message->name);
	if (fstat(*fd_out, &st) == 0 && S_ISREG(st.st_mode))
		return 1;
	file_close(fd_out);
	return error_set(err, "'%s' is no file", message->name);
}

int
maildrop_read(
    struct maildrop *maildrop, size_t index, int *fd_out, struct error *err)
{
	struct maildrop_message *message = &maildrop->items[index];
	int result;

	*fd_out = -1;
	if (message->is_gone)
		return 0;
	result = open_message(maildrop, message, fd_out, err);
	if (result != 0)
		return result;
	if (look_again(maildrop, err) == -1) {
		/* They may be there all the same. */
		for (size_t i = 0; i < maildrop->count; i++)
			maildrop->items[i].is_gone = false;
		return -1;
	}
	return message->is_gone ? 0
				: open_message(maildrop, message, fd_out, err);
}

void
maildrop_delete(struct maildrop *maildrop, size_t index)
{
	struct maildrop_message *message = &maildrop->items[index];

	message->is_deleted = true;
	maildrop->kept_count--;
	maildrop->kept_bytes -= message->size_bytes;
}

void
maildrop_undelete_all(struct maildrop *maildrop)
{
	maildrop->kept_count = maildrop->count;
	maildrop->kept_bytes = 0;
	for (size_t i = 0; i < maildrop->count; i++) {
		maildrop->items[i].is_deleted = false;
		maildrop->kept_bytes += maildrop->items[i].size_bytes;
	}
}

void
maildrop_uid(
    const struct maildrop *maildrop, size_t index, char out[MAILDROP_UID_SIZE])
{
	const char *name = maildrop->items[index].name;
	size_t length = base_length(name);
	unsigned char digest[SHA256_DIGEST_LENGTH];
	bool is_plain = length > 0 && length < MAILDROP_UID_SIZE;

	for (size_t i = 0; is_plain && i < length; i++)
		is_plain = name[i] > ' ' && name[i] < 127;
	if (is_plain) {
		memcpy(out, name, length);
		out[length] = '\0';
		return;
	}
	SHA256((const unsigned char *)name, length, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* 1 removed, 0 it was gone, -1. */
static int
remove_message(struct maildrop *maildrop, struct maildrop_message *message,
    bool *has_looked, struct error *err)
{
	for (;;) {
		int fd = message->is_new ? maildrop->new_fd : maildrop->cur_fd;

		if (message->is_gone)
			return 0;
		if (unlinkat(fd, message->name, 0) == 0)
			return 1;
		if (errno != ENOENT)
			return error_sys(
			    err, "cannot remove '%s'", message->name);
		if (*has_looked)
			return 0;
		*has_looked = true;
		if (look_again(maildrop, err) == -1)
			return -1;
	}
}

static void
move_to_cur(
    const struct maildrop *maildrop, const struct maildrop_message *message)
{
	OWN_TEXT name = xasprintf("%s%s", message->name,
	    strchr(message->name, ':') == NULL ? ":2," : "");

	/* It stays new when that fails, or is no more. */
	renameat(maildrop->new_fd, message->name, maildrop->cur_fd, name);
}

/* What maildirsize counts of it. */
static void
count_removed(const struct maildrop_message *message, struct quota_usage *usage)
{
	uint64_t bytes = message->size_bytes;

	if (has_flag(message->name, 'T'))
		return;
	name_number(message->name, ",S=", &bytes);
	usage->bytes -= (int64_t)bytes;
	usage->count--;
}

int
maildrop_finish(
    struct maildrop *maildrop, size_t *removed_out, struct error *err)
{
	struct quota_usage usage = { 0, 0 };
	struct error reason;
	bool has_looked = false;
	size_t failed = 0;
	int result;

	*removed_out = 0;
	for (size_t i = 0; i < maildrop->count; i++) {
		struct maildrop_message *message = &maildrop->items[i];

		if (!message->is_deleted) {
			if (message->is_new && !message->is_gone)
				move_to_cur(maildrop, message);
			continue;
		}
		result = remove_message(
		    maildrop, message, &has_looked, &reason);
		if (result == 1) {
			count_removed(message, &usage);
			(*removed_out)++;
		} else if (result == -1 && failed++ == 0)
			error_set(err, "%s", reason.text);
	}
	/* What is not noted is found out when the Maildir seems full. */
	if (usage.count != 0 || usage.bytes != 0)
		quota_add(maildrop->dir_fd, &usage, NULL);
	return failed == 0 ? 0 : -1;
}
