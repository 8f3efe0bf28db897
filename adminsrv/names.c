/* SPDX-License-Identifier: ISC */
/* Names of domains and users as operators give them. */
#include "adminsrv/names.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "control/idn.h"

enum { LABEL_MAX = 63, DOMAIN_MAX = 253 };

static const char standard_chars[] = "._-";
/* atext of RFC 5322 3.2.3 besides letters and digits, and the dot; no '/'. */
static const char possible_chars[] = ".!#$%&'*+-=?^_`{|}~";

/* Lower case; false when the text is empty or does not fit. */
static bool
fold_local_part(const char *text, size_t length, char *folded_out, size_t size)
{
	if (length == 0 || length >= size)
		return false;
	ascii_lower(folded_out, text, length);
	folded_out[length] = '\0';
	return true;
}

static bool
is_label(const char *label, size_t length)
{
	static const char possible[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

	return length > 0 && length <= LABEL_MAX && label[0] != '-' &&
	    label[length - 1] != '-' && strspn(label, possible) == length;
}

int
names_domain(
    const char *domain, char domain_out[NAMES_DOMAIN_SIZE], struct error *err)
{
	bool is_domain = idn_domain_canonical(domain, domain_out);
	const char *label = domain_out;

	_Static_assert(NAMES_DOMAIN_SIZE == (int)IDN_DOMAIN_SIZE, "sizes");
	if (*domain_out == '\0' || strlen(domain_out) > DOMAIN_MAX)
		return error_set(err,
		    "a domain name has 1 to %d characters, '%.60s' has not",
		    DOMAIN_MAX, domain);
	if (!is_domain)
		return error_set(err,
		    "'%s' is no domain name: it is not what IDNA2008 allows",
		    domain);
	for (;;) {
		size_t label_length = strcspn(label, ".");

		if (!is_label(label, label_length))
			return error_set(err,
			    "'%s' is no domain name: between its dots stand "
			    "1 to %d letters, digits and inner '-'",
			    domain, LABEL_MAX);
		label += label_length;
		if (*label == '\0')
			return 0;
		label++;
	}
}

int
names_address(
    const char *address, struct names_address *address_out, struct error *err)
{
	const char *at = strrchr(address, '@');

	if (at == NULL)
		at = strrchr(address, '%');
	if (at == NULL)
		return error_set(
		    err, "'%.200s' is not of the form user@domain", address);
	if (!fold_local_part(address, (size_t)(at - address),
		address_out->local, sizeof(address_out->local)))
		return error_set(err,
		    "the part before '%c' of '%.200s' has not 1 to %d "
		    "characters",
		    *at, address, NAMES_LOCAL_SIZE - 1);
	return names_domain(at + 1, address_out->domain, err);
}

int
names_check_new_user(const char *local, struct error *err)
{
	const char *chars = getenv("ALLOWCHARS");

	if (chars == NULL)
		chars = standard_chars;
	if (chars[strspn(chars, possible_chars)] != '\0')
		return error_set(err,
		    "ALLOWCHARS '%s' has a character that no user name may "
		    "have: take some of %s",
		    chars, possible_chars);
	if (*local == '\0' || *local == '-')
		return error_set(err,
		    "the user name '%s' is empty or begins with '-'", local);
	for (const char *at = local; *at != '\0'; at++) {
		if (!isalnum((unsigned char)*at) && strchr(chars, *at) == NULL)
			return error_set(err,
			    "the user name '%s' may have letters, digits and "
			    "%s only (ALLOWCHARS)",
			    local, chars);
		/* Dot-string, RFC 5321 4.1.2. */
		if (*at == '.' &&
		    (at == local || at[1] == '\0' || at[1] == '.'))
			return error_set(err,
			    "the user name '%s' has a dot at an end or two in "
			    "a row",
			    local);
	}
	return 0;
}
