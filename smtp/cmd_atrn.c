/* SPDX-License-Identifier: ISC */
/*
 * ATRN (RFC 2645): who has logged in becomes the server of his connection, and
 * gets the mail that Maildirs hold for his domains.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/relay.h"
#include "base/strlist.h"
#include "control/etrnhosts.h"
#include "control/idn.h"
#include "smtp/session_private.h"
#include "smtp/text.h"

enum { PROGRAM_FD = 6, END_MS = 30 * 1000, DOMAINS_MAX = 100 };

/* Domains, with commas or blanks between, each in its one spelling. */
static void
split_domains(const char *text, size_t length, struct strlist *list)
{
	const char *end = text + length;

	while (text < end) {
		size_t left = (size_t)(end - text), word = 0;
		char canonical[IDN_DOMAIN_SIZE];

		while (word < left && strchr(", \t", text[word]) == NULL)
			word++;
		if (word > 0 && list->count < DOMAINS_MAX) {
			OWN_TEXT domain = xstrndup(text, word);

			strlist_add(list,
			    idn_domain_canonical(domain, canonical) ? canonical
								    : domain);
		}
		text += word < left ? word + 1 : word;
	}
}

/* A line of atrnaccess: USER@DOMAIN:DOMAIN,...  False: the user has none. */
static bool
find_domains(struct smtp_session *session, struct strlist *domains)
{
	const struct strlist *lines = settings_list(
	    session->config->settings, SETTING_atrnaccess);
	const char *name = session->user.address;
	size_t length = strlen(name);

	for (size_t i = 0; i < lines->count; i++) {
		const char *line = lines->items[i];

		if (strncasecmp(line, name, length) != 0 || line[length] != ':')
			continue;
		line += length + 1;
		split_domains(line, strlen(line), domains);
	}
	return domains->count > 0;
}

/* Is there a message in the folder?  1, 0, or -1 with the reason. */
static int
has_message(const char *maildir, const char *part, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/%s", maildir, part);
	DIR *folder = opendir(path);
	struct dirent *entry;
	int found = 0;

	if (folder == NULL)
		return error_sys(err, "cannot read '%s'", path);
	while (found == 0 && (entry = readdir(folder)) != NULL)
		found = entry->d_name[0] != '.';
	closedir(folder);
	return found;
}

/* Adds the Maildir and prefix of each domain that has mail.  0 or -1. */
static int
find_mail(struct smtp_session *session, const struct strlist *domains,
    struct strlist *arguments, struct error *err)
{
	for (size_t i = 0; i < domains->count; i++) {
		struct etrnhost host;
		int found;

		if (!etrnhost_find(settings_list(session->config->settings,
				       SETTING_etrnhosts),
			domains->items[i], &host))
			continue;
		found = has_message(host.maildir, "new", err);
		if (found == 0)
			found = has_message(host.maildir, "cur", err);
		if (found == 1) {
			strlist_add(arguments, host.maildir);
			strlist_add(arguments, host.prefix);
		}
		etrnhost_release(&host);
		if (found == -1)
			return -1;
	}
	return 0;
}

/* maildiratrn HELOHOST and the arguments, with fd as its connection. */
static pid_t
start_client(struct smtp_session *session, const struct strlist *arguments,
    int fd, struct error *err)
{
	const char *name = session->config->name;
	OWN_TEXT folder = file_program_dir();
	OWN_TEXT program = xasprintf("%s/maildiratrn", folder);
	OWN_TEXT helo = xstrdup(name[0] != '\0' ? name : "unknown");
	char **argv = xcalloc(arguments->count + 3, sizeof(*argv));
	/* Ours of 0 and 1 may be the client's connection. */
	AUTO(file_close) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct program_fd fds[] = { { null_fd, 0 }, { null_fd, 1 },
		{ fd, PROGRAM_FD } };
	pid_t pid;

	argv[0] = program;
	argv[1] = helo;
	for (size_t i = 0; i < arguments->count; i++)
		argv[i + 2] = arguments->items[i];
	pid = null_fd == -1 ? error_sys(err, "cannot open /dev/null")
			    : program_start(program, argv, environ, fds, 3, err);
	free(argv);
	return pid;
}

static void
reverse(struct smtp_session *session, const struct strlist *arguments)
{
	int pair[2], status = 0;
	struct error err;
	pid_t pid = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		error_sys(&err, "cannot make a socket");
	else {
		pid = start_client(session, arguments, pair[1], &err);
		close(pair[1]);
		if (pid == -1)
			close(pair[0]);
	}
	if (pid == -1) {
		smtp_log(session, "ATRN cannot be served: %s", err.text);
		smtp_reply(session, 451, "4.3.0",
		    "Unable to process ATRN request now");
		return;
	}
	smtp_reply(
	    session, 250, "2.0.0", "OK now reversing the connection");
	if (stream_flush(session->stream) == STREAM_OK)
		relay_run(session->stream, session->presence.fd, pair[0],
		    session->config->timeout_ms);
	session->is_over = true;
	shutdown(pair[0], SHUT_RDWR);
	if (program_wait(pid, END_MS, &status) != 1)
		program_stop(pid, END_MS);
	close(pair[0]);
	smtp_log(session, "ATRN <%s> done status %d", session->auth_name,
	    status);
}

/* Everything but that he has logged in. */
static void
serve(struct smtp_session *session, const struct smtp_line *line)
{
	AUTO(strlist_release) struct strlist own = { .count = 0 };
	AUTO(strlist_release) struct strlist asked = { .count = 0 };
	AUTO(strlist_release) struct strlist arguments = { .count = 0 };
	struct error err;

	if (!find_domains(session, &own)) {
		smtp_log(session, "ATRN <%s> is in no line of atrnaccess",
		    session->auth_name);
		smtp_reply_error(
		    session, 553, "5.7.1", "atrn service unavailable");
		return;
	}
	split_domains(line->argument, line->argument_length, &asked);
	for (size_t i = 0; i < asked.count; i++)
		if (!strlist_has_name(&own, asked.items[i])) {
			const char *shown = smtp_text_is_plain(asked.items[i])
			    ? asked.items[i]
			    : "?";

			smtp_log(session, "ATRN <%s> is not for <%s>", shown,
			    session->auth_name);
			smtp_reply_error(session, 553, "5.7.1",
			    "atrn service rejected for one of these domains");
			return;
		}
	if (find_mail(session, asked.count > 0 ? &asked : &own, &arguments,
		&err) == -1) {
		smtp_log(session, "ATRN cannot be served: %s", err.text);
		smtp_reply(session, 451, "4.3.0",
		    "Unable to process ATRN request now");
	} else if (arguments.count == 0)
		smtp_reply(session, 453, "4.3.0",
		    "No message waiting for your node(s)");
	else
		reverse(session, &arguments);
}

void
smtp_cmd_atrn(struct smtp_session *session, const struct smtp_line *line)
{
	if (!session->kind->is_odmr)
		smtp_cmd_unsupported(session, line);
	else if (!session->has_hello)
		smtp_reply_error(
		    session, 503, "5.5.4", smtp_no_hello(session));
	else if (session->transaction.is_open)
		smtp_reply_error(
		    session, 503, "5.5.0", "no ATRN during mail transaction");
	else if (smtp_session_user(session) == NULL)
		smtp_reply(session, 530, "5.7.0", "authentication required");
	else
		serve(session, line);
}
