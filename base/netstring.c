/* SPDX-License-Identifier: ISC */
/* Netstrings. */
#include "base/netstring.h"

enum netstring_result
netstring_read(struct netstring *netstring, char byte, uint64_t max)
{
	uint64_t digit = (uint64_t)(byte - '0');

	if (byte == ':')
		return netstring->has_digit ? NETSTRING_LENGTH : NETSTRING_BAD;
	if (byte < '0' || byte > '9' ||
	    (netstring->has_digit && netstring->length == 0) || digit > max ||
	    netstring->length > (max - digit) / 10)
		return NETSTRING_BAD;
	netstring->length = netstring->length * 10 + digit;
	netstring->has_digit = true;
	return NETSTRING_MORE;
}

void
netstring_put(struct buf *buf, const char *text, size_t length)
{
	buf_addf(buf, "%zu:", length);
	buf_add(buf, text, length);
	buf_addc(buf, ',');
}
