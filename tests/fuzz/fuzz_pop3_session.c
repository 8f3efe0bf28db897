/* SPDX-License-Identifier: ISC */
/*
 * A whole session, from the greeting to its end: the first byte says whether
 * the user is in already, the rest is what the client sends.  Each answer
 * begins with a status, and lines are well-formed.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "pop3/session.h"
#include "tests/unit/smtp_home.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct home *home;
static struct pop3_server *server;
static int log_fd, null_fd;
static char *root, *maildir;

static void
remove_home(void)
{
	tempdir_remove(root);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct pop3_kind kind = {
		.program = "qmail-pop3d", .has_store = true, .has_tls = true
	};

	(void)argc;
	(void)argv;
	root = smtp_home_make();
	atexit(remove_home);
	smtp_home_write(root, "control/logindelay", "0\n");
	smtp_home_write(root, "control/loginfailures", "0\n");
	smtp_home_write(root, "control/loginfailuresip", "0\n");
	smtp_home_write(root, "control/pop3apop", "1\n");
	smtp_home_write(root, "users/assign", ".\n");
	maildir = xasprintf("%s/Maildir", root);
	home = home_new();
	server = pop3_server_new(home, &kind, NULL);
	assert(server != NULL);
	log_fd = dup(2);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	__sanitizer_set_report_fd((void *)(intptr_t)log_fd);
	return 0;
}

static void
fill_maildir(void)
{
	static const char *const folders[] = { "", "/new", "/cur", "/tmp" };

	for (size_t i = 0; i < 4; i++) {
		OWN_TEXT path = xasprintf("%s%s", maildir, folders[i]);

		if (mkdir(path, 0700) == -1)
			assert(errno == EEXIST);
	}
	smtp_home_write(root, "Maildir/new/1.a.host,S=9", "A: b\n\n.c\n");
	smtp_home_write(root, "Maildir/cur/2.b.host,S=1:2,S", "x");
}

/* Each line ends with CRLF; the answers to commands have their statuses. */
static void
check_answers(int fd)
{
	char chunk[4096];
	struct buf answers;
	ssize_t n;

	buf_init(&answers);
	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(&answers, chunk, (size_t)n);
	assert(answers.length >= 2);
	assert(strncmp(answers.data, "+OK", 3) == 0 ||
	    strncmp(answers.data, "-ERR", 4) == 0);
	assert(memcmp(answers.data + answers.length - 2, "\r\n", 2) == 0);
	for (size_t i = 0; i < answers.length; i++)
		assert(answers.data[i] != '\n' ||
		    (i > 0 && answers.data[i - 1] == '\r'));
	buf_release(&answers);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vars no_vars = VARS_INIT;
	const struct pop3_peer peer = { .remote_ip = "127.0.0.1",
		.vars = &no_vars,
		.local_ip = "127.0.0.1" };
	struct pop3_options options = { .host = "h", .user = "u" };
	int in, out;

	if (size == 0 || size > 20000)
		return 0;
	if (data[0] % 2 == 0)
		options.let_in = pop3_let_in_user;
	else
		options.maildir = maildir;
	fill_maildir();
	in = memfd_create("in", MFD_CLOEXEC);
	out = memfd_create("out", MFD_CLOEXEC);
	assert(file_write_all(in, (const char *)data + 1, size - 1) == 0);
	lseek(in, 0, SEEK_SET);
	dup2(null_fd, 2);
	pop3_session_run(server, in, out, &peer, &options);
	dup2(log_fd, 2);
	check_answers(out);
	close(in);
	close(out);
	return 0;
}
