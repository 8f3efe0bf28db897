/* SPDX-License-Identifier: ISC */
/* The lines of one folder of multilog's. */
#include "svctool/show/log_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log_text.h"
#include "base/mem.h"
#include "svctool/show/log_time.h"

enum { BUFFER_BYTES = 64 * 1024, NAME_BYTES = 64 };

struct log_reader {
	char *folder;
	struct timespec since, last; /* last: the time of the last line */
	bool is_following;
	int fd;          /* -1: none is open */
	int left_fd;     /* of the file before it: its inode stays its own */
	bool has_name;   /* it was opened as a file put aside, "@..." */
	bool is_current; /* it was current when it was opened */
	bool is_aside;   /* but no longer: nothing more is written to it */
	char position[NAME_BYTES]; /* files up to this name were read */
	bool is_cut;               /* the line's rest is passed over */
	size_t start, end;         /* what of the buffer is not given yet */
	char buffer[BUFFER_BYTES + 1];
};

struct log_reader *
log_reader_new(
    const char *folder, const struct timespec *since, bool is_following)
{
	struct log_reader *reader = xcalloc(1, sizeof(*reader));

	reader->folder = xstrdup(folder);
	reader->since = *since;
	reader->is_following = is_following;
	reader->fd = reader->left_fd = -1;
	return reader;
}

void
log_reader_free(struct log_reader **reader_in)
{
	struct log_reader *reader = *reader_in;

	if (reader == NULL)
		return;
	if (reader->fd != -1)
		close(reader->fd);
	if (reader->left_fd != -1)
		close(reader->left_fd);
	free(reader->folder);
	free(reader);
	*reader_in = NULL;
}

/* 0: no file. */
static ino_t
inode_of(int fd)
{
	struct stat st;

	return fd != -1 && fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/*
 * Of the files put aside the first behind position that is not the one that was
 * left; with inode not 0, the one that has it.  1, 0 or -1.
 */
static int
find_aside(const struct log_reader *reader, ino_t inode, char name[NAME_BYTES],
    struct error *err)
{
	ino_t left = inode_of(reader->left_fd);
	DIR *stream = opendir(reader->folder);
	const struct dirent *entry;

	name[0] = '\0';
	if (stream == NULL)
		return error_sys(err, "cannot list '%s'", reader->folder);
	while ((entry = readdir(stream)) != NULL) {
		size_t length = strlen(entry->d_name);
		struct timespec ended;

		if (length >= NAME_BYTES ||
		    !tai64n_read(entry->d_name, length, &ended))
			continue;
		if (inode != 0 ? entry->d_ino != inode
			       : entry->d_ino == left ||
			    strcmp(entry->d_name, reader->position) <= 0 ||
			    log_time_is_before(&ended, &reader->since) ||
			    (name[0] != '\0' &&
				strcmp(entry->d_name, name) > 0))
			continue;
		memcpy(name, entry->d_name, length + 1);
	}
	closedir(stream);
	return name[0] != '\0';
}

/* -1, with errno ENOENT when there is none. */
static int
open_file(const struct log_reader *reader, const char *name, struct error *err)
{
	char *path = xasprintf("%s/%s", reader->folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC), saved_errno = errno;

	if (fd == -1 && errno != ENOENT)
		error_sys(err, "cannot open '%s'", path);
	free(path);
	errno = saved_errno;
	return fd;
}

/* The same of a file that was not read yet. */
static int
open_new(const struct log_reader *reader, const char *name, struct error *err)
{
	int fd = open_file(reader, name, err);

	if (fd != -1 && inode_of(fd) == inode_of(reader->left_fd)) {
		close(fd);
		fd = -1;
		errno = ENOENT;
	}
	return fd;
}

/* The next file that was put aside: 1, 0 when there is none, -1. */
static int
open_aside(struct log_reader *reader, struct error *err)
{
	char name[NAME_BYTES];
	int found;

	while ((found = find_aside(reader, 0, name, err)) == 1) {
		reader->fd = open_file(reader, name, err);
		if (reader->fd == -1 && errno != ENOENT)
			return -1;
		memcpy(reader->position, name, sizeof(name));
		if (reader->fd != -1)
			return 1;
		/* multilog has removed it: it keeps so many, and no more */
	}
	return found;
}

/*
 * Opens the next file: 1, 0 when there is none yet, -1.  One that is full goes
 * from current to previous, and only then gets its name with '@'; they are
 * looked at in this order, so that it is found whatever it is called meanwhile.
 */
static int
open_next(struct log_reader *reader, struct error *err)
{
	int current, previous = -1, result = -1;

	current = open_new(reader, "current", err);
	if (current == -1 && errno != ENOENT)
		return -1;
	previous = open_new(reader, "previous", err);
	if (previous == -1 && errno != ENOENT)
		goto out;
	reader->is_current = reader->is_aside = false;
	reader->has_name = true;
	result = open_aside(reader, err);
	if (result != 0)
		goto out;
	reader->has_name = false;
	reader->is_current = previous == -1;
	reader->fd = previous != -1 ? previous : current;
	result = reader->fd != -1;
	if (previous == -1)
		current = -1;
	previous = -1;
out:
	if (current != -1)
		close(current);
	if (previous != -1)
		close(previous);
	return result;
}

/* Has another file the name of the one that we read as current? */
static bool
was_put_aside(const struct log_reader *reader)
{
	char *path = xasprintf("%s/current", reader->folder);
	struct stat here, now;
	bool result = stat(path, &now) == -1 ||
	    fstat(reader->fd, &here) == -1 || here.st_ino != now.st_ino ||
	    here.st_dev != now.st_dev;

	free(path);
	return result;
}

/* The file has its name, if it was given one: position is not before it. */
static int
pass_file(struct log_reader *reader, int fd, struct error *err)
{
	ino_t inode = inode_of(fd);
	char name[NAME_BYTES];
	int found = inode == 0 ? 0 : find_aside(reader, inode, name, err);

	if (found == 1 && strcmp(name, reader->position) > 0)
		memcpy(reader->position, name, sizeof(name));
	return found;
}

/* The file was read; what comes next is behind it. */
static int
leave_file(struct log_reader *reader, struct error *err)
{
	char label[TAI64N_SIZE];
	int result = 0;

	if (!reader->has_name) {
		/* That before it has its name by now. */
		if (pass_file(reader, reader->left_fd, err) == -1 ||
		    pass_file(reader, reader->fd, err) == -1)
			result = -1;
		/* It ended when its last line came, or later. */
		tai64n_write(&reader->last, label);
		if (strcmp(label, reader->position) > 0)
			memcpy(reader->position, label, sizeof(label));
	}
	if (reader->left_fd != -1)
		close(reader->left_fd);
	reader->left_fd = reader->fd;
	reader->fd = -1;
	return result;
}

/* The line of length bytes at start. */
static void
give_line(struct log_reader *reader, size_t length, struct log_entry *entry_out)
{
	char *line = reader->buffer + reader->start;
	size_t skipped = 0;

	if (tai64n_read(line, length, &reader->last)) {
		skipped = TAI64N_LENGTH;
		if (length > skipped && line[skipped] == ' ')
			skipped++;
	}
	line += skipped;
	line[log_clean(line, length - skipped)] = '\0';
	entry_out->when = reader->last;
	entry_out->text = line;
}

/* A line that the buffer has: 1, or 0. */
static int
take_line(struct log_reader *reader, struct log_entry *entry_out)
{
	size_t length = reader->end - reader->start;
	char *newline;
	bool is_passed;

	do {
		newline = memchr(reader->buffer + reader->start, '\n',
		    reader->end - reader->start);
		length = newline != NULL
		    ? (size_t)(newline - reader->buffer) - reader->start
		    : reader->end - reader->start;
		if (newline == NULL && length < BUFFER_BYTES)
			return 0;
		is_passed = reader->is_cut;
		reader->is_cut = newline == NULL;
		if (!is_passed)
			give_line(reader, length, entry_out);
		reader->start += length + (newline != NULL);
	} while (is_passed);
	return 1;
}

/* What stands behind the last newline of a file. */
static int
take_rest(struct log_reader *reader, struct log_entry *entry_out)
{
	size_t length = reader->end - reader->start;
	bool is_given = length > 0 && !reader->is_cut;

	if (is_given)
		give_line(reader, length, entry_out);
	reader->start = reader->end = 0;
	reader->is_cut = false;
	return is_given;
}

/* More of the file that is open: 1, 0 at its end, -1. */
static int
fill_buffer(struct log_reader *reader, struct error *err)
{
	size_t left = reader->end - reader->start;
	ssize_t n;

	memmove(reader->buffer, reader->buffer + reader->start, left);
	reader->start = 0;
	reader->end = left;
	n = read(reader->fd, reader->buffer + left, BUFFER_BYTES - left);
	if (n == -1)
		return error_sys(
		    err, "cannot read the log in '%s'", reader->folder);
	reader->end += (size_t)n;
	return n > 0;
}

int
log_reader_next(
    struct log_reader *reader, struct log_entry *entry_out, struct error *err)
{
	int result;

	for (;;) {
		if (reader->fd == -1) {
			result = open_next(reader, err);
			if (result != 1)
				return result;
		}
		if (take_line(reader, entry_out) == 1)
			return 1;
		result = fill_buffer(reader, err);
		if (result == -1)
			return -1;
		if (result == 1)
			continue;
		if (reader->is_current && !reader->is_aside) {
			reader->is_aside = was_put_aside(reader);
			if (reader->is_aside)
				continue; /* for what came before that */
			return reader->is_following
			    ? 0
			    : take_rest(reader, entry_out);
		}
		result = take_rest(reader, entry_out);
		if (leave_file(reader, err) == -1)
			return -1;
		if (result == 1)
			return 1;
	}
}
