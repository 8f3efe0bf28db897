/* SPDX-License-Identifier: ISC */
/* The command line of qmail-smtpd. */
#ifndef SMTP_OPTIONS_H
#define SMTP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "smtp/server.h"

struct smtp_options {
	bool is_listener; /* else one connection on fd 0 and 1 */
	char address[64]; /* numeric; "" for every address */
	uint16_t port;    /* 0: the kernel picks */
	bool is_shared;   /* other processes listen there, too */
	struct smtp_kind kind;
};

/*
 * Reads the arguments (without the program's name, NULL-ended), and what the
 * variable SMTPS has, or NULL.  0, or -1 with the reason.
 */
int smtp_options_parse(struct smtp_options *options, char *const *args,
    const char *smtps, struct error *err);

#endif
