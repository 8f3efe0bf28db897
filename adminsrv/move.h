/* SPDX-License-Identifier: ISC */
/*
 * A user's way from one store to another, with all mail.
 *
 * The row of mq.moves says how far it is, so that whoever runs it again goes on
 * from there:
 *
 *   copying  the home is copied while mail goes on, until little is new
 *   held     users.is_moving: mail waits; the home is renamed, its new/
 *            emptied and removed, so that no delivery ends in it any more;
 *            the last copy, which is compared and gets its name
 *   flipped  the user has the new store, home and place_epoch; the old home is
 *            removed
 *
 * Then the row goes.  Names, times and Dovecot's and our own files are copied
 * as they are, so UIDs and UIDLs stay.
 */
#ifndef ADMINSRV_MOVE_H
#define ADMINSRV_MOVE_H

#include "adminsrv/progress.h"
#include "adminsrv/result.h"
#include "base/error.h"
#include "control/home.h"
#include "lookupd/pg.h"

/*
 * Moves the user of that id (of mq.users) to the store, or goes on with it.
 * This node must serve the store where the user is, and reach the other's
 * folder.  Who is there already is ADMIN_OK.  progress may be NULL.
 */
enum admin_result move_user(const struct home *home, struct pg *pg,
    const char *own_node, const char *user_id, const char *to_store,
    struct progress *progress, struct error *err);

#endif
