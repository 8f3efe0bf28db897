/* SPDX-License-Identifier: ISC */
/* What a checkpassword program reads. */
#include "auth/checkpassword_input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int
checkpassword_read(struct checkpassword_input *input)
{
	const char **const parts[] = { &input->proof.name, &input->proof.secret,
		&input->proof.timestamp };
	size_t length = 0;
	char *at = input->data;
	ssize_t n;

	input->proof = (struct checkpassword_proof){ .bytes_max = 0 };
	do {
		n = read(3, input->data + length, sizeof(input->data) - length);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EBADF ? CHECKPASSWORD_MISUSED
					      : CHECKPASSWORD_TROUBLE;
		length += (size_t)n;
	} while (n != 0 && length < sizeof(input->data));
	close(3);
	if (length == sizeof(input->data))
		return CHECKPASSWORD_MISUSED;
	input->data[length] = '\0';
	for (size_t i = 0; i < 3; i++) {
		/* A timestamp that is left out is an empty one. */
		*parts[i] = at;
		if (memchr(at, '\0', (size_t)(input->data + length - at)) !=
		    NULL)
			at += strlen(at) + 1;
		else if (i < 2)
			return CHECKPASSWORD_MISUSED;
	}
	return 0;
}
