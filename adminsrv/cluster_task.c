/* SPDX-License-Identifier: ISC */
/* cluster-task: does the tasks of this node's stores (adminsrv/tasks.h). */
#include <sys/wait.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/database.h"
#include "adminsrv/placement.h"
#include "adminsrv/tasks.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "control/global_vars.h"
#include "control/identity.h"

static const char usage[] = "usage: cluster-task\n";

/* It looks without being told, too: for what is tried again. */
enum { LOOK_MS = 5000, AWAY_S = 5 };

/* Until the database is lost.  Whatever ends us, the next run goes on. */
static void
serve_tasks(const struct home *home, struct pg *pg, const char *own_node,
    pid_t child, struct error *err)
{
	struct tasks_count count;

	if (pg_script(pg, "LISTEN mq_tasks", DATABASE_MS, err) != PG_OK)
		return;
	do {
		if (child != 0 && waitpid(child, NULL, WNOHANG) != 0)
			fatal(111, "the process that moves users has ended");
		if (tasks_run(home, pg, own_node,
			child == 0 ? TASKS_MOVES : TASKS_QUICK, &count, err) != ADMIN_OK)
			return;
		if (count.done + count.failed + count.retried > 0)
			log_line("tasks: done=%zu failed=%zu retried=%zu",
			    count.done, count.failed, count.retried);
	} while (pg_wait_notify(pg, -1, LOOK_MS, err) != -1);
}

int
main(int argc, char **argv)
{
	AUTO(home_free) struct home *home = NULL;
	AUTO(buf_release) struct buf own_node = BUF_INIT;
	struct error err = { .text = "" };
	pid_t parent, child;

	cli_start("cluster-task", argv, usage);
	if (argc != 1)
		cli_usage(usage);
	home = global_vars_home();
	if (identity_become_in(IDENTITY_VIRTUAL, "mqlookup", &err) == -1)
		fatal(111, "%s", err.text);
	if (place_own_node(home->control, &own_node, &err) != 1)
		fatal(111, "%s",
		    own_node.length == 0 && *err.text == '\0'
			? "this node is in no cluster"
			: err.text);
	/* A long move must not keep homes waiting. */
	parent = getpid();
	child = fork();
	if (child == -1)
		fatal(111, "cannot start a process");
	if (child == 0)
		parent_end_with(parent);
	else
		log_line("status: ready");
	for (;;) {
		struct pg *pg = NULL;

		if (database_open(home->control, true, &pg, &err) == ADMIN_OK)
			serve_tasks(home, pg, own_node.data, child, &err);
		log_line("warning: %s", err.text);
		pg_free(&pg);
		sleep(AWAY_S);
	}
}
