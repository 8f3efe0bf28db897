/* SPDX-License-Identifier: ISC */
/*
 * Texts that an operator writes for users and senders: .over-quota.msg,
 * .no-user.msg, .quotawarn.msg and others, of a domain in its folder, else of
 * all domains in the folder above.
 */
#ifndef DELIVERY_MESSAGE_FILE_H
#define DELIVERY_MESSAGE_FILE_H

#include <stdbool.h>

#include "base/buf.h"

enum { MESSAGE_FILE_MAX = 64 * 1024 };

/* True with the text, which is not empty and has no NUL. */
bool message_file_read(const char *domains, const char *domain_dir,
    const char *name, struct buf *text);

#endif
