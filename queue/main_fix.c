/* SPDX-License-Identifier: ISC */
/* queue-fix: makes or repairs a queue (queue-fix(8)). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/usage.h"
#include "control/global_vars.h"
#include "control/identity.h"
#include "queue/dir.h"
#include "queue/fix.h"

static const char usage[] =
    "usage: queue-fix [-Nv] [-I | --inodes] [-s split] QUEUEDIR";

/*
 * The queue of a node, NODE/queue/NAME, belongs to whom the node runs as, also
 * when queue-fix is run by hand: NODE/control/global_vars/MQMAIL_USER; and the
 * node's settings count for it.
 */
static void
take_node(const char *queue_dir)
{
	size_t length = strlen(queue_dir);
	AUTO(mem_free) char *path = NULL, *node = NULL, *me = NULL;
	AUTO(mem_free) char *user_path = NULL, *user = NULL;

	while (length > 1 && queue_dir[length - 1] == '/')
		length--;
	while (length > 0 && queue_dir[length - 1] != '/')
		length--;
	path = xasprintf("%.*s./..", (int)length, queue_dir);
	node = realpath(path, NULL);
	if (node == NULL)
		return;
	me = xasprintf("%s/control/me", node);
	if (access(me, F_OK) == 0)
		setenv("MQMAIL_HOME", node, 0);
	user_path = xasprintf("%s/control/global_vars/MQMAIL_USER", node);
	user = global_vars_read(user_path);
	if (user != NULL)
		setenv("MQMAIL_USER", user, 0);
}

int
main(int argc, char **argv)
{
	static const struct option words[] = {
		{ "inodes", no_argument, NULL, 'I' },
		{ NULL, 0, NULL, 0 },
	};
	struct fix_options options = {
		.split = QUEUE_SPLIT, .uid = (uid_t)-1, .gid = (gid_t)-1
	};
	struct identity owner;
	struct error err;
	bool is_verbose = false;
	uint64_t split;
	int option, changes;

	log_open("queue-fix");
	usage_answer(argv, "queue-fix", usage);
	while ((option = getopt_long(argc, argv, "INvs:", words, NULL)) != -1)
		switch (option) {
		case 'I':
			options.is_by_inode = true;
			break;
		case 'N':
			options.is_test = true;
			break;
		case 'v':
			is_verbose = true;
			break;
		case 's':
			if (!scan_u64(optarg, QUEUE_SPLIT_MAX, &split) ||
			    split == 0)
				fatal(100, "-s %s: the split is 1 to %d",
				    optarg, QUEUE_SPLIT_MAX);
			options.split = (unsigned)split;
			break;
		default:
			fatal(100, "%s", usage);
		}
	if (optind != argc - 1)
		fatal(100, "%s", usage);
	take_node(argv[optind]);
	if (getuid() == 0) {
		if (identity_find(IDENTITY_QUEUE, &owner, &err) != 1)
			fatal(111, "%s", err.text);
		options.uid = owner.uid;
		options.gid = owner.gid;
	}
	changes = queue_fix(argv[optind], &options, &err);
	if (changes == -1)
		fatal(111, "%s", err.text);
	if (is_verbose || changes > 0)
		printf("%s: %d change%s%s\n", argv[optind], changes,
		    changes == 1 ? "" : "s",
		    options.is_test ? " to make" : " made");
	return options.is_test && changes > 0 ? 1 : 0;
}
