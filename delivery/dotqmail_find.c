/* SPDX-License-Identifier: ISC */
/* Which .qmail file decides about an address. */
#include "delivery/dotqmail_find.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "delivery/dotqmail_lines.h"

enum { NAME_LENGTH_MAX = 240 };

static int
read_text(int fd, const char *path, struct buf *text, struct error *err)
{
	ssize_t n;

	do {
		buf_reserve(text, 4096);
		n = read(fd, text->data + text->length, 4096);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return error_sys(err, "cannot read '%s'", path);
		text->length += (size_t)n;
		if (text->length > DOTQMAIL_BYTES_MAX)
			return error_set(err, "'%s' has more than %d bytes",
			    path, DOTQMAIL_BYTES_MAX);
	} while (n != 0);
	return 0;
}

int
dotqmail_open(
    const char *path, struct dotqmail_file *file_out, struct error *err)
{
	AUTO(file_close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	*file_out = (struct dotqmail_file){ .text = BUF_INIT };
	if (fd == -1 && (errno == ENOENT || errno == ENAMETOOLONG))
		return 0;
	if (fd == -1 || fstat(fd, &st) == -1)
		return error_sys(err, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, "'%s' is no file", path);
	if ((st.st_mode & S_IWOTH) != 0)
		return error_set(err,
		    "others may write '%s', so it is not followed: chmod o-w "
		    "mends it",
		    path);
	file_out->path = xstrdup(path);
	file_out->is_executable = (st.st_mode & S_IXUSR) != 0;
	return read_text(fd, path, &file_out->text, err) == 0 ? 1 : -1;
}

void
dotqmail_file_release(struct dotqmail_file *file)
{
	buf_release(&file->text);
	free(file->path);
	*file = (struct dotqmail_file){ .text = BUF_INIT };
}

static int
check_folder(const char *home, struct error *err)
{
	struct stat st;

	if (stat(home, &st) == -1)
		return error_sys(err, "cannot open folder '%s'", home);
	if ((st.st_mode & S_IWOTH) != 0)
		return error_set(err,
		    "others may write the folder '%s', so its .qmail files are "
		    "not followed: chmod o-w mends it",
		    home);
	if ((st.st_mode & S_ISVTX) != 0)
		return error_set(err,
		    "folder '%s' is sticky: its .qmail files are being edited",
		    home);
	return 0;
}

/* ".qmail", dash, the first length bytes of name, and end. */
static char *
make_path(const char *home, const char *dash, const char *name, size_t length,
    const char *end)
{
	return xasprintf(
	    "%s/.qmail%s%.*s%s", home, dash, (int)length, name, end);
}

static bool
has_file(const char *home, const char *dash, const char *name, const char *end)
{
	OWN_TEXT path = make_path(home, dash, name, strlen(name), end);

	return access(path, F_OK) == 0;
}

static int
find_named(const char *home, const char *dash, const char *name,
    const char *extension, struct dotqmail_file *file_out, struct error *err)
{
	size_t length = strlen(name);
	OWN_TEXT path = make_path(home, dash, name, length, "");
	int result = dotqmail_open(path, file_out, err);

	for (size_t i = length + 1; result == 0 && i-- > 0;) {
		OWN_TEXT rest = NULL;

		if (*dash == '\0' || (i > 0 && name[i - 1] != '-'))
			continue;
		rest = make_path(home, dash, name, i, "default");
		result = dotqmail_open(rest, file_out, err);
		file_out->default_part = extension + i;
		file_out->is_domain_default = i == 0;
	}
	if (result != 1)
		return result;
	file_out->has_owner = has_file(home, dash, name, "-owner");
	file_out->has_owner_default = file_out->has_owner &&
	    has_file(home, dash, name, "-owner-default");
	return 1;
}

int
dotqmail_find(const char *home, const char *dash, const char *extension,
    struct dotqmail_file *file_out, struct error *err)
{
	/* No file has a longer name, and none a '/' in it. */
	bool is_name = strlen(extension) <= NAME_LENGTH_MAX &&
	    strchr(extension, '/') == NULL;
	OWN_TEXT name = xstrdup(is_name ? extension : "");
	OWN_TEXT path = make_path(home, dash, "", 0, "default");
	int result;

	*file_out = (struct dotqmail_file){ .text = BUF_INIT };
	if (check_folder(home, err) == -1)
		return -1;
	for (char *c = name; *c != '\0'; c++)
		*c = *c == '.' ? ':' : (char)tolower((unsigned char)*c);
	if (is_name)
		return find_named(home, dash, name, extension, file_out, err);
	result = dotqmail_open(path, file_out, err);
	file_out->default_part = extension;
	file_out->is_domain_default = true;
	return result;
}
