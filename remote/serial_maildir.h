/* SPDX-License-Identifier: ISC */
/* A Maildir whose messages are sent: which there are, what becomes of them. */
#ifndef REMOTE_SERIAL_MAILDIR_H
#define REMOTE_SERIAL_MAILDIR_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "control/settings.h"
#include "remote/serial.h"

struct serial_options {
	const char *prefix;
	bool bounces;      /* what fails goes back to its sender */
	bool has_lifetime; /* ... and what is older than this */
	uint64_t lifetime_s;
};

struct serial_file {
	char *name; /* new/... or cur/... */
	time_t at;
	bool is_settled;
};

struct serial_maildir {
	int lock_fd;
	struct serial_options options;
	const struct settings *settings; /* of maildirserial; borrowed */
	struct serial_file *files;       /* oldest first */
	size_t count;
	bool is_left; /* something was not sent and stays */
};

/*
 * Works in dir from now on (chdir), alone: -1 with the reason when another
 * process does, or it is no Maildir.  Messages with other prefixes are not
 * among its files.
 */
int serial_maildir_open(struct serial_maildir *maildir, const char *dir,
    const struct serial_options *options, const struct settings *settings,
    struct error *err);
void serial_maildir_release(struct serial_maildir *maildir);

/*
 * A message was delivered (K): it goes; failed (D), or temporarily (Z): it
 * stays, or bounces.  Says so in the log.
 */
void serial_maildir_settle(struct serial_maildir *maildir,
    struct serial_file *file, char outcome, const char *line);

#endif
