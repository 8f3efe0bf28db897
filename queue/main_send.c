/* SPDX-License-Identifier: ISC */
/* qmail-send: delivers the messages of one queue (qmail-send(8)). */
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/batch_policy.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/identity.h"
#include "queue/send.h"

enum {
	TAKE_MS = 30000, /* for the last owner of the queue to leave */
	TICK_MS = 1000,
	SPARES_MAX = 1024,
	ACTIVE_MAX = 2000,
	ACTIVE_BYTES_MAX = 256 * 1024 * 1024,
	FILES_WANTED = 16384
};

struct process {
	struct send send;
	int lock_fd;
	struct loop_source signal_source;
	struct loop_source commit_source; /* an eventfd */
	int64_t ticked_at;
	enum health_state published; /* the state, last */
};

static int
load_settings(struct send *send, struct error *err)
{
	struct settings *settings = settings_load(
	    send->home->control, "qmail-send", send->dir->name, err);
	struct route *route;

	if (settings == NULL)
		return -1;
	route = route_new(settings, err);
	if (route == NULL) {
		settings_free(&settings);
		return -1;
	}
	settings_free(&send->settings);
	route_free(&send->route);
	send->settings = settings;
	send->route = route;
	send->limit[ROUTE_LOCAL] = (unsigned)settings_number(
	    settings, SETTING_concurrencylocal);
	send->limit[ROUTE_REMOTE] = (unsigned)settings_number(
	    settings, SETTING_concurrencyremote);
	send->is_held[ROUTE_LOCAL] = settings_flag(settings, SETTING_holdlocal);
	send->is_held[ROUTE_REMOTE] = settings_flag(
	    settings, SETTING_holdremote);
	return 0;
}

static void
handle_signal(struct send *send, int number)
{
	struct error err;

	switch (number) {
	case SIGHUP:
		if (load_settings(send, &err) == -1)
			log_line("alert: unable to reread controls: %s; "
				 "keeping the old",
			    err.text);
		send->assign_checked_at = 0;
		break;
	case SIGALRM:
		backlog_all_now(send);
		break;
	case SIGTERM:
	case SIGINT:
		send->is_stopping = true;
		send->health.state = HEALTH_STOPPING;
		deliver_log_status(send);
		message_tick(send); /* what has ended is remembered */
		break;
	}
}

static void
signal_ready(uint32_t events, void *context)
{
	struct process *process = context;
	struct signalfd_siginfo info;

	(void)events;
	while (read(process->signal_source.fd, &info, sizeof(info)) ==
	    sizeof(info))
		handle_signal(&process->send, (int)info.ssi_signo);
}

static void
commit_ready(uint32_t events, void *context)
{
	struct process *process = context;
	uint64_t count;

	(void)events;
	if (read(process->commit_source.fd, &count, sizeof(count)) > 0)
		commit_reap(process->send.committer);
}

static void
publish(struct process *process)
{
	struct send *send = &process->send;
	struct health *health = &send->health;
	struct commit_stats stats;
	struct statvfs fs;

	commit_read_stats(send->committer, &stats);
	health->commit_latency_us = stats.latency_us;
	health->commit_batch = stats.batch_x100;
	health->is_held_local = send->is_held[ROUTE_LOCAL];
	health->is_held_remote = send->is_held[ROUTE_REMOTE];
	health->local_running = send->running[ROUTE_LOCAL];
	health->local_limit = send->limit[ROUTE_LOCAL];
	health->remote_running = send->running[ROUTE_REMOTE];
	health->remote_limit = send->limit[ROUTE_REMOTE];
	health->backlog = backlog_count(send) + send->active_count;
	health->backlog_todo = backlog_todo_count(send);
	if (statvfs(send->dir->path, &fs) == 0)
		health->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	health_map_publish(send->health_map, health);
	process->published = health->state;
}

static void
tick(struct process *process)
{
	struct send *send = &process->send;

	process->ticked_at = clock_ms();
	message_tick(send);
	intake_tick(send);
	deliver_tick(send);
	commit_fade(send->committer);
	publish(process);
}

/* Stopping, and nothing is under way: what waits is on disk. */
static bool
is_over(const struct send *send)
{
	return send->is_stopping && send->deliveries.count == 0 &&
	    send->commits_running == 0;
}

static void
run(struct process *process)
{
	struct send *send = &process->send;

	while (!is_over(send)) {
		int64_t left = process->ticked_at + TICK_MS - clock_ms();
		int timeout_ms = backlog_timeout_ms(send);

		if (left <= 0) {
			tick(process);
			left = TICK_MS;
		}
		log_flush();
		loop_wait(send->loop,
		    timeout_ms == -1 || timeout_ms > left ? (int)left
							  : timeout_ms);
		backlog_run(send);
		deliver_start(send);
		/* Whoever starts a node waits for this one. */
		if (send->health.state != process->published)
			publish(process);
	}
}

/* Descriptors are held open for spare and active files, as far as allowed. */
static unsigned
raise_file_limit(struct error *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
		error_sys(err, "cannot read the limit of open files");
		return 0;
	}
	if (limit.rlim_cur < FILES_WANTED) {
		limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max
							       : FILES_WANTED;
		if (setrlimit(RLIMIT_NOFILE, &limit) == -1) {
			error_sys(err, "cannot raise the limit of open files");
			return 0;
		}
	}
	if (limit.rlim_cur < 512) {
		error_set(err,
		    "only %lu open files are allowed; at least 512 "
		    "are needed (softlimit -o, ulimit -n)",
		    (unsigned long)limit.rlim_cur);
		return 0;
	}
	return limit.rlim_cur > FILES_WANTED ? FILES_WANTED
					     : (unsigned)limit.rlim_cur;
}

static int
watch_signals(struct process *process, struct error *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Somebody opens a file just while a lease on it is tried. */
	signal(SIGIO, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd == -1)
		return error_sys(err, "cannot make a signalfd");
	process->signal_source = (struct loop_source){
		.fd = fd, .ready = signal_ready, .context = process
	};
	return loop_add(
	    process->send.loop, &process->signal_source, EPOLLIN, err);
}

static int
start_committer(struct process *process, struct error *err)
{
	struct send *send = &process->send;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd == -1)
		return error_sys(err, "cannot make an eventfd");
	process->commit_source = (struct loop_source){
		.fd = fd, .ready = commit_ready, .context = process
	};
	send->committer = committer_new(
	    send->dir, send->spares, send->journal, fd);
	return loop_add(send->loop, &process->commit_source, EPOLLIN, err);
}

static int
open_queue(struct process *process, const char *path, struct error *err)
{
	struct send *send = &process->send;
	unsigned files = raise_file_limit(err);
	enum route_channel channel;

	if (files == 0)
		return -1;
	send->home = home_new();
	/* Before anything is looked at: queue-fix may still be at work. */
	process->lock_fd = queue_take(path, TAKE_MS, err);
	if (process->lock_fd == -1 || queue_check_fixed(path, err) == -1)
		return -1;
	send->dir = queue_dir_open(path, err);
	if (send->dir == NULL || load_settings(send, err) == -1)
		return -1;
	send->worker_uid = identity_peer(IDENTITY_QUEUE, IDENTITY_VIRTUAL);
	send->smtpd_uid = identity_peer(IDENTITY_QUEUE, IDENTITY_SMTPD);
	send->active_max = files / 8 < ACTIVE_MAX ? files / 8 : ACTIVE_MAX;
	send->active_bytes_max = ACTIVE_BYTES_MAX;
	send->files_max = send->files_used = files;
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		send->waiting_end[channel] = &send->waiting[channel];
	send->spares = spare_pool_new(
	    send->dir, files / 16 < SPARES_MAX ? files / 16 : SPARES_MAX);
	/* Before a pair that it holds the envelope for is taken for a spare. */
	if (journal_open(send->dir, false, &send->journal, err) == -1 ||
	    spare_pool_adopt(send->spares, err) == -1)
		return -1;
	send->loop = loop_new();
	send->health.state = HEALTH_STARTING;
	send->health.pid = getpid();
	send->health.started_at = time(NULL);
	send->health_map = health_map_create(path, err);
	if (send->health_map == NULL || watch_signals(process, err) == -1 ||
	    start_committer(process, err) == -1 ||
	    backlog_open(send, err) == -1 || deliver_open(send, err) == -1 ||
	    intake_open(send, err) == -1)
		return -1;
	return 0;
}

/* 0, or -1 when the queue is not what another system understands. */
static int
close_queue(struct process *process)
{
	struct send *send = &process->send;
	int result;

	send->health.state = HEALTH_DOWN;
	publish(process);
	intake_close(send);
	deliver_close(send);
	committer_free(&send->committer);
	result = journal_close(&send->journal);
	while (send->active != NULL)
		message_free(send, send->active);
	backlog_close(send);
	idmap_release(&send->active_ids);
	spare_pool_free(&send->spares);
	health_map_close(&send->health_map);
	loop_free(&send->loop);
	close(process->signal_source.fd);
	close(process->commit_source.fd);
	cdbmap_free(&send->assign);
	route_free(&send->route);
	settings_free(&send->settings);
	queue_dir_close(&send->dir);
	home_free(&send->home);
	close(process->lock_fd);
	return result;
}

static const char usage[] = "usage: qmail-send QUEUEDIR";

int
main(int argc, char **argv)
{
	static struct process process;
	struct error err;
	int result;

	log_open(NULL);
	usage_answer(argv, "qmail-send", usage);
	if (argc != 2 || argv[1][0] == '-')
		fatal(100, "%s", usage);
	log_gather();
	batch_policy_set();
	if (open_queue(&process, argv[1], &err) == -1)
		fatal(111, "cannot start: %s", err.text);
	log_line("running");
	run(&process);
	log_line("exiting");
	result = close_queue(&process);
	log_flush();
	return result == 0 ? 0 : 111;
}
