/* SPDX-License-Identifier: ISC */
/* What a service's log got since a moment. */
#include "svctool/show/log_tail.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { TAIL_BYTES = 4096, TIME_DIGITS = 24 };

static char *
log_path(const struct node *node, const char *name)
{
	return node_path(node, "%s/%s/current", node->home->log, name);
}

void
log_mark_set(
    const struct node *node, const char *name, struct log_mark *mark_out)
{
	OWN_TEXT path = log_path(node, name);
	struct stat st;

	*mark_out = (struct log_mark){ .size = 0 };
	if (stat(path, &st) == 0)
		*mark_out = (struct log_mark){ .device = st.st_dev,
			.inode = st.st_ino,
			.size = st.st_size };
}

/* Where the last lines of text begin. */
static size_t
last_lines(const char *text, size_t length)
{
	unsigned lines = 0;

	for (size_t at = length; at > 0; at--)
		if (text[at - 1] == '\n' && at < length &&
		    ++lines == LOG_TAIL_LINES)
			return at;
	return 0;
}

void
log_tail(const struct node *node, const char *name, const struct log_mark *mark,
    struct buf *buf)
{
	OWN_TEXT path = log_path(node, name);
	AUTO(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[TAIL_BYTES];
	off_t from = 0;
	struct stat st;
	ssize_t n;
	size_t at;

	if (fd == -1 || fstat(fd, &st) == -1)
		return;
	if (st.st_dev == mark->device && st.st_ino == mark->inode &&
	    st.st_size >= mark->size)
		from = mark->size;
	if (st.st_size - from > TAIL_BYTES)
		from = st.st_size - TAIL_BYTES;
	n = pread(fd, text, sizeof(text), from);
	if (n <= 0)
		return;
	at = last_lines(text, (size_t)n);
	buf_add(buf, text + at, (size_t)n - at);
}

/* multilog's time: "@", 24 hexadecimal digits and a blank. */
static const char *
skip_time(const char *line)
{
	size_t digits;

	if (*line != '@')
		return line;
	digits = strspn(line + 1, "0123456789abcdef");
	return digits == TIME_DIGITS && line[1 + digits] == ' '
	    ? line + 1 + digits + 1
	    : line;
}

char *
log_last_line(const struct node *node, const char *name)
{
	const struct log_mark beginning = { .size = 0 };
	const char *newline, *line;
	AUTO(buf_release) struct buf lines = BUF_INIT;
	char *result;

	log_tail(node, name, &beginning, &lines);
	if (lines.length == 0)
		return xstrdup("");
	while (lines.length > 0 && lines.data[lines.length - 1] == '\n')
		lines.data[--lines.length] = '\0';
	newline = strrchr(lines.data, '\n');
	line = newline == NULL ? lines.data : newline + 1;
	result = xstrdup(skip_time(line));
	for (char *at = result; *at != '\0'; at++)
		if (!isprint((unsigned char)*at))
			*at = '?';
	return result;
}
