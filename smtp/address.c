/* SPDX-License-Identifier: ISC */
/*
 * The paths of MAIL and RCPT.  RFC 5321 4.1.2:
 *
 *	Path           = "<" [ A-d-l ":" ] Mailbox ">"
 *	A-d-l          = At-domain *( "," At-domain )
 *	Mailbox        = Local-part "@" ( Domain / address-literal )
 *	Local-part     = Dot-string / Quoted-string
 *	Domain         = sub-domain *( "." sub-domain )
 *
 * with UTF8-non-ascii in atoms, quoted strings and sub-domains (RFC 6531 3.3).
 * More is taken than the grammar has: dots anywhere in a Dot-string and '_' in
 * a sub-domain, because there are mailboxes and hosts so named; and a local
 * part alone, which the caller judges.
 */
#include "smtp/address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

struct parser {
	const char *at, *end;
	struct smtp_address *address; /* NULL in a source route */
	size_t used;                  /* of address->text */
	bool is_too_long;
};

static void
put_bytes(struct parser *parser, const char *text, size_t length)
{
	if (parser->address == NULL)
		return;
	if (length > SMTP_ADDRESS_MAX - parser->used) {
		parser->is_too_long = true;
		return;
	}
	memcpy(parser->address->text + parser->used, text, length);
	parser->used += length;
}

static bool
is_at(const struct parser *parser, char c)
{
	return parser->at < parser->end && *parser->at == c;
}

/*
 * The length of the character of two bytes or more at text, 0 when it is not
 * UTF-8 or a control character (U+0080 to U+009F).
 */
static size_t
utf8_length(const char *text, const char *end)
{
	uint32_t code;
	size_t length = utf8_decode(text, (size_t)(end - text), &code);

	return length > 0 && code >= 0xa0 ? length : 0;
}

static bool
is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

/* Length of the character at the parser if it is in an atom, else 0. */
static size_t
atom_character(const struct parser *parser)
{
	char c;

	if (parser->at == parser->end)
		return 0;
	c = *parser->at;
	if ((unsigned char)c >= 0x80)
		return utf8_length(parser->at, parser->end);
	return is_alphanumeric(c) ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static void
take(struct parser *parser, size_t length)
{
	if (parser->address != NULL && (unsigned char)*parser->at >= 0x80)
		parser->address->is_utf8 = true;
	put_bytes(parser, parser->at, length);
	parser->at += length;
}

static bool
parse_dot_string(struct parser *parser)
{
	const char *start = parser->at;
	size_t length;

	while ((length = atom_character(parser)) > 0 || is_at(parser, '.'))
		take(parser, length > 0 ? length : 1);
	return parser->at > start;
}

/* Quoted-string = DQUOTE *( qtextSMTP / "\" %d32-126 / UTF8 ) DQUOTE */
/* One that may stand in quotes as it is, of UTF-8 too. */
static bool
take_character(struct parser *parser)
{
	size_t length = 1;

	if ((unsigned char)*parser->at >= 0x80)
		length = utf8_length(parser->at, parser->end);
	else if (*parser->at < ' ' || *parser->at == 127)
		return false;
	if (length == 0)
		return false;
	take(parser, length);
	return true;
}

static bool
parse_quoted_string(struct parser *parser)
{
	const char *start;

	parser->at++;
	start = parser->at;
	while (parser->at < parser->end && *parser->at != '"') {
		if (*parser->at == '\\' && ++parser->at == parser->end)
			return false;
		if (!take_character(parser))
			return false;
	}
	if (!is_at(parser, '"') || parser->at == start)
		return false;
	parser->at++;
	return true;
}

/* address-literal = "[" ( IPv4 / "IPv6:" IPv6 ) "]" */
static bool
parse_literal(struct parser *parser)
{
	const char *start = parser->at;
	const char *close = memchr(start, ']', (size_t)(parser->end - start));
	char ip[INET6_ADDRSTRLEN + 8];
	unsigned char binary[sizeof(struct in6_addr)];
	size_t length;

	if (close == NULL)
		return false;
	length = (size_t)(close - start) - 1;
	if (length >= sizeof(ip))
		return false;
	memcpy(ip, start + 1, length);
	ip[length] = '\0';
	if (strlen(ip) != length ||
	    (inet_pton(AF_INET, ip, binary) != 1 &&
		(strncasecmp(ip, "IPv6:", 5) != 0 ||
		    inet_pton(AF_INET6, ip + 5, binary) != 1)))
		return false;
	put_bytes(parser, start, length + 2);
	parser->at = close + 1;
	if (parser->address != NULL)
		parser->address->is_literal = true;
	return true;
}

/* sub-domain = Let-dig [Ldh-str] */
static bool
parse_label(struct parser *parser)
{
	const char *start = parser->at;
	bool is_ascii = true;
	size_t length;

	while (parser->at < parser->end) {
		char c = *parser->at;

		if ((unsigned char)c >= 0x80)
			length = utf8_length(parser->at, parser->end);
		else
			length = is_alphanumeric(c) || c == '-' || c == '_';
		if (length == 0)
			break;
		is_ascii = is_ascii && (unsigned char)c < 0x80;
		take(parser, length);
	}
	length = (size_t)(parser->at - start);
	/* RFC 5890 4.2: a U-label may have more bytes than its A-label. */
	return length > 0 && (length <= SMTP_LABEL_MAX || !is_ascii) &&
	    *start != '-' && parser->at[-1] != '-';
}

static bool
parse_domain(struct parser *parser)
{
	const char *start = parser->at;

	if (is_at(parser, '['))
		return parse_literal(parser);
	do {
		if (!parse_label(parser))
			return false;
		if (!is_at(parser, '.'))
			break;
		take(parser, 1);
	} while (true);
	if (parser->at - start > SMTP_DOMAIN_MAX)
		parser->is_too_long = true;
	return true;
}

/* A-d-l ":"; RFC 5321 appendix C: taken, and ignored. */
static bool
skip_source_route(struct parser *parser)
{
	struct smtp_address *address = parser->address;
	bool is_well = true;

	parser->address = NULL;
	while (is_well && is_at(parser, '@')) {
		parser->at++;
		is_well = parse_domain(parser) &&
		    (is_at(parser, ',') || is_at(parser, ':'));
		if (is_well && *parser->at++ == ':')
			break;
		is_well = is_well && is_at(parser, '@');
	}
	parser->address = address;
	return is_well;
}

static bool
parse_mailbox(struct parser *parser)
{
	if (is_at(parser, '"') ? !parse_quoted_string(parser)
			       : !parse_dot_string(parser))
		return false;
	if (!is_at(parser, '@'))
		return true;
	take(parser, 1);
	parser->address->domain = parser->address->text + parser->used;
	return parse_domain(parser);
}

static bool
parse_path(struct parser *parser)
{
	bool has_brackets = is_at(parser, '<');

	if (has_brackets) {
		parser->at++;
		if (is_at(parser, '>')) {
			parser->at++;
			return true;
		}
	}
	if (is_at(parser, '@') && !skip_source_route(parser))
		return false;
	if (!parse_mailbox(parser))
		return false;
	if (has_brackets && !is_at(parser, '>'))
		return false;
	parser->at += has_brackets;
	return parser->at == parser->end || *parser->at == ' ' ||
	    *parser->at == '\t';
}

enum smtp_address_result
smtp_address_parse(const char *path, size_t length,
    struct smtp_address *address_out, size_t *used_out)
{
	struct parser parser = {
		.at = path, .end = path + length, .address = address_out
	};
	bool is_well;

	address_out->domain = NULL;
	address_out->is_literal = address_out->is_utf8 = false;
	is_well = parse_path(&parser);
	address_out->text[parser.used] = '\0';
	*used_out = (size_t)(parser.at - path);
	if (!is_well)
		return SMTP_ADDRESS_SYNTAX;
	return parser.is_too_long ? SMTP_ADDRESS_TOO_LONG : SMTP_ADDRESS_OK;
}

/* What a Quoted-string may hold, up to where the parser ends. */
static bool
parse_raw_local(struct parser *parser)
{
	while (parser->at < parser->end)
		if (!take_character(parser))
			return false;
	return true;
}

enum smtp_address_result
smtp_address_read(
    const char *text, size_t length, struct smtp_address *address_out)
{
	const char *at = memrchr(text, '@', length), *end = text + length;
	struct parser parser = {
		.at = text, .end = at == NULL ? end : at, .address = address_out
	};
	bool is_well;

	address_out->domain = NULL;
	address_out->is_literal = address_out->is_utf8 = false;
	is_well = parse_raw_local(&parser) && at != text;
	if (is_well && at != NULL) {
		parser.end = end;
		take(&parser, 1);
		address_out->domain = address_out->text + parser.used;
		is_well = parse_domain(&parser) && parser.at == end;
	}
	address_out->text[parser.used] = '\0';
	if (!is_well)
		return SMTP_ADDRESS_SYNTAX;
	return parser.is_too_long ? SMTP_ADDRESS_TOO_LONG : SMTP_ADDRESS_OK;
}
