/* SPDX-License-Identifier: ISC */
/* The list that vadduser -i reads; the first byte says of which kind. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "adminsrv/bulk.h"
#include "mailbox/quota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken must be fit for a line of vpasswd. */
static void
check_user(const struct bulk_user *user, enum bulk_password kind)
{
	struct names_address again;
	struct quota quota;

	assert(names_check_new_user(user->address.local, NULL) == 0);
	assert(names_domain(user->address.domain, again.domain, NULL) == 0);
	assert(strcmp(again.domain, user->address.domain) == 0);
	assert(quota_parse(user->quota, &quota) != -1);
	assert(user->line > 0 && user->data.hash.data == NULL);
	assert((user->password == NULL) == (kind == BULK_NO_PASSWORD));
	if (user->password != NULL)
		assert(user->password[0] != '\0' &&
		    user->password[strcspn(user->password, " \t\r\n")] == '\0');
}

/* A NUL ends what C sees of a line: no line with one may be taken. */
static void
check_nul(const uint8_t *data, size_t size, const struct bulk *bulk)
{
	const uint8_t *nul = memchr(data, '\0', size);
	unsigned line = 1;
	size_t i;

	if (nul == NULL)
		return;
	for (; data < nul; data++)
		if (*data == '\n')
			line++;
	for (i = 0; i < bulk->count; i++)
		assert(bulk->users[i].line <= line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { "" };
	enum bulk_password kind;
	struct bulk bulk;
	FILE *list;
	size_t i;
	int result;

	if (size < 2)
		return 0;
	kind = data[0] % (BULK_NO_PASSWORD + 1);
	list = fmemopen((void *)(uintptr_t)(data + 1), size - 1, "r");
	assert(list != NULL);
	result = bulk_read(list, kind, "NOQUOTA", &bulk, &err);
	fclose(list);
	if (result == 0) {
		assert(memchr(data + 1, '\0', size - 1) == NULL);
		for (i = 0; i < bulk.count; i++)
			check_user(&bulk.users[i], kind);
		if (kind > BULK_KEPT) /* those are slow on purpose */
			assert(bulk_hash(&bulk, kind, NULL, &err) == 0);
	} else
		assert(result == -1 && err.text[0] != '\0');
	check_nul(data + 1, size - 1, &bulk);
	bulk_release(&bulk);
	return 0;
}
