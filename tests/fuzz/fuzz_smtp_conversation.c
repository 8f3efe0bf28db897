/* SPDX-License-Identifier: ISC */
/*
 * A whole session, from the greeting to its end: the first byte says SMTP,
 * LMTP or submission, the rest is what the client sends.  Every reply must be
 * well-formed, and no more messages may be accepted than were ended.
 */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "smtp/session.h"
#include "tests/unit/smtp_home.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct home *home;
static struct smtp_server *servers[3];
static int log_fd, null_fd;

static char *root;

static void
remove_home(void)
{
	tempdir_remove(root);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct smtp_kind kinds[] = {
		{ .is_lmtp = false },
		{ .is_lmtp = true },
		{ .is_submission = true },
	};
	size_t i;

	(void)argc;
	(void)argv;
	root = smtp_home_make();
	atexit(remove_home);
	smtp_home_write(root, "control/from.envrules",
	    "*@relay.example:RELAYCLIENT=@x,DATABYTES=\n"
	    "*@small.example:DATABYTES=10,MAXRECIPIENTS=1\n"
	    "*@lf.example:ALLOW_BARELF=1\n");
	smtp_home_write(root, "control/domainqueue", "*.test:QUEUEDIR=/x\n");
	smtp_home_write(root, "control/databytes", "4096\n");
	smtp_home_write(root, "control/maxhops", "3\n");
	smtp_home_write(root, "control/authmechanisms",
	    "LOGIN CRAM-MD5 SCRAM-SHA-256\n");
	smtp_home_write(root, "control/logindelay", "0\n");
	smtp_home_write(root, "control/loginfailures", "0\n");
	smtp_home_write(root, "control/loginfailuresip", "0\n");
	setenv("NULLQUEUE", "1", 1);
	home = home_new();
	for (i = 0; i < 3; i++) {
		servers[i] = smtp_server_new(home, &kinds[i], NULL);
		assert(servers[i] != NULL);
	}
	log_fd = dup(2);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	__sanitizer_set_report_fd((void *)(intptr_t)log_fd);
	return 0;
}

static void
read_all(int fd, struct buf *buf)
{
	char chunk[65536];
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(buf, chunk, (size_t)n);
	assert(n == 0);
}

/* Checks each line; returns how many messages were accepted. */
static size_t
check_replies(const struct buf *replies)
{
	const char *line = replies->data, *end;
	size_t accepted = 0;

	assert(memchr(line, '\0', replies->length) == NULL);
	for (; *line != '\0'; line = end + 2) {
		const char *at;

		end = strstr(line, "\r\n");
		assert(end != NULL && end - line >= 4 && end - line <= 510);
		assert(line[0] >= '2' && line[0] <= '5');
		assert(line[3] == ' ' || line[3] == '-');
		for (at = line; at < end; at++)
			assert(*at >= ' ' && *at <= '~');
		at = memmem(line, (size_t)(end - line), " qp ", 4);
		accepted += at != NULL && strncmp(line, "250 ", 4) == 0;
	}
	return accepted;
}

/* How many ends of messages there are at most in what the client sent. */
static size_t
count_ends(const char *data, size_t size)
{
	size_t count = 0, i;

	for (i = 0; i + 3 <= size; i++)
		count += memcmp(data + i, ".\r\n", 3) == 0;
	for (i = 0; i + 4 <= size; i++)
		count += strncasecmp(data + i, "LAST", 4) == 0;
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct smtp_peer peer = { .remote_ip = "127.0.0.1",
		.local_ip = "192.0.2.2" };
	struct vars vars = VARS_INIT;
	struct buf replies;
	int in, out, kind;
	size_t accepted;

	if (size == 0 || size > 20000)
		return 0;
	kind = data[0] % 3;
	in = memfd_create("in", MFD_CLOEXEC);
	out = memfd_create("out", MFD_CLOEXEC);
	assert(file_write_all(in, (const char *)data + 1, size - 1) == 0);
	lseek(in, 0, SEEK_SET);
	dup2(null_fd, 2);
	smtp_session_run(servers[kind], in, out, &peer, &vars);
	dup2(log_fd, 2);
	buf_init(&replies);
	read_all(out, &replies);
	accepted = check_replies(&replies);
	/* LMTP answers for each recipient. */
	if (kind != 1)
		assert(
		    accepted <= count_ends((const char *)data + 1, size - 1));
	buf_release(&replies);
	vars_release(&vars);
	close(in);
	close(out);
	return 0;
}
