/* SPDX-License-Identifier: ISC */
/* Rules for addresses that no listener ever finds. */
#ifndef SVCTOOL_CHECK_ACCESS_H
#define SVCTOOL_CHECK_ACCESS_H

#include "svctool/check/check.h"

/*
 * What tcprules has for a network like 10.0.0.0/8: "10."; "172.16-31." and
 * "192.0.2.16-31" where the border is not at a dot.  False if it is none.
 */
bool check_access_suggest(const char *key, char *out, size_t size);

#endif
