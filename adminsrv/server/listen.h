/* SPDX-License-Identifier: ISC */
/* adminsrv as a daemon. */
#ifndef ADMINSRV_SERVER_LISTEN_H
#define ADMINSRV_SERVER_LISTEN_H

#include "base/error.h"
#include "control/home.h"

/* Serves until a signal says stop.  An exit code, with the reason unless 0. */
int admin_listen(const struct home *home, struct error *err);

#endif
