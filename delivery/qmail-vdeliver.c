/* SPDX-License-Identifier: ISC */
/* qmail-vdeliver: the persistent worker that delivers to virtual users. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/batch_policy.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/usage.h"
#include "control/home.h"
#include "delivery/vdeliver.h"
#include "delivery/worker.h"
#include "mailbox/maildir_cache.h"

enum {
	SYNC_THREADS = 16,
	CACHED_MAILDIRS = 2048,
	/* Besides those of the Maildirs: */
	MESSAGE_FDS = MAILDIR_BATCH_MAX, /* passed to us, of one batch */
	TMP_FDS = MAILDIR_BATCH_MAX,     /* their files, until the commit */
	SINGLE_FDS = 32, /* standard ones, socket, folders, rules, quotas */
	OTHER_FDS = MESSAGE_FDS + TMP_FDS + STORE_CDB_FDS + SINGLE_FDS,
	/* No batch may need more Maildirs than these. */
	MAILDIRS_MIN = MAILDIR_BATCH_MAX,
	/* A batch that has begun can end with this, when memory runs out. */
	RESERVE_BYTES = 8 * 1024 * 1024,
	CONNECT_WAIT_MS = 30000,
	CONNECT_PAUSE_MS = 50
};

static const char usage[] = "usage: qmail-vdeliver QUEUEDIR";

static volatile sig_atomic_t is_stopping;

static void
stop(int signal_number)
{
	(void)signal_number;
	is_stopping = 1;
}

/* TERM and INT only arrive while we wait, never within a batch. */
static void
catch_signals(sigset_t *wait_mask_out)
{
	struct sigaction action = { .sa_handler = stop };
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGINT);
	sigprocmask(SIG_BLOCK, &held, wait_mask_out);
	sigdelset(wait_mask_out, SIGTERM);
	sigdelset(wait_mask_out, SIGINT);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is a write error */
}

/* How many Maildirs may stay open, after asking for all we may have. */
static size_t
raise_descriptors(void)
{
	const rlim_t wanted = CACHED_MAILDIRS * MAILDIR_CACHE_FDS + OTHER_FDS;
	const rlim_t least = MAILDIRS_MIN * MAILDIR_CACHE_FDS + OTHER_FDS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		fatal(111, "cannot read the limit of descriptors");
	if (limit.rlim_cur != limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
			fatal(111, "cannot raise the limit of descriptors");
	}
	if (limit.rlim_cur >= wanted)
		return CACHED_MAILDIRS;
	if (limit.rlim_cur < least)
		fatal(111,
		    "the limit of descriptors is %llu: raise it to %llu "
		    "(ulimit -n, softlimit -o)",
		    (unsigned long long)limit.rlim_cur,
		    (unsigned long long)wanted);
	return (limit.rlim_cur - OTHER_FDS) / MAILDIR_CACHE_FDS;
}

/* The queue's qmail-send may still be starting.  TERM ends the wait. */
static int
connect_queue(const char *queue_dir, const sigset_t *wait_mask)
{
	char *path = xasprintf("%s/lock/workers", queue_dir);
	int64_t give_up_at = clock_ms() + CONNECT_WAIT_MS;
	const struct timespec pause = { .tv_nsec = CONNECT_PAUSE_MS * 1000000 };
	struct error err;
	int fd;

	while ((fd = packet_connect(path, &err)) == -1) {
		bool may_come = errno == ENOENT || errno == ECONNREFUSED;

		if (is_stopping)
			exit(0);
		if (access(queue_dir, F_OK) == -1 && errno == ENOENT)
			fatal(111,
			    "there is no queue '%s': make it with queue-fix",
			    queue_dir);
		if (!may_come || clock_ms() >= give_up_at)
			fatal(111, "%s; is qmail-send running?", err.text);
		ppoll(NULL, 0, &pause, wait_mask);
	}
	free(path);
	return fd;
}

int
main(int argc, char **argv)
{
	struct vdeliver_options options;
	struct vdeliver *vdeliver;
	struct sync_pool *pool;
	struct store *store;
	sigset_t wait_mask;
	struct home *home;
	struct error err;
	int fd, result;

	log_open("qmail-vdeliver");
	batch_policy_set();
	usage_answer(argv, "qmail-vdeliver", usage);
	if (argc != 2 || argv[1][0] == '-' || argv[1][0] == '\0')
		fatal(100, "%s", usage);
	catch_signals(&wait_mask);
	umask(077);
	home = home_new();
	if (vdeliver_read_options(&options, &err) == -1)
		fatal(100, "%s", err.text);
	store = store_open_cdb(home->root, &err);
	if (store == NULL)
		fatal(111, "%s", err.text);
	mem_set_reserve(RESERVE_BYTES);
	pool = sync_pool_new(SYNC_THREADS);
	vdeliver = vdeliver_new(
	    store, home->domains, pool, raise_descriptors(), &options, &err);
	if (vdeliver == NULL)
		fatal(111, "%s", err.text);
	fd = connect_queue(argv[1], &wait_mask);
	result = worker_serve(fd, vdeliver, &is_stopping, &wait_mask, &err);
	if (result == -1)
		fatal(111, "%s", err.text);
	close(fd);
	vdeliver_free(&vdeliver);
	sync_pool_free(&pool);
	store_free(&store);
	home_free(&home);
	return 0;
}
