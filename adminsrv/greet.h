/* SPDX-License-Identifier: ISC */
/* Mail that greets users: an operator's text, as a message through the queue. */
#ifndef ADMINSRV_GREET_H
#define ADMINSRV_GREET_H

#include <stddef.h>

#include "control/home.h"

/* The texts' files, in the domain's folder, else in that of all domains. */
#define GREET_NEW ".welcome.msg"
#define GREET_BACK ".activated.msg"

/*
 * Sends the text to each of these users of a domain.  Where there is no such
 * file nothing is sent.  A text that the queue does not take is said in the
 * log: the users are what they are without it.  Call it when they are durable
 * and no longer locked.
 */
void greet_users(const struct home *home, const char *domain, const char *file,
    const char *const *names, size_t count);

#endif
