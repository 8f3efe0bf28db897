/* SPDX-License-Identifier: ISC */
/*
 * One session of the SMTP server in memory, command by command, for tests of
 * the verbs' and policies' files.  Include after cmocka.h.
 *
 * A client's bytes that follow a command (chunks, a message) are given by
 * talk_input() before it.  Every answer stands in the talk until the next call.
 */
#ifndef TESTS_UNIT_SMTP_TALK_H
#define TESTS_UNIT_SMTP_TALK_H

#include <sys/mman.h>
#include <unistd.h>

#include "smtp/session_private.h"
#include "tests/unit/smtp_home.h"

static char *root;

struct talk {
	struct home *home;
	struct smtp_server *server;
	struct smtp_peer peer;
	struct vars vars;
	struct smtp_session session;
	int in, out, log;
	off_t out_at, log_at; /* how far they have been seen */
	struct buf replies, logged;
};

/* A home with the queue that discards; control files may be put into it. */
static inline int
talk_setup(void **state)
{
	(void)state;
	root = smtp_home_make();
	setenv("NULLQUEUE", "1", 1);
	return 0;
}

static inline int
talk_teardown(void **state)
{
	(void)state;
	unsetenv("NULLQUEUE");
	tempdir_remove(root);
	return 0;
}

static inline void
talk_begin(struct talk *talk, const struct smtp_kind *kind)
{
	struct error err = { "" };

	*talk = (struct talk){
		.home = home_new(),
		.peer = { .remote_ip = "192.0.2.1",
		    .local_ip = "192.0.2.2",
		    .id = 7 },
		.in = memfd_create("in", MFD_CLOEXEC),
		.out = memfd_create("out", MFD_CLOEXEC),
		.log = memfd_create("log", MFD_CLOEXEC),
	};
	talk->server = smtp_server_new(talk->home, kind, &err);
	if (talk->server == NULL)
		fail_msg("%s", err.text);
	talk->session = (struct smtp_session){
		.server = talk->server,
		.kind = &talk->server->kind,
		.config = smtp_server_config(talk->server),
		.stream = stream_new(talk->in, talk->out),
		.peer = &talk->peer,
		.vars = &talk->vars,
	};
	buf_init(&talk->replies);
	buf_init(&talk->logged);
}

static inline void
talk_end(struct talk *talk)
{
	smtp_transaction_reset(&talk->session);
	stream_free(&talk->session.stream);
	smtp_server_give_memory(talk->server, talk->session.taken_bytes);
	smtp_config_release(&talk->session.config);
	vars_release(&talk->vars);
	smtp_server_free(&talk->server);
	home_free(&talk->home);
	buf_release(&talk->replies);
	buf_release(&talk->logged);
	close(talk->in);
	close(talk->out);
	close(talk->log);
}

static inline void
talk_input(struct talk *talk, const char *data, size_t length)
{
	off_t end = lseek(talk->in, 0, SEEK_CUR);

	assert_int_equal(pwrite(talk->in, data, length, end), length);
}

/* What a file has behind *at, which then is its end. */
static inline const char *
talk_news(int fd, off_t *at, struct buf *news)
{
	char chunk[4096];
	ssize_t n;

	buf_reset(news);
	while ((n = pread(fd, chunk, sizeof(chunk), *at)) > 0) {
		buf_add(news, chunk, (size_t)n);
		*at += n;
	}
	return news->data;
}

/*
 * Log lines go to the talk between these two only, since cmocka's reports go
 * the same way.
 */
static inline int
talk_log_begin(struct talk *talk)
{
	int saved = dup(2);

	assert_int_not_equal(saved, -1);
	dup2(talk->log, 2);
	return saved;
}

static inline const char *
talk_log_end(struct talk *talk, int saved)
{
	dup2(saved, 2);
	close(saved);
	stream_flush(talk->session.stream);
	talk_news(talk->log, &talk->log_at, &talk->logged);
	return talk_news(talk->out, &talk->out_at, &talk->replies);
}

/* All lines of the reply to one command, CRLFs and all. */
static inline const char *
talk_say(struct talk *talk, const char *command)
{
	struct smtp_line line;
	char *text = xasprintf("%s\r\n", command);
	int saved;

	assert_true(smtp_line_parse(text, strlen(text), &line));
	saved = talk_log_begin(talk);
	smtp_dispatch(&talk->session, &line);
	talk_log_end(talk, saved);
	free(text);
	return talk->replies.data;
}

/* The same for commands that are only on the way to what is tested. */
static inline void
talk_must(struct talk *talk, const char *command, const char *wanted)
{
	const char *reply = talk_say(talk, command);

	if (strncmp(reply, wanted, strlen(wanted)) != 0)
		fail_msg("%s: got '%s', wanted '%s'", command, reply, wanted);
}

/* Fails with the row's name unless the reply is this one line. */
static inline void
talk_expect(struct talk *talk, const char *name, const char *command,
    const char *wanted)
{
	const char *reply = talk_say(talk, command);
	size_t length = strlen(wanted);

	if (strncmp(reply, wanted, length) != 0 ||
	    strcmp(reply + length, "\r\n") != 0)
		fail_msg("%s: '%s' got '%s', wanted '%s'", name, command, reply,
		    wanted);
}

#define TALK_TEST(name) \
	cmocka_unit_test_setup_teardown(name, talk_setup, talk_teardown)

#endif
