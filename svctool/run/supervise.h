/* SPDX-License-Identifier: ISC */
/*
 * What supervise (daemontools) knows and does: the files in SERVICE/supervise,
 * which svc and svstat use too.
 */
#ifndef SVCTOOL_RUN_SUPERVISE_H
#define SVCTOOL_RUN_SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"

struct supervise_state {
	bool is_supervised; /* a supervise process runs */
	pid_t pid;          /* of the service; 0: down */
	time_t since;       /* when it came up or went down; 0: not known */
	bool is_wanted_up;
	/* Without supervise: it ran when that ended, which nobody asked for. */
	bool was_up;
};

enum { SUPERVISE_STATUS_SIZE = 18 };

/* Takes a status file apart; false when it is damaged. */
bool supervise_parse(const unsigned char *status, size_t length,
    struct supervise_state *state_out);

/*
 * folder: of a service, or of its log.  1; 0 never supervised; -1.  A status
 * that supervise could not renew on a full disk is put right by what runs.
 */
int supervise_read(
    const char *folder, struct supervise_state *state_out, struct error *err);

/*
 * Once what a killed supervise had left is stopped: nobody is to take its last
 * status for a service that ran until the end.  For a folder that only we, or
 * root, can change.
 */
void supervise_forget(const char *folder);

/*
 * Sends svc's letters ("dx", "h").  1; 0 when no supervise runs there; -1.
 */
int supervise_send(const char *folder, const char *letters, struct error *err);

#endif
