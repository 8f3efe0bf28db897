/* SPDX-License-Identifier: ISC */
/* Files of other systems for vconvert; the first byte says of which kind. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "adminsrv/import.h"
#include "lookupd/vpasswd.h"
#include "mailbox/quota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_user(const struct import_user *user)
{
	struct quota quota;

	assert(names_check_new_user(user->address.local, NULL) == 0);
	assert(quota_parse(user->quota, &quota) != -1);
	assert(user->hash != NULL && user->gecos != NULL && user->line > 0);
	assert(user->scram == NULL || *user->scram == '{');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { "" };
	struct import import;
	FILE *file;
	int result;

	if (size < 2)
		return 0;
	file = fmemopen((void *)(uintptr_t)(data + 1), size - 1, "r");
	assert(file != NULL);
	result = import_read(file, data[0] % (IMPORT_INDIMAIL + 1), "a.test",
	    false, &import, &err);
	fclose(file);
	for (size_t i = 0; result == 0 && i < import.count; i++)
		check_user(&import.users[i]);
	assert(result == 0 || err.text[0] != '\0');
	import_release(&import);
	return 0;
}
