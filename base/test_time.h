/* SPDX-License-Identifier: ISC */
/*
 * Times that are built in, which tests make shorter, since they would have to
 * wait them out.  This is no setting: no operator has it, no manual page names
 * it, and names and meaning change with the tests that use them
 * (docs/development.md).
 */
#ifndef BASE_TEST_TIME_H
#define BASE_TEST_TIME_H

#include <stdint.h>

/*
 * What the variable MQMAIL_TEST_TIMES says of name, as in "STAY_MS=300
 * COMMIT_FULL_MS=500"; standard_ms where it says nothing, as it does to a
 * program with another user's rights.  It is read once.
 */
int64_t test_time_ms(const char *name, int64_t standard_ms);

#endif
