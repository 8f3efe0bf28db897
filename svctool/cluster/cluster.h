/* SPDX-License-Identifier: ISC */
/* The parts of svctool cluster. */
#ifndef SVCTOOL_CLUSTER_CLUSTER_H
#define SVCTOOL_CLUSTER_CLUSTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "cluster/identity.h"
#include "lookupd/pg.h"
#include "svctool/make.h"
#include "svctool/node.h"

/*
 * Verbs: argv holds what follows the verb.  They print what they do and what
 * went wrong, and return the exit code (svctool.h).
 */
int cluster_init(int argc, char **argv);
int cluster_join(int argc, char **argv);
int cluster_token(int argc, char **argv);
int cluster_leave(int argc, char **argv);
int cluster_revoke(int argc, char **argv);
int cluster_rotate(int argc, char **argv);
int cluster_status(int argc, char **argv);
int cluster_store(int argc, char **argv);
int cluster_takeover(int argc, char **argv);
int cluster_run_tasks(int argc, char **argv);

/* -- open.c: what they begin with */

struct cluster_command {
	/* options of all */
	const char *home;
	bool is_json;

	struct node *node;
	struct maker maker;
	struct pg *pg;
	/* With --json: the steps are told on stderr, and this goes out. */
	FILE *json_out;
};

#define CLUSTER_ROWS(command)                          \
	{ "home", ARG_TEXT, &(command).home },         \
	{                                              \
		"json", ARG_FLAG, &(command).is_json   \
	}

/* Opens the node, which must be ours.  EXIT_FINE, or the code after words. */
int cluster_open_node(struct cluster_command *command);
/*
 * Connects to the database, as the setting pgsql says, or conninfo unless that
 * is NULL; it must have the schema that we know.  The same.
 */
int cluster_open_database(
    struct cluster_command *command, const char *conninfo);
/* The first, of a node that is in a cluster, and its name.  The same. */
int cluster_open_named(
    struct cluster_command *command, char name_out[CLUSTER_NAME_SIZE]);
/* Both, of a node that is in a cluster, and who it is. */
int cluster_open_member(
    struct cluster_command *command, struct cluster_identity *identity_out);
void cluster_release(struct cluster_command *command);

/* Prints the object, which it takes, when that is wanted. */
void cluster_print(struct cluster_command *command, json_t *object);

/* Takes away a transaction, and says why: the exit code for the status. */
int cluster_complain(struct cluster_command *command, enum pg_status status,
    const struct error *err);

/* -- files.c: the node's keys on disk */

/*
 * Makes a certificate or key in the row's file unless it is there, and gives
 * its pin or public key.  0 or -1.
 */
int cluster_make_certificate(struct maker *maker, enum layout_id id,
    const char *name, char pin_out[CERTIFICATE_PIN_SIZE], struct error *err);
int cluster_make_key(struct maker *maker, enum layout_id id,
    char public_out[CLUSTER_KEY_SIZE], struct error *err);

/* Removes the file of a row; it need not be there.  0 or -1. */
int cluster_remove_file(
    const struct node *node, enum layout_id id, struct error *err);

/* -- store.c */

/*
 * Makes a store's folder on this node, its owner's, and has deliveries go
 * there.  0 or -1.
 */
int cluster_make_store_folder(
    const struct node *node, const char *path, struct error *err);

/* -- token.c */

enum { CLUSTER_HASH_SIZE = 65 };
void cluster_token_hash(const char *token, char hash_out[CLUSTER_HASH_SIZE]);

#endif
