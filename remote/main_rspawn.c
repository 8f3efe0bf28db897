/* SPDX-License-Identifier: ISC */
/* qmail-rspawn: remote delivery for all queues of a node (qmail-rspawn(8)). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/signals.h"
#include "base/test_time.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/identity.h"
#include "control/layout.h"
#include "remote/output.h"
#include "remote/spawner.h"

static const char usage[] = "usage: qmail-rspawn";

/* After TERM what is being sent may take so long. */
enum { DRAIN_MS = 20 * 1000 };

struct process {
	struct home *home;
	struct loop *loop;
	struct loop_source signal_source, wake_source;
	struct spawner *spawner;
	struct tls_report *report;
	int64_t ends_at_ms; /* 0: it goes on */
};

/*
 * The socket's time says when settings were read: svctool tells by it which
 * files were changed since (rspawn_unread()).
 */
static struct rules *
read_rules(void *context, struct error *err)
{
	struct process *process = context;
	AUTO(mem_free) char *socket = layout_path(process->home, LAYOUT_remote);
	struct rules *rules;

	if (utimensat(AT_FDCWD, socket, NULL, 0) == -1)
		log_line("warning: cannot note at '%s' that settings are "
			 "read: %m",
		    socket);
	rules = rules_new(process->home, "qmail-rspawn", err);

	if (rules != NULL)
		rules_report_to(rules, process->report);
	return rules;
}

static void
reread(struct process *process)
{
	struct error err;
	struct rules *rules = read_rules(process, &err);

	if (rules == NULL) {
		log_line("alert: settings stay as they were: %s", err.text);
		return;
	}
	spawner_use(process->spawner, rules);
	log_line("status: settings were read again");
}

static void
signal_ready(uint32_t events, void *context)
{
	struct process *process = context;
	int number;

	(void)events;
	while ((number = signals_next(process->signal_source.fd)) != 0)
		if (number == SIGHUP)
			reread(process);
		else if (process->ends_at_ms == 0)
			process->ends_at_ms = clock_ms() +
			    test_time_ms("REMOTE_DRAIN_MS", DRAIN_MS);
}

static void
wake_ready(uint32_t events, void *context)
{
	struct process *process = context;
	uint64_t count;

	(void)events;
	if (read(process->wake_source.fd, &count, sizeof(count)) == -1 &&
	    errno != EAGAIN)
		fatal(111, "cannot read an eventfd: %m");
}

static void
watch(struct process *process, struct loop_source *source, int fd,
    void (*ready)(uint32_t events, void *context))
{
	struct error err;

	*source = (struct loop_source){ fd, ready, process };
	if (fd == -1)
		fatal(111, "cannot start: %m");
	if (loop_add(process->loop, source, EPOLLIN, &err) == -1)
		fatal(111, "cannot start: %s", err.text);
}

/* Before the change of user: run/ is root's. */
static int
listen_for_queues(const struct home *home)
{
	char *path = layout_path(home, LAYOUT_remote);
	struct error err;
	int fd;

	if (packet_is_served(path))
		fatal(111, "another qmail-rspawn serves '%s'", path);
	/* Whose queues are served the kernel tells. */
	fd = packet_listen(path, 0666, &err);
	if (fd == -1)
		fatal(111, "%s", err.text);
	free(path);
	return fd;
}

static void
run(struct process *process)
{
	bool is_over = false;

	while (!is_over) {
		loop_wait(process->loop, spawner_run(process->spawner));
		tls_report_tick(process->report, time(NULL));
		is_over = process->ends_at_ms != 0 &&
		    (spawner_stop(process->spawner) ||
			clock_ms() >= process->ends_at_ms);
	}
	spawner_run(process->spawner); /* the last results */
	tls_report_free(&process->report);
}

int
main(int argc, char **argv)
{
	struct process process = { 0 };
	struct spawner_config config = { 0 };
	struct rules *rules;
	struct error err;
	char *path;

	log_open("qmail-rspawn");
	usage_answer(argv, "qmail-rspawn", usage);
	if (argc != 1)
		fatal(100, "%s", usage);
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	process.home = home_new();
	process.loop = loop_new();
	files_raise(UINT64_MAX);
	watch(&process, &process.signal_source,
	    signals_open(SIGTERM, SIGINT, SIGHUP, 0), signal_ready);
	watch(&process, &process.wake_source,
	    eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), wake_ready);
	config.loop = process.loop;
	config.wake_fd = process.wake_source.fd;
	config.listen_fd = listen_for_queues(process.home);
	/* For tls/nodecert.pem, which other nodes are shown. */
	if (identity_become_in(IDENTITY_REMOTE, "qcerts", &err) == -1)
		fatal(111, "cannot start: %s", err.text);
	/* It looks at who we are now. */
	config.queue_uid = identity_peer(IDENTITY_REMOTE, IDENTITY_QUEUE);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	parent_end_with(parent_supervise());
	path = layout_path(process.home, LAYOUT_tls_report);
	process.report = tls_report_new(path);
	free(path);
	rules = read_rules(&process, &err);
	if (rules == NULL)
		fatal(111, "cannot start: %s", err.text);
	config.home = process.home;
	config.read_rules = read_rules;
	config.context = &process;
	process.spawner = spawner_new(&config, rules, &err);
	if (process.spawner == NULL)
		fatal(111, "cannot start: %s", err.text);
	log_line("status: ready");
	run(&process);
	output_end_all();
	log_line("exiting");
	log_flush();
	/* Threads may hang at their peers: no waiting for them. */
	_exit(0);
}
