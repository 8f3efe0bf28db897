/* SPDX-License-Identifier: ISC */
/* The command line of qmail-smtpd. */
#include "smtp/options.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include "base/scan.h"

static bool
is_address(const char *text)
{
	unsigned char binary[16];

	return text[0] == '\0' || strcmp(text, "0") == 0 ||
	    inet_pton(AF_INET, text, binary) == 1 ||
	    inet_pton(AF_INET6, text, binary) == 1;
}

/* ADDRESS:PORT or [ADDRESS]:PORT; an empty address or 0 is every address. */
static int
parse_listen(struct smtp_options *options, const char *text, struct error *err)
{
	const char *colon = strrchr(text, ':');
	const char *start = text, *end = colon;
	uint64_t port;

	if (colon == NULL || !scan_u64(colon + 1, UINT16_MAX, &port))
		return error_set(err,
		    "'--listen %s' has no port of 0 to "
		    "65535; write ADDRESS:PORT",
		    text);
	if (end > start + 1 && *start == '[' && end[-1] == ']') {
		start++;
		end--;
	} else if (memchr(start, ':', (size_t)(end - start)) != NULL)
		return error_set(err,
		    "'--listen %s': an IPv6 address needs "
		    "brackets, [ADDRESS]:PORT",
		    text);
	if ((size_t)(end - start) < sizeof(options->address)) {
		memcpy(options->address, start, (size_t)(end - start));
		options->address[end - start] = '\0';
		options->port = (uint16_t)port;
		options->is_listener = true;
		if (is_address(options->address))
			return 0;
	}
	return error_set(err,
	    "'--listen %s' has no numeric address; write "
	    "for example 0.0.0.0:25 or [::]:25",
	    text);
}

/* One protocol; and what submission is, is said of those of MAIL. */
static int
judge_kind(const struct smtp_kind *kind, struct error *err)
{
	bool has_packages = kind->is_qmtp || kind->is_qmqp;

	if (kind->is_lmtp + kind->is_qmtp + kind->is_qmqp > 1)
		return error_set(
		    err, "--lmtp, --qmtp and --qmqp exclude one another");
	if (has_packages && kind->is_submission)
		return error_set(
		    err, "--submission does not go with --qmtp or --qmqp");
	if (kind->is_odmr &&
	    (has_packages || kind->is_lmtp || kind->is_submission))
		return error_set(err, "--odmr goes with no other protocol");
	if (kind->is_node &&
	    (has_packages || kind->is_lmtp || kind->is_submission ||
		kind->is_odmr || kind->program != NULL))
		return error_set(err, "--node goes with no other protocol");
	return 0;
}

/*
 * HOST CHECKPASSWORD PROGRAM ..., as of old.  The host was for CRAM-MD5, whose
 * challenges have none here.
 */
static int
take_program(
    struct smtp_options *options, char *const *args, struct error *err)
{
	const struct smtp_kind *kind = &options->kind;

	if (args[1] == NULL || args[2] == NULL)
		return error_set(err,
		    "'%s' is followed by less than a program that checks "
		    "passwords and one that it starts",
		    args[0]);
	if (kind->is_lmtp || kind->is_qmtp || kind->is_qmqp || kind->is_node)
		return error_set(err, "nobody logs in by this protocol");
	options->kind.program = args + 1;
	return judge_kind(kind, err);
}

int
smtp_options_parse(struct smtp_options *options, char *const *args,
    const char *smtps, struct error *err)
{
	bool *flag;

	*options = (struct smtp_options){
		.kind.has_tls_first = smtps != NULL && smtps[0] != '\0',
		.kind.queue_wait_ms = SMTP_QUEUE_WAIT_MS,
	};
	for (; *args != NULL; args++) {
		if (**args != '-' && **args != '\0')
			return take_program(options, args, err);
		flag = strcmp(*args, "--lmtp") == 0 ? &options->kind.is_lmtp
		    : strcmp(*args, "--qmtp") == 0  ? &options->kind.is_qmtp
		    : strcmp(*args, "--qmqp") == 0  ? &options->kind.is_qmqp
		    : strcmp(*args, "--submission") == 0
		    ? &options->kind.is_submission
		    : strcmp(*args, "--odmr") == 0 ? &options->kind.is_odmr
		    : strcmp(*args, "--node") == 0 ? &options->kind.is_node
		    : strcmp(*args, "--smtps") == 0
		    ? &options->kind.has_tls_first
		    : strcmp(*args, "--shared") == 0 ? &options->is_shared
						     : NULL;
		if (flag != NULL)
			*flag = true;
		else if (strcmp(*args, "--listen") != 0)
			return error_set(err, "'%s' is not an option", *args);
		else if (*++args == NULL)
			return error_set(err, "--listen needs ADDRESS:PORT");
		else if (parse_listen(options, *args, err) == -1)
			return -1;
	}
	return judge_kind(&options->kind, err);
}
