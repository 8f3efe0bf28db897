/* SPDX-License-Identifier: ISC */
/* Logins that the database is to learn of later. */
#include "lookupd/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"

enum { FIELDS = 6, PIECE = 64 * 1024 };

struct spool {
	char *path;
	int fd; /* O_APPEND */
	uint64_t bytes, max_bytes;
	uint64_t done;   /* bytes at its begin that were applied */
	size_t peeked;   /* bytes behind them that spool_peek() told */
	struct buf text; /* what it told */
};

/* A crash may have cut it short: the next one is no part of it. */
static void
end_last_line(struct spool *spool)
{
	char last = '\n';

	if (spool->bytes == 0 ||
	    (pread(spool->fd, &last, 1, (off_t)spool->bytes - 1) == 1 &&
		last == '\n'))
		return;
	if (write(spool->fd, "\n", 1) == 1)
		spool->bytes++;
}

struct spool *
spool_open(const char *path, uint64_t max_bytes, struct error *err)
{
	struct spool *spool;
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
	    0600);

	if (fd == -1 || fstat(fd, &st) == -1) {
		error_sys(err, "cannot open '%s'", path);
		file_close(&fd);
		return NULL;
	}
	spool = xcalloc(1, sizeof(*spool));
	spool->path = xstrdup(path);
	spool->fd = fd;
	spool->bytes = (uint64_t)st.st_size;
	end_last_line(spool);
	spool->max_bytes = max_bytes;
	buf_init(&spool->text);
	return spool;
}

void
spool_free(struct spool **spool)
{
	if (*spool == NULL)
		return;
	close((*spool)->fd);
	buf_release(&(*spool)->text);
	free((*spool)->path);
	free(*spool);
	*spool = NULL;
}

uint64_t
spool_bytes(const struct spool *spool)
{
	return spool->bytes - spool->done;
}

int
spool_add(struct spool *spool, const struct query *login, struct error *err)
{
	AUTO(buf_release) struct buf line = BUF_INIT;

	buf_addf(&line, "%s\t%s\t%s\t%s\t%" PRIu64 "\t%d\n", login->local,
	    login->domain, login->service, login->ip, login->number,
	    login->opens_relay);
	if (spool->bytes + line.length > spool->max_bytes)
		return error_set(err, "'%s' is full: %" PRIu64 " bytes",
		    spool->path, spool->bytes);
	if (file_write_all(spool->fd, line.data, line.length) == -1) {
		error_sys(err, "cannot write '%s'", spool->path);
		/* The next one would be the rest of this line. */
		if (ftruncate(spool->fd, (off_t)spool->bytes) == -1)
			error_context(err, "and cannot cut it");
		return -1;
	}
	spool->bytes += line.length;
	return 0;
}

static bool
read_login(char *line, struct query *login)
{
	char *fields[FIELDS];
	unsigned count = 0;

	while (line != NULL && count < FIELDS)
		fields[count++] = strsep(&line, "\t");
	if (count != FIELDS || line != NULL)
		return false;
	*login = (struct query){ .kind = QUERY_LOGIN,
		.local = fields[0],
		.domain = fields[1],
		.service = fields[2],
		.ip = fields[3],
		.opens_relay = strcmp(fields[5], "1") == 0 };
	return scan_u64(fields[4], INT64_MAX, &login->number) &&
	    query_is_sound(login);
}

size_t
spool_peek(struct spool *spool, struct query *logins_out, size_t max)
{
	size_t count = 0;
	char *at, *newline;
	ssize_t n;

	buf_reset(&spool->text);
	buf_reserve(&spool->text, PIECE);
	spool->peeked = 0;
	n = pread(spool->fd, spool->text.data, PIECE, (off_t)spool->done);
	/* Somebody has cut it. */
	if (n == 0)
		spool->peeked = (size_t)(spool->bytes - spool->done);
	if (n <= 0)
		return 0;
	spool->text.data[n] = '\0';
	spool->text.length = (size_t)n;
	for (at = spool->text.data; count < max &&
	     (newline = memchr(at, '\n',
		  (size_t)(spool->text.data + n - at))) != NULL;
	     at = newline + 1) {
		*newline = '\0';
		count += read_login(at, &logins_out[count]);
		spool->peeked = (size_t)(newline + 1 - spool->text.data);
	}
	/* What a crash cut short. */
	if (spool->peeked == 0)
		spool->peeked = (size_t)n;
	return count;
}

int
spool_drop(struct spool *spool, struct error *err)
{
	if (spool->peeked == 0)
		return error_set(err, "cannot read '%s'", spool->path);
	spool->done += spool->peeked;
	spool->peeked = 0;
	if (spool->done < spool->bytes)
		return 0;
	spool->done = spool->bytes = 0;
	return ftruncate(spool->fd, 0) == -1
	    ? error_sys(err, "cannot cut '%s'", spool->path)
	    : 0;
}
