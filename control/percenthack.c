/* SPDX-License-Identifier: ISC */
/* percenthack: addresses that name the next host in their local part. */
#include "control/percenthack.h"

#include <string.h>

void
percenthack_apply(const struct strlist *gates, char *address)
{
	char *at, *percent;

	while ((at = strrchr(address, '@')) != NULL &&
	    strlist_has_name(gates, at + 1) &&
	    (percent = memrchr(address, '%', (size_t)(at - address))) != NULL) {
		*at = '\0';
		*percent = '@';
	}
}
