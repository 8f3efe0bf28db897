/* SPDX-License-Identifier: ISC */
/* A message's header field TLS-Required. */
#include "remote/tls_required.h"

#include "queue/tls_wish.h"
#include "remote/body.h"

static void
take_header(void *context, const char *data, size_t length)
{
	tls_wish_read(context, data, length);
}

int
tls_required_examine(const struct session_message *message)
{
	struct tls_wish wish = { 0 };

	if (message->requires_tls)
		return 0;
	if (body_read(message, take_header, &wish) == -1)
		return -1;
	return tls_wish_is_no(&wish);
}
