/* SPDX-License-Identifier: ISC */
/*
 * ETRN (RFC 1985): the queues try what they have for a domain now, and mail
 * that a Maildir holds goes out by maildirsmtp, which runs on by itself.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"
#include "control/etrnhosts.h"
#include "queue/retry_lane.h"
#include "queue/sink_settings.h"
#include "smtp/session_private.h"
#include "smtp/text.h"

/* As long as a shell takes to start a program and to end. */
enum { START_MS = 10 * 1000 };

bool
smtp_session_has_etrn(const struct smtp_session *session)
{
	return !session->kind->is_node &&
	    settings_list(session->config->settings, SETTING_etrnhosts)
		   ->count > 0;
}

/* Adds the messages of one folder; false when it cannot be read. */
static bool
count_part(const char *maildir, const char *part, unsigned *count)
{
	char *path = xasprintf("%s/%s", maildir, part);
	DIR *folder = opendir(path);
	struct dirent *entry;

	free(path);
	if (folder == NULL)
		return false;
	while ((entry = readdir(folder)) != NULL)
		*count += entry->d_name[0] != '.';
	closedir(folder);
	return true;
}

/*
 * The shell ends at once, and init is the parent of what it has started, so
 * that the daemon need not wait for that.
 */
static int
start_delivery(const struct smtp_session *session, const struct etrnhost *host,
    struct error *err)
{
	AUTO(mem_free) char *folder = file_program_dir();
	AUTO(mem_free) char *program = xasprintf("%s/maildirsmtp", folder);
	AUTO(mem_free)
	char *target = host->host != NULL
	    ? xstrdup(host->host)
	    : xasprintf("[%s]:25", session->peer->remote_ip);
	char shell[] = "sh", option[] = "-c", script[] = "\"$0\" \"$@\" &";
	char helo[256];
	char *const argv[] = { shell, option, script, program, host->maildir,
		host->prefix, target, helo, NULL };
	AUTO(file_close) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Ours of 0 and 1 may be the client's connection. */
	const struct program_fd fds[] = { { null_fd, 0 }, { null_fd, 1 } };
	int status = 0;
	pid_t pid;

	if (null_fd == -1)
		return error_sys(err, "cannot open /dev/null");
	snprintf(helo, sizeof(helo), "%s",
	    session->config->name[0] != '\0' ? session->config->name
					     : "unknown");
	pid = program_start("/bin/sh", argv, environ, fds, 2, err);
	if (pid == -1)
		return -1;
	if (program_wait(pid, START_MS, &status) == 1 && status == 0)
		return 0;
	program_stop(pid, 0);
	return error_set(err, "cannot start '%s'", program);
}

/* How many queues have mail for it, which they try now; or -1. */
static int
retry_queues(const struct smtp_session *session, const struct etrnhost *host,
    struct error *err)
{
	struct sink_options options;

	sink_options_set(
	    &options, session->config->settings, session->server->home);
	return retry_lane(
	    options.queue_base, host->domain, session->peer->remote_ip, err);
}

/* What the Maildir has is on its way; 0 or -1. */
static int
deliver_maildir(const struct smtp_session *session, const struct etrnhost *host,
    unsigned *count_out, struct error *err)
{
	*count_out = 0;
	if (host->maildir == NULL)
		return 0;
	if (!count_part(host->maildir, "new", count_out) ||
	    !count_part(host->maildir, "cur", count_out))
		return error_set(err, "its Maildir cannot be read");
	return *count_out > 0 ? start_delivery(session, host, err) : 0;
}

static void
deliver(struct smtp_session *session, const struct etrnhost *host)
{
	struct error err, queue_err;
	unsigned count;
	int queues = retry_queues(session, host, &queue_err);
	int result = deliver_maildir(session, host, &count, &err);

	if (queues == -1 || result == -1)
		smtp_log(session, "ETRN <%s> cannot be served: %s",
		    host->domain, result == -1 ? err.text : queue_err.text);
	if (queues <= 0 && (result == -1 || (queues == -1 && count == 0))) {
		smtp_reply(session, 458, "4.3.0",
		    "Unable to queue messages for node %s", host->domain);
		return;
	}
	smtp_log(session, "ETRN <%s> messages: %u queues: %d", host->domain,
	    result == -1 ? 0 : count, queues == -1 ? 0 : queues);
	if (queues > 0 && (count == 0 || result == -1))
		smtp_reply(session, 252, "2.0.0",
		    "OK, pending messages for node %s started", host->domain);
	else if (count == 0)
		smtp_reply(session, 251, "2.0.0",
		    "OK, no messages waiting for node %s", host->domain);
	else
		smtp_reply(session, 253, "2.0.0",
		    "OK, %u pending messages for node %s started", count,
		    host->domain);
}

/* RFC 1985 5.2: of the options "@" and "#" of a node's name we have none. */
static void
ask(struct smtp_session *session, const char *node)
{
	struct etrnhost host;
	const char *shown = smtp_text_is_plain(node) ? node : "?";

	if (node[0] == '@' || node[0] == '#') {
		smtp_reply(session, 458, "4.5.4",
		    "Unable to queue messages for node %s", shown);
		return;
	}
	if (!etrnhost_find(
		settings_list(session->config->settings, SETTING_etrnhosts),
		node, &host)) {
		smtp_log(session, "ETRN <%s> is no node of etrnhosts", shown);
		smtp_reply_error(session, 459, "4.7.1", "Node not allowed");
		return;
	}
	if (etrnhost_allows(&host, session->peer->remote_ip))
		deliver(session, &host);
	else {
		smtp_log(
		    session, "ETRN <%s> is not for this client", host.domain);
		/* The same answer: who may not ask learns nothing. */
		smtp_reply_error(session, 459, "4.7.1", "Node not allowed");
	}
	etrnhost_release(&host);
}

void
smtp_cmd_etrn(struct smtp_session *session, const struct smtp_line *line)
{
	char *node;

	if (!smtp_session_has_etrn(session)) {
		smtp_cmd_unsupported(session, line);
		return;
	}
	if (!session->has_hello || session->transaction.is_open) {
		smtp_reply_error(session, 503, "5.5.1",
		    session->has_hello ? "bad sequence of commands"
				       : smtp_no_hello(session));
		return;
	}
	node = xstrndup(line->argument, line->argument_length);
	if (node[0] == '\0' || strpbrk(node, " \t<>") != NULL)
		smtp_reply_error(
		    session, 501, "5.5.4", "Syntax error, ETRN needs a domain");
	else
		ask(session, node);
	free(node);
}
