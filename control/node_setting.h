/* SPDX-License-Identifier: ISC */
/*
 * One setting of the node by itself: others may be closed to a domain's owner,
 * or wrong, and none of the reader's business.
 */
#ifndef CONTROL_NODE_SETTING_H
#define CONTROL_NODE_SETTING_H

#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"
#include "control/port_address.h"
#include "control/settings.h"

/*
 * The text of one, of its variable or its file; its standard if there is none.
 * 0, or -1 with what is wrong.
 */
int node_setting_text(const char *control_dir, enum setting_id id,
    struct buf *text_out, struct error *err);

/* Where to listen, as the text says: 1; 0: it is empty; -1. */
int node_setting_address(const char *control_dir, enum setting_id id,
    struct port_address *address_out, struct error *err);

/* The lines of a list.  0 or -1. */
int node_setting_lines(const char *control_dir, enum setting_id id,
    struct strlist *lines, struct error *err);

#endif
