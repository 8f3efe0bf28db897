/* SPDX-License-Identifier: ISC */
/*
 * Is a node in the place that it was made for?  Its services name their folders
 * with full paths: those of a copy work in the node that was copied.
 */
#ifndef SVCTOOL_RUN_PLACE_H
#define SVCTOOL_RUN_PLACE_H

#include <stdbool.h>

#include "svctool/node.h"

/* A file of the node that names other, and not the node's own folder. */
typedef void place_see(const char *file, const char *other, void *context);

/*
 * Hands every such file to see: MQMAIL_HOME in global_vars, and the run files
 * that svctool makes.  Another name of the same folder is no other.
 */
void place_find(const struct node *node, place_see *see, void *context);

/* Is there none?  False with the first, and what to do. */
bool place_is_right(const struct node *node, struct error *err);

/*
 * May the sockets of this queue be made, whose paths the kernel limits?  False
 * with the length that the node's folder may have.
 */
bool place_fits_queue(
    const struct node *node, const char *queue, struct error *err);

/*
 * The first word behind mark in a script that begins with a quote or '/',
 * without its quotes; NULL when there is none.  The caller frees.
 */
char *place_word(const char *script, const char *mark);

#endif
