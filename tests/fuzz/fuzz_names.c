/* SPDX-License-Identifier: ISC */
/* A user's address as operators give it. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "adminsrv/names.h"
#include "base/mem.h"
#include "control/idn.h"
#include "lookupd/vpasswd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A new user's name must fit a line of vpasswd, and a folder. */
static void
check_new_user(const char *local)
{
	const struct vpasswd_entry entry = { .name = local,
		.hash = "*",
		.gecos = "",
		.dir = "/d",
		.quota = "NOQUOTA" };
	struct buf line;

	buf_init(&line);
	assert(vpasswd_format(&entry, &line, NULL) == 0);
	assert(strchr(local, '/') == NULL && local[0] != '.');
	buf_release(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct names_address address;
	struct error err = { "" };
	char *again;

	if (names_address(text, &address, &err) == 0) {
		again = xasprintf("%s@%s", address.local, address.domain);
		/* A domain that is not ASCII has another spelling. */
		assert(strcasecmp(again, text) == 0 || !idn_is_ascii(text));
		assert(strchr(address.domain, '/') == NULL);
		assert(address.domain[0] != '.' && address.domain[0] != '\0');
		if (names_check_new_user(address.local, &err) == 0)
			check_new_user(address.local);
		free(again);
	} else
		assert(err.text[0] != '\0');
	free(text);
	return 0;
}
