/* SPDX-License-Identifier: ISC */
/*
 * What this node serves in its cluster, and until when: the file
 * run/cluster/leases, which clusterd replaces with each renewal.
 *
 *	node NAME EPOCH DEADLINE BOOT INSTANCE
 *	STORE EPOCH DEADLINE PATH
 *	...
 *
 * DEADLINE is a time of clock_boot_ms(), of the boot that /proc says has the
 * id BOOT; INSTANCE is the process that holds the leases.  PATH is the rest of
 * the line.  Without a lease of the node itself NAME is there, with EPOCH and
 * DEADLINE 0, and no store.
 *
 * Who acts for a store asks right before it does what others see, such as
 * naming a file: within CLUSTER_LEASE_MARGIN_MS of the answer.
 */
#ifndef CONTROL_CLUSTER_LEASES_H
#define CONTROL_CLUSTER_LEASES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum {
	CLUSTER_LEASE_MS = 15000, /* of a node or store */
	CLUSTER_LEASE_RENEW_MS = 5000,
	/* The holder's deadline is so much before the lease's end. */
	CLUSTER_LEASE_MARGIN_MS = 2000,
	CLUSTER_BOOT_SIZE = 37
};

/* -- by name */

/* The file is looked at anew with each question; any thread may ask. */
struct cluster_leases;
struct cluster_leases *cluster_leases_new(const char *path); /* is copied */
void cluster_leases_free(struct cluster_leases **leases);

/*
 * May this node act for the store under this epoch?  1; 0: it does not serve
 * it, or under another epoch; -1: could not tell, or the deadline has passed.
 * 0 and -1 have the reason; after both what was to be done is not done.
 */
int cluster_lease_check(struct cluster_leases *leases, const char *store,
    uint64_t epoch, struct error *err);

/*
 * The epoch under which it serves the store now, and the store's folder, put
 * behind what path_out holds; each may be NULL.  The same answers.
 */
int cluster_lease_find(struct cluster_leases *leases, const char *store,
    uint64_t *epoch_out, struct buf *path_out, struct error *err);

/* -- the file */

struct cluster_lease {
	const char *store, *path;
	uint64_t epoch;
	int64_t deadline_ms;
};

struct cluster_lease_list {
	struct buf text; /* has the names */
	const char *node, *boot, *instance;
	uint64_t node_epoch;
	int64_t node_deadline_ms;
	struct cluster_lease *leases;
	size_t count;
};

/*
 * Reads the file, of any boot and whether the deadlines have passed or not.
 * 1; 0: there is none; -1: not readable, or not as above.  To be released
 * whatever the answer.
 */
int cluster_lease_list_read(const char *path,
    struct cluster_lease_list *list_out, struct error *err);
/* The same of a text, which it takes out of the buffer.  0 or -1. */
int cluster_lease_list_parse(struct buf *text,
    struct cluster_lease_list *list_out, struct error *err);
void cluster_lease_list_release(struct cluster_lease_list *list);

/* The id of this boot.  0 or -1. */
int cluster_boot_id(char boot_out[CLUSTER_BOOT_SIZE], struct error *err);

#endif
