/* SPDX-License-Identifier: ISC */
/* percenthack: addresses that name the next host in their local part. */
#include "control/percenthack.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool
has_name(const struct setting_list *list, const char *name)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (strcasecmp(list->items[i], name) == 0)
			return true;
	return false;
}

void
percenthack_apply(const struct setting_list *gates, char *address)
{
	for (;;) {
		char *at = strrchr(address, '@'), *percent;

		if (at == NULL || !has_name(gates, at + 1))
			return;
		percent = memrchr(address, '%', (size_t)(at - address));
		if (percent == NULL)
			return;
		*at = '\0';
		*percent = '@';
	}
}
