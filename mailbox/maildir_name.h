/* SPDX-License-Identifier: ISC */
/*
 * Names that a message has in a Maildir whenever it is delivered there, so that
 * a delivery that is made again replaces its own file.
 */
#ifndef MAILBOX_MAILDIR_NAME_H
#define MAILBOX_MAILDIR_NAME_H

#include <stdint.h>

#include "base/uuid.h"
#include "mailbox/maildir.h"

/*
 * SECONDS.MuuidRhash.HOST: the UUID's time; a hash of the recipient, whose case
 * does not matter.
 */
void maildir_uuid_name(char out[MAILDIR_NAME_SIZE], const struct uuid *uuid,
    const char *recipient, const char *host);

/*
 * BIRTH.InumberQqueueRhash.HOST, of a message without a UUID, which only its
 * queue knows.  queue is escaped and short.
 */
void maildir_queued_name(char out[MAILDIR_NAME_SIZE], int64_t birth_s,
    uint64_t message_id, const char *queue, const char *recipient,
    const char *host);

#endif
