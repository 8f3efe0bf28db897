/* SPDX-License-Identifier: ISC */
/* svctool cluster: a node's way into a cluster, and what it does there. */
#include <string.h>

#include "svctool/cluster/cluster.h"
#include "svctool/svctool.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "init", cluster_init },
	{ "token", cluster_token },
	{ "join", cluster_join },
	{ "leave", cluster_leave },
	{ "revoke", cluster_revoke },
	{ "rotate-keys", cluster_rotate },
	{ "status", cluster_status },
	{ "store", cluster_store },
	{ "takeover", cluster_takeover },
	{ "run-tasks", cluster_run_tasks },
};

int
cmd_cluster(int argc, char **argv)
{
	for (size_t i = 0; argc > 0 && i < sizeof(verbs) / sizeof(verbs[0]);
	     i++)
		if (strcmp(argv[0], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	return EXIT_USAGE;
}
