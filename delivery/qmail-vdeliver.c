/* SPDX-License-Identifier: ISC */
/* qmail-vdeliver: the persistent worker that delivers to virtual users. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/layout.h"
#include "delivery/vdeliver.h"
#include "delivery/worker.h"
#include "mailbox/maildir_cache.h"
#include "mailbox/over_quota.h"

enum {
	SYNC_THREADS = 16,
	/* In hand at once, if there are descriptors for it. */
	RECIPIENTS = 500,
	RECIPIENTS_LEAST = 32,
	CACHED_MAILDIRS = 2048,
	/* Each needs the message, its file, and perhaps a Maildir of its own;
	 * large messages come besides the small ones. */
	RECIPIENT_FDS = 2 * (2 + MAILDIR_CACHE_FDS),
	SINGLE_FDS =
	    48, /* standard ones, folders, filesystems, rules, quotas */
	PROCESS_FDS = 16 * 4 + 16, /* processes, and a domain that is counted */
	OTHER_FDS = STORE_CDB_FDS + SINGLE_FDS + PROCESS_FDS,
	/* What was taken can be finished with this, when memory runs out. */
	RESERVE_BYTES = 8 * 1024 * 1024
};

/* Bytes of small messages in hand at once. */
static const uint64_t BYTES = 32 * 1024 * 1024;

static const char usage[] = "usage: qmail-vdeliver QUEUEDIR";

static volatile sig_atomic_t is_stopping;

static void
stop(int signal_number)
{
	(void)signal_number;
	is_stopping = 1;
}

/* TERM and INT only arrive while we wait. */
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

/* How many descriptors there are for recipients and Maildirs. */
static uint64_t
find_descriptors(void)
{
	uint64_t files = files_raise(UINT64_MAX);

	if (files == 0)
		fatal(111, "cannot raise the limit of descriptors");
	if (files < OTHER_FDS + RECIPIENTS_LEAST * RECIPIENT_FDS)
		fatal(111,
		    "the limit of descriptors is %" PRIu64 ": raise it to %u "
		    "(ulimit -n, softlimit -o)",
		    files, OTHER_FDS + RECIPIENTS * RECIPIENT_FDS);
	return files - OTHER_FDS;
}

/* Descriptor 0: a connection that qmail-start has made. */
static void
check_connection(void)
{
	int type = 0;
	socklen_t length = sizeof(type);

	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &length) ==
		-1 ||
	    type != SOCK_SEQPACKET)
		fatal(111,
		    "descriptor 0 is no connection of qmail-send: it is "
		    "qmail-start that starts this program");
}

static const char *
queue_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

int
main(int argc, char **argv)
{
	struct vdeliver_config config = { .sync_threads = SYNC_THREADS };
	struct vdeliver *vdeliver;
	struct worker *worker;
	uint64_t files, recipients = RECIPIENTS;
	sigset_t wait_mask;
	struct home *home;
	struct over_quota *over_quota;
	struct error err;
	char *host, *dir, *general, *queue_dir, *over_quota_path, *leases_path;
	int result;

	log_open("qmail-vdeliver");
	batch_policy_set();
	usage_answer(argv, "qmail-vdeliver", usage);
	if (argc != 2 || argv[1][0] == '-' || argv[1][0] == '\0')
		fatal(100, "%s", usage);
	check_connection();
	catch_signals(&wait_mask);
	umask(077);
	home = home_new();
	if (vdeliver_read_options(&config.options, &err) == -1)
		fatal(100, "%s", err.text);
	config.store = store_open(home->root, &err);
	if (config.store == NULL)
		fatal(111, "%s", err.text);
	files = find_descriptors();
	if (recipients > files / RECIPIENT_FDS)
		recipients = files / RECIPIENT_FDS;
	files -= recipients * RECIPIENT_FDS;
	config.cached_maildirs = recipients + files / MAILDIR_CACHE_FDS;
	if (config.cached_maildirs > CACHED_MAILDIRS)
		config.cached_maildirs = CACHED_MAILDIRS;
	mem_set_reserve(RESERVE_BYTES);
	host = vdeliver_read_settings(
	    home->control, "qmail-vdeliver", &config.options);
	dir = file_program_dir();
	general = xasprintf("%s/vdelivermail", dir);
	config.general_program = general;
	queue_dir = realpath(argv[1], NULL);
	if (queue_dir == NULL)
		fatal(111, "cannot find the queue '%s': %m", argv[1]);
	config.queue_dir = queue_dir;
	worker = worker_new(STDIN_FILENO, (uint32_t)recipients, BYTES);
	over_quota_path = layout_path(home, LAYOUT_over_quota);
	over_quota = over_quota_open(over_quota_path, true);
	config.over_quota = over_quota;
	leases_path = layout_path(home, LAYOUT_cluster_leases);
	config.leases = cluster_leases_new(leases_path);
	config.domains = home->domains;
	config.host = host;
	config.queue = queue_name(argv[1]);
	config.answer = worker_answer;
	config.context = worker;
	vdeliver = vdeliver_new(&config, &err);
	if (vdeliver == NULL)
		fatal(111, "%s", err.text);
	result = worker_serve(worker, vdeliver, &is_stopping, &wait_mask, &err);
	if (result == -1)
		fatal(111, "%s", err.text);
	vdeliver_free(&vdeliver);
	worker_free(&worker);
	store_free(&config.store);
	over_quota_free(&over_quota);
	cluster_leases_free(&config.leases);
	free(leases_path);
	free(over_quota_path);
	free(host);
	free(dir);
	free(general);
	free(queue_dir);
	home_free(&home);
	return 0;
}
