/* SPDX-License-Identifier: ISC */
/* What a peer's answer to EHLO or LHLO says that it can do. */
#include "remote/hello.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/scan.h"

/* A parameter that is no number, or too large a one, was not told. */
static uint64_t
read_number(const char *text, uint64_t max)
{
	uint64_t number;

	return scan_u64n(text, strcspn(text, " "), max, &number) ? number : 0;
}

static void
take_size(struct hello *hello, const char *parameters)
{
	hello->has_size = true;
	hello->size_max = read_number(parameters, INT64_MAX);
}

/* Adds the names; several lines, and AUTH=, which is old, are one list. */
static void
take_auth(struct hello *hello, const char *parameters)
{
	size_t used = strlen(hello->auth);
	size_t length;

	for (;; parameters += length) {
		parameters += strspn(parameters, " ");
		length = strcspn(parameters, " ");
		if (length == 0 || used + length + 3 > sizeof(hello->auth))
			return;
		if (used == 0)
			hello->auth[used++] = ' ';
		for (size_t i = 0; i < length; i++)
			hello->auth[used++] = (char)toupper(
			    (unsigned char)parameters[i]);
		hello->auth[used++] = ' ';
		hello->auth[used] = '\0';
	}
}

/* limit-name-value = limit-name [ "=" limit-value ], SP between them */
static void
take_limits(struct hello *hello, const char *parameters)
{
	for (;; parameters += strcspn(parameters, " ")) {
		parameters += strspn(parameters, " ");
		if (*parameters == '\0')
			return;
		if (strncasecmp(parameters, "MAILMAX=", 8) == 0)
			hello->mail_max = (unsigned)read_number(
			    parameters + 8, UINT_MAX);
		else if (strncasecmp(parameters, "RCPTMAX=", 8) == 0)
			hello->rcpt_max = (unsigned)read_number(
			    parameters + 8, UINT_MAX);
	}
}

#define TAKE_FLAG(name)                                                      \
	static void take_##name(struct hello *hello, const char *parameters) \
	{                                                                    \
		(void)parameters;                                            \
		hello->has_##name = true;                                    \
	}
TAKE_FLAG(pipelining)
TAKE_FLAG(8bitmime)
TAKE_FLAG(smtputf8)
TAKE_FLAG(chunking)
TAKE_FLAG(dsn)
TAKE_FLAG(starttls)
TAKE_FLAG(requiretls)
TAKE_FLAG(xnode)
#undef TAKE_FLAG

static const struct {
	const char *keyword;
	void (*take)(struct hello *hello, const char *parameters);
} extensions[] = {
	{ "PIPELINING", take_pipelining }, /* RFC 2920 */
	{ "SIZE", take_size },             /* RFC 1870 */
	{ "8BITMIME", take_8bitmime },     /* RFC 6152 */
	{ "SMTPUTF8", take_smtputf8 },     /* RFC 6531 */
	{ "CHUNKING", take_chunking },     /* RFC 3030 */
	{ "DSN", take_dsn },               /* RFC 3461 */
	{ "STARTTLS", take_starttls },     /* RFC 3207 */
	{ "REQUIRETLS", take_requiretls }, /* RFC 8689 */
	{ "XNODE", take_xnode },           /* docs/protocol.md */
	{ "AUTH", take_auth },             /* RFC 4954 */
	{ "LIMITS", take_limits },         /* RFC 9422 */
};

/* ehlo-line = ehlo-keyword *( SP ehlo-param ) (RFC 5321 4.1.1.1) */
void
hello_line(const char *line, void *hello_in)
{
	struct hello *hello = hello_in;
	size_t length = strcspn(line, " =");
	size_t i;

	if (hello->lines++ == 0) /* the host's name */
		return;
	for (i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (strlen(extensions[i].keyword) == length &&
		    strncasecmp(line, extensions[i].keyword, length) == 0)
			extensions[i].take(
			    hello, line + length + (line[length] != '\0'));
}

bool
hello_has_auth(const struct hello *hello, const char *mechanism)
{
	char wanted[HELLO_AUTH_SIZE];

	snprintf(wanted, sizeof(wanted), " %s ", mechanism);
	return strcasestr(hello->auth, wanted) != NULL;
}
