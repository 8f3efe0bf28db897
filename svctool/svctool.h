/* SPDX-License-Identifier: ISC */
/* The subcommands of svctool. */
#ifndef SVCTOOL_SVCTOOL_H
#define SVCTOOL_SVCTOOL_H

#include <stdbool.h>

#include "base/error.h"

enum {
	EXIT_FINE = 0,
	EXIT_TROUBLE = 1, /* something is down, wrong, or could not be done */
	EXIT_USAGE = 100,
	EXIT_TEMPORARY = 111 /* our trouble: worth another try */
};

/*
 * argv holds what follows the subcommand.  They print what they do and what
 * went wrong, and return the exit code; EXIT_USAGE makes main print the usage.
 */
int cmd_init(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_queue(int argc, char **argv);
int cmd_systemd(int argc, char **argv);
int cmd_showctl(int argc, char **argv);
int cmd_db(int argc, char **argv);
int cmd_cluster(int argc, char **argv);
int cmd_dns(int argc, char **argv);
int cmd_route(int argc, char **argv);
int cmd_log(int argc, char **argv);
/* The whole of qmail-rm; argv has the program's name, too. */
int cmd_rm(int argc, char **argv);
int cmd_tls_report(int argc, char **argv);

struct node;

/*
 * Reads the options --home and --json, and opens the node, which must exist:
 * EXIT_FINE, and the caller frees it.  Else the exit code, after the reason was
 * printed; there is no node then.
 */
int open_to_show(
    int argc, char **argv, struct node **node_out, bool *is_json_out);

/* Prints "svctool: REASON" to stderr and returns code. */
int complain(int code, const struct error *err);

#endif
