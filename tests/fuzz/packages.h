/* SPDX-License-Identifier: ISC */
/*
 * A whole session of QMTP or QMQP: what comes back must be netstrings of K, Z
 * or D and printable text.
 */
#ifndef TESTS_FUZZ_PACKAGES_H
#define TESTS_FUZZ_PACKAGES_H

#include <assert.h>
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "smtp/session.h"
#include "tests/unit/smtp_home.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct smtp_server *server;
static int log_fd, null_fd;
static char *root;

static void
remove_home(void)
{
	tempdir_remove(root);
}

static void
begin(const struct smtp_kind *kind)
{
	root = smtp_home_make();
	atexit(remove_home);
	smtp_home_write(root, "control/databytes", "4096\n");
	smtp_home_write(root, "control/maxhops", "3\n");
	smtp_home_write(root, "control/maxrecipients", "5\n");
	smtp_home_write(root, "control/domainqueue", "*.test:QUEUEDIR=/x\n");
	setenv("NULLQUEUE", "1", 1);
	server = smtp_server_new(home_new(), kind, NULL);
	assert(server != NULL);
	log_fd = dup(2);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	__sanitizer_set_report_fd((void *)(intptr_t)log_fd);
}

/* How many answers there are. */
static size_t
check_answers(const char *at, const char *end)
{
	size_t count = 0;

	for (; at < end; count++) {
		char *colon;
		unsigned long length = strtoul(at, &colon, 10);

		assert(colon > at && *colon == ':' && length > 0);
		assert((size_t)(end - colon) > length + 1);
		at = colon + 1;
		assert(*at == 'K' || *at == 'Z' || *at == 'D');
		for (; length > 0; length--, at++)
			assert(*at >= ' ' && *at <= '~');
		assert(*at++ == ',');
	}
	return count;
}

static size_t
serve(const uint8_t *data, size_t size, bool may_relay)
{
	const struct smtp_peer peer = { .remote_ip = "192.0.2.1",
		.local_ip = "192.0.2.2" };
	struct vars vars = VARS_INIT;
	int in = memfd_create("in", MFD_CLOEXEC);
	int out = memfd_create("out", MFD_CLOEXEC);
	struct buf answers;
	char chunk[65536];
	size_t count;
	ssize_t n;

	assert(file_write_all(in, (const char *)data, size) == 0);
	lseek(in, 0, SEEK_SET);
	if (may_relay)
		vars_set(&vars, "RELAYCLIENT", "");
	dup2(null_fd, 2);
	smtp_session_run(server, in, out, &peer, &vars);
	dup2(log_fd, 2);
	buf_init(&answers);
	lseek(out, 0, SEEK_SET);
	while ((n = read(out, chunk, sizeof(chunk))) > 0)
		buf_add(&answers, chunk, (size_t)n);
	count = check_answers(answers.data, answers.data + answers.length);
	buf_release(&answers);
	vars_release(&vars);
	close(in);
	close(out);
	return count;
}

#endif
