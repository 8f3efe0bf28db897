/* SPDX-License-Identifier: ISC */
/*
 * What a host cannot take, another of the same destination may (RFC 6531 3.2,
 * RFC 8689 4.2.1).
 */
#ifndef REMOTE_ELSEWHERE_H
#define REMOTE_ELSEWHERE_H

#include "remote/rules.h"
#include "remote/session.h"

/*
 * After session_send() to the plan's address: sends to the plan's other hosts,
 * in their order and each over a session of its own, for the recipients whose
 * failure is_of_host, and puts what became of them into results.  While a host
 * does not answer they are deferred: it may be the one.  Blocking.
 */
void elsewhere_send(const struct rules *rules, const struct plan *plan,
    size_t address, const struct session_message *message,
    struct session_result *results);

#endif
