/* SPDX-License-Identifier: ISC */
/*
 * Addresses with an extension: mail for user-anything goes to user, when there
 * is nobody by the whole name.
 */
#ifndef LOOKUPD_EXTENSION_H
#define LOOKUPD_EXTENSION_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Cuts *length, at first that of local, down to the part in front of the last
 * separator before it: "mary-ann-lists", then "mary-ann", then "mary".  False
 * when there is no more such part that is not empty.  separators: the setting
 * userextension; "": there are none.
 */
bool extension_cut(const char *local, const char *separators, size_t *length);

#endif
