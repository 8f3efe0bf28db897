/* SPDX-License-Identifier: ISC */
/*
 * Whole conversations in memory, with a queue that discards; what reaches real
 * queues is in tests/integration/test_1x_smtp_*.py.
 */
#include "smtp/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/smtp_home.h"

static char *root;
static struct home *home;

static int
setup(void **state)
{
	(void)state;
	root = smtp_home_make();
	smtp_home_write(root, "control/from.envrules",
	    "*@bad.example:DATABYTES=x\n*@small.example:DATABYTES=10\n");
	setenv("NULLQUEUE", "1", 1);
	home = home_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	home_free(&home);
	tempdir_remove(root);
	return 0;
}

/* The codes of all replies to input, as text: "220 250 ..."; caller frees. */
static char *
converse(const char *input, size_t length, const struct smtp_kind *kind)
{
	const struct smtp_peer peer = { .remote_ip = "192.0.2.1",
		.local_ip = "192.0.2.2" };
	int in = memfd_create("in", MFD_CLOEXEC);
	int out = memfd_create("out", MFD_CLOEXEC);
	int log = memfd_create("log", MFD_CLOEXEC);
	int saved = dup(2);
	struct smtp_server *server = smtp_server_new(home, kind, NULL);
	struct vars vars = VARS_INIT;
	struct buf replies, codes;
	char chunk[4096];
	const char *line;
	ssize_t n;

	assert_non_null(server);
	assert_int_equal(file_write_all(in, input, length), 0);
	lseek(in, 0, SEEK_SET);
	dup2(log, 2);
	smtp_session_run(server, in, out, &peer, &vars);
	dup2(saved, 2);
	close(saved);
	close(log);
	vars_release(&vars);
	smtp_server_free(&server);
	lseek(out, 0, SEEK_SET);
	buf_init(&replies);
	buf_init(&codes);
	while ((n = read(out, chunk, sizeof(chunk))) > 0)
		buf_add(&replies, chunk, (size_t)n);
	for (line = replies.data; *line != '\0';
	     line = strstr(line, "\r\n") + 2)
		if (line[3] == ' ')
			buf_addf(&codes, "%s%.3s", codes.length > 0 ? " " : "",
			    line);
	buf_release(&replies);
	close(in);
	close(out);
	return codes.data;
}

#define HELLO "EHLO x\r\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define RCPT "RCPT TO:<c@example.test>\r\n"

static void
conversations(void **state)
{
	static const struct {
		const char *name, *input, *codes;
		bool is_lmtp;
	} rows[] = {
		{ "nothing", "", "220", false },
		{ "quit", "QUIT\r\nNOOP\r\n", "220 221", false },
		{ "message", HELLO MAIL RCPT "DATA\r\nx\r\n.\r\nQUIT\r\n",
		    "220 250 250 250 354 250 221", false },
		{ "no end", HELLO MAIL RCPT "DATA\r\nx\r\n.",
		    "220 250 250 250 354", false },
		{ "two messages",
		    HELLO MAIL RCPT "DATA\r\n.\r\n" MAIL RCPT "DATA\r\n.\r\n",
		    "220 250 250 250 354 250 250 250 354 250", false },
		{ "one transaction at a time", HELLO MAIL MAIL "RSET\r\n" MAIL,
		    "220 250 250 503 250 250", false },
		{ "hello ends a transaction", HELLO MAIL HELLO RCPT,
		    "220 250 250 250 503", false },
		{ "helo as well", HELLO MAIL "HELO x\r\n" RCPT,
		    "220 250 250 250 503", false },
		{ "nobody yet", HELLO MAIL "RCPT TO:<a@x>\r\nDATA\r\n",
		    "220 250 250 553 503", false },
		{ "chunks", HELLO MAIL RCPT "BDAT 1\r\nxBDAT 2 LAST\r\n\r\n",
		    "220 250 250 250 250 250", false },
		{ "chunk cut off", HELLO MAIL RCPT "BDAT 5\r\nx",
		    "220 250 250 250", false },
		{ "chunk then rcpt",
		    HELLO MAIL RCPT "BDAT 1\r\nx" RCPT
				    "DATA\r\nBDAT 0 LAST\r\n",
		    "220 250 250 250 250 503 503 250", false },
		{ "chunk then hello",
		    HELLO MAIL RCPT "BDAT 1\r\nx" HELLO "BDAT 0 LAST\r\n",
		    "220 250 250 250 250 250 503", false },
		{ "rules limit the size",
		    HELLO "MAIL FROM:<a@small.example> SIZE=11\r\n"
			  "MAIL FROM:<a@small.example>\r\n" RCPT
			  "DATA\r\n0123456789\r\n.\r\n" MAIL RCPT
			  "DATA\r\n0123456789\r\n.\r\n",
		    "220 250 552 250 250 354 552 250 250 354 250", false },
		{ "chunk refused, and what follows it",
		    HELLO "MAIL FROM:<a@small.example>\r\n" RCPT
			  "BDAT 11\r\n0123456789aBDAT 1\r\nxBDAT 0 LAST\r\n"
			  "BDAT 0 LAST\r\n",
		    "220 250 250 250 552 552 552 503", false },
		{ "chunk refused, then another message",
		    HELLO "MAIL FROM:<a@small.example>\r\n" RCPT
			  "BDAT 11\r\n0123456789a" RCPT "DATA\r\n" MAIL RCPT
			  "BDAT 1 LAST\r\nx",
		    "220 250 250 250 552 503 503 250 250 250", false },
		{ "rules that are wrong",
		    HELLO "MAIL FROM:<a@bad.example>\r\n" RCPT,
		    "220 250 451 503", false },
		{ "two recipients by lmtp",
		    "LHLO x\r\n" MAIL RCPT RCPT "DATA\r\nx\r\n.\r\n",
		    "220 250 250 250 250 354 250 250", true },
		{ "a bare lf by lmtp",
		    "LHLO x\r\n" MAIL RCPT RCPT "DATA\r\nx\n.\r\nQUIT\r\n"
		    ".\r\nQUIT\r\n",
		    "220 250 250 250 250 354 554 554 221", true },
		{ "chunk refused by lmtp",
		    "LHLO x\r\n"
		    "MAIL FROM:<a@small.example>\r\n" RCPT RCPT RCPT
		    "BDAT 11\r\n0123456789aBDAT 1\r\nxBDAT 1 LAST\r\nx"
		    "QUIT\r\n",
		    "220 250 250 250 250 250 552 552 552 552 552 221", true },
		{ "chunk refused by lmtp, then another message",
		    "LHLO x\r\n"
		    "MAIL FROM:<a@small.example>\r\n" RCPT RCPT
		    "BDAT 11\r\n0123456789aBDAT 0 LAST\r\n" MAIL RCPT
		    "BDAT 1 LAST\r\nx",
		    "220 250 250 250 250 552 552 552 250 250 250", true },
		{ "last chunk for nobody by lmtp",
		    "LHLO x\r\n" MAIL "BDAT 1\r\nxBDAT 1 LAST\r\nx"
		    "BDAT 1 LAST\r\nx" MAIL "QUIT\r\n",
		    "220 250 250 503 250 221", true },
		{ "no tls here", HELLO "STARTTLS\r\n", "220 250 502", false },
		{ "too many errors",
		    "X\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\n"
		    "X\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\nX\r\n",
		    "220 502 502 502 502 502 502 502 502 502 502 502 502 502 "
		    "502 502 502 502 502 502 502 421",
		    false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct smtp_kind kind = { .is_lmtp = rows[i].is_lmtp };
		char *codes = converse(
		    rows[i].input, strlen(rows[i].input), &kind);

		if (strcmp(codes, rows[i].codes) != 0)
			fail_msg("%s: %s, wanted %s", rows[i].name, codes,
			    rows[i].codes);
		free(codes);
	}
}

/*
 * RFC 2033 4.2: who pipelines counts replies, so that one too few would make
 * the answer to QUIT that to a recipient.
 */
static void
no_queue(void **state)
{
	static const struct {
		const char *name, *input, *codes;
		bool is_lmtp;
	} rows[] = {
		{ "last chunk", "BDAT 3 LAST\r\nx\r\nQUIT\r\n", "451 451 221",
		    true },
		{ "empty last chunk", "BDAT 0 LAST\r\nQUIT\r\n", "451 451 221",
		    true },
		{ "first chunk", "BDAT 3\r\nx\r\nQUIT\r\n", "451 221", true },
		{ "later chunks",
		    "BDAT 3\r\nx\r\nBDAT 1\r\nxBDAT 1 LAST\r\nxQUIT\r\n",
		    "451 451 451 451 221", true },
		{ "data", "DATA\r\nQUIT\r\n", "451 221", true },
		{ "last chunk by smtp", "BDAT 3 LAST\r\nx\r\nQUIT\r\n",
		    "451 221", false },
	};
	size_t i;

	(void)state;
	unsetenv("NULLQUEUE");
	/* With such rules no queue is asked at RCPT. */
	smtp_home_write(root, "control/domainqueue", "none.example:X=y\n");
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct smtp_kind kind = { .is_lmtp = rows[i].is_lmtp };
		char *input = xasprintf("%s" MAIL RCPT RCPT "%s",
		    rows[i].is_lmtp ? "LHLO x\r\n" : HELLO, rows[i].input);
		char *wanted = xasprintf(
		    "220 250 250 250 250 %s", rows[i].codes);
		char *codes = converse(input, strlen(input), &kind);

		if (strcmp(codes, wanted) != 0)
			fail_msg(
			    "%s: %s, wanted %s", rows[i].name, codes, wanted);
		free(codes);
		free(wanted);
		free(input);
	}
}

static void
submission_needs_relayclient(void **state)
{
	static const char input[] = HELLO MAIL;
	const struct smtp_kind kind = { .is_submission = true };
	char *codes = converse(input, strlen(input), &kind);

	(void)state;
	assert_string_equal(codes, "220 250 530");
	free(codes);
	setenv("RELAYCLIENT", "", 1);
	codes = converse(input, strlen(input), &kind);
	unsetenv("RELAYCLIENT");
	assert_string_equal(codes, "220 250 250");
	free(codes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(conversations, setup, teardown),
		cmocka_unit_test_setup_teardown(no_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    submission_needs_relayclient, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
