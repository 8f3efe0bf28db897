/* SPDX-License-Identifier: ISC */
/* qmail-send: delivers the messages of one queue (qmail-send(8)). */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/usage.h"
#include "control/identity.h"
#include "control/layout.h"
#include "queue/send.h"
#include "queue/upgrade.h"

enum {
	TAKE_MS = 30000, /* for the last owner of the queue to leave */
	TICK_MS = 1000,
	KEPT_MAX = 2000,
	KEPT_BYTES_MAX = 256 * 1024 * 1024,
	FILES_WANTED = 16384,
	FILES_LEAST = 512,
	HELPERS = 4,
	/* Above those in the journal there may be some that never were there:
	 * of messages that had files at once. */
	NUMBERS_APART = 1000000,
	BODY_WRITERS = 4,
	CONTROL_FD = 0 /* of qmail-start, if it is a socket */
};

/* What the queue says of itself, on its way to the disk. */
struct publication {
	struct work work;
	struct process *process;
	struct health health;
	bool is_posted;
};

struct process {
	struct send send;
	int lock_fd;
	struct loop_source signal_source;
	struct loop_source wake_source; /* an eventfd: a thread is done */
	int64_t ticked_at;
	struct publication publication; /* the last one */
};

static void
set_min_free(struct send *send)
{
	intake_set_min_free(
	    send->intake, settings_number(send->settings, SETTING_min_free));
}

/* They count as they stand; most likely they are not meant so. */
static void
log_odd_rules(const struct settings *settings)
{
	const struct strlist *list = settings_list(
	    settings, SETTING_virtualdomains);
	struct error err;

	for (size_t i = 0; i < list->count; i++)
		if (route_judge_rule(list->items[i], &err) == -1)
			log_line("warning: %s: %s",
			    settings_source(settings, SETTING_virtualdomains),
			    err.text);
}

static struct route *
load_route(struct send *send, const struct settings *settings,
    struct error *err)
{
	struct route *route = route_new(settings, err);

	if (route != NULL &&
	    route_add_cluster(route, cluster_domains_new(send->home), err) ==
		-1)
		route_free(&route);
	return route;
}

static int
load_settings(struct send *send, struct error *err)
{
	struct settings *settings = settings_load(
	    send->home->control, "qmail-send", send->dir->name, err);
	struct route *route, *of_router;
	struct bounce_way *bounce_way;

	if (settings == NULL)
		return -1;
	bounce_way = bounce_way_new(settings, send->home, err);
	route = bounce_way == NULL ? NULL : load_route(send, settings, err);
	of_router = route == NULL ? NULL : load_route(send, settings, err);
	if (of_router == NULL) {
		bounce_way_release(&bounce_way);
		route_free(&route);
		settings_free(&settings);
		return -1;
	}
	log_odd_rules(settings);
	lane_set_lifetimes(send->lanes,
	    (time_t)settings_number(settings, SETTING_queuelifetime),
	    settings_list(settings, SETTING_queuelifetimes));
	settings_free(&send->settings);
	route_free(&send->route);
	bounce_way_release(&send->bounce_way);
	send->bounce_way = bounce_way;
	send->settings = settings;
	send->route = route;
	router_set_route(send->router, of_router);
	send->limit[ROUTE_LOCAL] = (unsigned)settings_number(
	    settings, SETTING_concurrencylocal);
	send->limit[ROUTE_REMOTE] = (unsigned)settings_number(
	    settings, SETTING_concurrencyremote);
	send->is_held[ROUTE_LOCAL] = settings_flag(settings, SETTING_holdlocal);
	send->is_held[ROUTE_REMOTE] = settings_flag(
	    settings, SETTING_holdremote);
	for (enum lane_kind kind = 0; kind < LANE_KIND_COUNT; kind++)
		lane_set_held(send->lanes, kind,
		    send->is_held[lane_channel(kind)] ||
			send->is_held[lane_way(kind)]);
	workers_set_limits(send);
	if (send->intake != NULL)
		set_min_free(send);
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
		break;
	case SIGALRM:
		backlog_all_now(send);
		break;
	case SIGTERM:
	case SIGINT:
		send->is_stopping = true;
		send->health.state = HEALTH_STOPPING;
		intake_stop(send->intake);
		send->has_new_status = true;
		message_tick(send); /* what is here becomes kept */
		break;
	}
}

static void
send_signal_ready(uint32_t events, void *context)
{
	struct process *process = context;
	int number;

	(void)events;
	while ((number = signals_next(process->signal_source.fd)) != 0)
		handle_signal(&process->send, number);
}

static void
wake_ready(uint32_t events, void *context)
{
	struct process *process = context;
	struct send *send = &process->send;
	uint64_t count;

	(void)events;
	if (read(process->wake_source.fd, &count, sizeof(count)) <= 0)
		return;
	commit_reap(send->committer);
	keep_reap(send->keeper);
	router_reap(send->router);
	work_pool_reap(send->helpers);
	work_pool_reap(send->bodies);
}

/* In a helper, since a disk that hangs must not stop the loop. */
static void
run_publication(struct work *work)
{
	struct publication *publication = (struct publication *)work;
	struct process *process = publication->process;
	struct statvfs fs;

	if (statvfs(process->send.dir->path, &fs) == 0)
		publication->health.free_bytes = (uint64_t)fs.f_bavail *
		    fs.f_frsize;
	health_file_publish(process->send.health_file, &publication->health);
}

static void
publication_done(struct work *work)
{
	struct publication *publication = (struct publication *)work;
	struct send *send = &publication->process->send;

	send->jobs_running--;
	send->health.free_bytes = publication->health.free_bytes;
	publication->is_posted = false;
}

static void
gather_health(struct send *send)
{
	struct health *health = &send->health;
	struct commit_stats stats;

	commit_read_stats(send->committer, &stats);
	health->commit_latency_us = stats.latency_us;
	health->commit_batch = stats.batch_x100;
	health->is_journal_full = stats.is_full;
	health->journal_used_bytes = stats.journal_used_bytes;
	health->journal_size_bytes = stats.journal_size_bytes;
	health->is_held_local = send->is_held[ROUTE_LOCAL];
	health->is_held_remote = send->is_held[ROUTE_REMOTE];
	health->local_running = send->running[ROUTE_LOCAL];
	health->local_limit = send->limit[ROUTE_LOCAL];
	health->remote_running = send->running[ROUTE_REMOTE];
	health->remote_limit = send->limit[ROUTE_REMOTE];
	health->backlog = backlog_count(send);
	health->backlog_todo = backlog_todo_count(send);
	health->lanes_backing_off = lane_count_backing_off(send->lanes);
}

/* Not while the last one is under way; the next look finds what has changed. */
static void
publish(struct process *process)
{
	struct publication *publication = &process->publication;
	struct send *send = &process->send;

	if (publication->is_posted)
		return;
	gather_health(send);
	publication->process = process;
	publication->health = send->health;
	publication->is_posted = true;
	send->jobs_running++;
	work_pool_post(send->helpers, &publication->work, run_publication,
	    publication_done);
}

static void
tick(struct process *process)
{
	struct send *send = &process->send;

	process->ticked_at = clock_ms();
	message_tick(send);
	backlog_tick(send);
	workers_tick(send);
	intake_tick(send->intake);
	commit_fade(send->committer);
	publish(process);
}

/* Is there a step to be done: a fresh message's to files, or one that failed?
 */
static bool
has_steps(const struct send *send)
{
	const struct message *message;

	TAILQ_FOREACH(message, &send->active, in_active)
		if (!message->has_stopped &&
		    (message->form == MESSAGE_FRESH ||
			message->settle_after != 0))
			return true;
	return false;
}

/* Stopping, and nothing is under way: what waits is on disk. */
static bool
is_over(const struct send *send)
{
	return send->is_stopping && send->deliveries.count == 0 &&
	    send->jobs_running == 0 && intake_is_idle(send->intake) &&
	    !has_steps(send);
}

static int
wait_ms(const struct process *process)
{
	int64_t left = process->ticked_at + TICK_MS - clock_ms();
	int backlog_ms = backlog_timeout_ms(&process->send);

	if (left < 0)
		left = 0;
	return backlog_ms == -1 || backlog_ms > left ? (int)left : backlog_ms;
}

static void
run_send(struct process *process)
{
	struct send *send = &process->send;

	while (!is_over(send)) {
		/* The disk begins with new mail while we go on. */
		commit_flush(send->committer);
		if (clock_ms() >= process->ticked_at + TICK_MS)
			tick(process);
		lane_run_timers(send->lanes, clock_ms());
		message_run(send);
		backlog_run(send);
		router_flush(send->router);
		deliver_start(send);
		deliver_log_status(send);
		/* Whoever starts a node waits for this one. */
		if (send->health.state != process->publication.health.state)
			publish(process);
		commit_flush(send->committer);
		log_flush();
		loop_wait(send->loop, wait_ms(process));
	}
}

/* Descriptors are held open for messages in memory, as far as allowed. */
static int
find_kept_max(struct send *send, struct error *err)
{
	uint64_t files = files_raise(FILES_WANTED);

	if (files == 0)
		return error_sys(err, "cannot raise the limit of open files");
	if (files < FILES_LEAST)
		return error_set(err,
		    "only %" PRIu64 " open files are allowed; at least %d "
		    "are needed (softlimit -o, ulimit -n)",
		    files, FILES_LEAST);
	send->kept_max = files / 8 < KEPT_MAX ? files / 8 : KEPT_MAX;
	return 0;
}

static int
watch_send_signals(struct process *process, struct error *err)
{
	int fd = signals_open(SIGTERM, SIGINT, SIGHUP, SIGALRM, 0);

	signal(SIGPIPE, SIG_IGN);
	if (fd == -1)
		return error_sys(err, "cannot make a signalfd");
	process->signal_source = (struct loop_source){
		.fd = fd, .ready = send_signal_ready, .context = process
	};
	return loop_add(
	    process->send.loop, &process->signal_source, EPOLLIN, err);
}

/* The threads that work for the loop, but the committer. */
static int
start_threads(struct process *process, struct error *err)
{
	struct send *send = &process->send;
	AUTO(mem_free)
	char *assign = layout_path(send->home, LAYOUT_assign_cdb);
	struct router_options options = { .assign_path = assign,
		.domains_path = send->home->domains,
		.has_lane_per_domain = send->has_many_lanes,
		.home = send->home };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd == -1)
		return error_sys(err, "cannot make an eventfd");
	process->wake_source = (struct loop_source){
		.fd = fd, .ready = wake_ready, .context = process
	};
	send->router = router_new(&options, fd);
	send->keeper = keeper_new(send->dir, fd);
	send->helpers = work_pool_new(HELPERS, fd);
	send->bodies = work_pool_new(BODY_WRITERS, fd);
	return 0;
}

/* A larger body gets a file: as the settings say, or a 16th of the journal. */
static size_t
body_max_bytes(const struct settings *settings)
{
	uint64_t max = settings_number(settings, SETTING_journalmessage);
	uint64_t part = settings_number(settings, SETTING_journalsize) / 16;

	return (size_t)(max < part ? max : part);
}

/*
 * Takes up what an earlier process left in the journal; the number of a new
 * message is larger than any that was used before, and than any inode.
 */
static int
open_journal(struct send *send, struct error *err)
{
	uint64_t size_bytes = settings_number(
	    send->settings, SETTING_journalsize);
	struct journal_finder finder = { .message = message_found,
		.ended = message_ended,
		.context = send };
	struct timespec now;

	/* Not by seconds: a next process may come within one. */
	clock_gettime(CLOCK_REALTIME, &now);
	send->next_id = (uint64_t)now.tv_sec * 1000000 +
	    (uint64_t)now.tv_nsec / 1000;
	if (journal_open(send->dir, size_bytes, &finder, &send->journal, err) ==
	    -1)
		return -1;
	if (send->next_id < journal_next_id(send->journal) + NUMBERS_APART)
		send->next_id = journal_next_id(send->journal) + NUMBERS_APART;
	send->first_id = send->next_id;
	return 0;
}

static int
open_intake(struct send *send, struct error *err)
{
	struct intake_options options = { .loop = send->loop,
		.dir = send->dir,
		.bodies = send->bodies,
		.smtpd_uid = identity_peer(IDENTITY_QUEUE, IDENTITY_SMTPD),
		.body_max_bytes = send->body_max_bytes };

	send->intake = intake_open(send, &options, err);
	if (send->intake == NULL)
		return -1;
	set_min_free(send);
	return 0;
}

/* The descriptor over which qmail-start sends connections of workers; or -1. */
static int
find_control(void)
{
	int type = 0;
	socklen_t size = sizeof(type);

	return getsockopt(CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
		type == SOCK_SEQPACKET
	    ? CONTROL_FD
	    : -1;
}

static int
open_process(struct process *process, const char *path, struct error *err)
{
	struct send *send = &process->send;

	if (find_kept_max(send, err) == -1)
		return -1;
	send->home = home_new();
	/* Before anything is looked at: queue-fix may still be at work. */
	process->lock_fd = queue_take(path, TAKE_MS, err);
	if (process->lock_fd == -1 || queue_check_fixed(path, err) == -1)
		return -1;
	send->dir = queue_dir_open(path, err);
	if (send->dir == NULL)
		return -1;
	send->settings = settings_load(
	    send->home->control, "qmail-send", send->dir->name, err);
	if (send->settings == NULL ||
	    queue_drop_spares(send->dir, NULL, err) == -1)
		return -1;
	send->body_max_bytes = body_max_bytes(send->settings);
	send->kept_bytes_max = KEPT_BYTES_MAX;
	TAILQ_INIT(&send->active);
	send->recent = recent_new();
	/* A lane gets a part of the room, so that others find some. */
	send->lanes = lane_table_new(send->kept_max / 4);
	send->has_many_lanes = settings_flag(
	    send->settings, SETTING_virtuallanes);
	send->loop = loop_new();
	if (operate_open(send, err) == -1 ||
	    start_threads(process, err) == -1 ||
	    load_settings(send, err) == -1 || open_journal(send, err) == -1)
		return -1;
	send->committer = committer_new(
	    send->dir, send->journal, process->wake_source.fd);
	send->health.state = HEALTH_STARTING;
	send->health.pid = getpid();
	send->health.started_at = time(NULL);
	send->health_file = health_file_create(path, err);
	if (send->health_file == NULL ||
	    watch_send_signals(process, err) == -1 ||
	    loop_add(send->loop, &process->wake_source, EPOLLIN, err) == -1 ||
	    load_end_found(send, err) == -1 || backlog_open(send, err) == -1 ||
	    workers_open(send, find_control(), err) == -1 ||
	    open_intake(send, err) == -1)
		return -1;
	return 0;
}

/* 0, or -1 when the queue is not what another system understands. */
static int
close_process(struct process *process)
{
	struct send *send = &process->send;
	const struct message *message;
	int result = 0;

	send->health.state = HEALTH_DOWN;
	gather_health(send);
	health_file_publish(send->health_file, &send->health);
	intake_close(&send->intake);
	workers_close(send);
	TAILQ_FOREACH(message, &send->active, in_active)
		if (message->form == MESSAGE_FRESH)
			result = -1; /* the log has said why */
	committer_free(&send->committer);
	keeper_free(&send->keeper);
	if (journal_close(&send->journal) == -1)
		result = -1;
	while (!TAILQ_EMPTY(&send->active))
		message_free(send, TAILQ_FIRST(&send->active));
	router_free(&send->router);
	work_pool_free(&send->helpers);
	work_pool_free(&send->bodies);
	operate_close(send);
	backlog_close(send);
	lane_table_free(&send->lanes);
	recent_free(&send->recent);
	idmap_release(&send->active_ids);
	idmap_release(&send->damaged_ids);
	health_file_close(&send->health_file);
	loop_free(&send->loop);
	close(process->signal_source.fd);
	close(process->wake_source.fd);
	route_free(&send->route);
	bounce_way_release(&send->bounce_way);
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
	if (open_process(&process, argv[1], &err) == -1)
		fatal(111, "cannot start: %s", err.text);
	log_line("running");
	run_send(&process);
	log_line("exiting");
	result = close_process(&process);
	log_flush();
	return result == 0 ? 0 : 111;
}
