/* SPDX-License-Identifier: ISC */
/*
 * Who this node is in its cluster: the setting nodename, the certificate in
 * tls/nodecert.pem and the key in tls/cluster.key.
 *
 * Others know it by its row in mq.nodes: there the pin and the public key must
 * be, or it is not that node (any more).  Nothing here asks the database.
 */
#ifndef CLUSTER_IDENTITY_H
#define CLUSTER_IDENTITY_H

#include <stdbool.h>

#include "base/certificate.h"
#include "base/error.h"
#include "control/home.h"

/* What nodes say to each other; those one apart understand each other. */
enum { CLUSTER_PROTOCOL = 1 };

enum {
	CLUSTER_NAME_SIZE = 65,
	CLUSTER_KEY_SIZE = 41 /* Z85, with its NUL */
};

struct cluster_identity {
	char name[CLUSTER_NAME_SIZE];
	char pin[CERTIFICATE_PIN_SIZE]; /* of tls/nodecert.pem */
	char public_key[CLUSTER_KEY_SIZE], secret_key[CLUSTER_KEY_SIZE];
};

/* The name alone.  1; 0: the node is in no cluster; -1 with the reason. */
int cluster_name_read(const struct home *home, char name_out[CLUSTER_NAME_SIZE],
    struct error *err);

/*
 * All of it.  1; 0: in no cluster; -1 with the reason: a file is missing, or
 * not ours to read.  The files belong to root (readable by the group qcerts)
 * and to the user of the role IDENTITY_CLUSTER.
 */
int cluster_identity_read(const struct home *home,
    struct cluster_identity *identity_out, struct error *err);
/* Wipes the secret key. */
void cluster_identity_release(struct cluster_identity *identity);

/*
 * One key file, as cluster_key_make() writes it: the secret key and the public
 * one, a line each.  1; 0: there is none; -1.
 */
int cluster_key_read(const char *path, char public_out[CLUSTER_KEY_SIZE],
    char secret_out[CLUSTER_KEY_SIZE], struct error *err);

#endif
