/* SPDX-License-Identifier: ISC */
/*
 * Internationalized domain names (RFC 5890): a domain has one spelling inside,
 * the lower-case one whose labels are ASCII (A-labels), whatever spelling it
 * came in, so that equal bytes are the same domain.  This is done where names
 * come in: lists of domains, operators' words, recipients, lookups.
 */
#ifndef CONTROL_IDN_H
#define CONTROL_IDN_H

#include <stdbool.h>

enum { IDN_DOMAIN_SIZE = 256 }; /* RFC 5321 4.5.3.1.2, and '\0' */

bool idn_is_ascii(const char *text);

/*
 * Puts the domain's one spelling into canonical_out.  A dot in front (of a line
 * ".suffix") stays.  ASCII is folded, A-labels in it too, and not judged.
 *
 * False when no domain can be so written: it is too long, or not ASCII and not
 * what IDNA2008 allows (UTS 46, nontransitional).  canonical_out then is the
 * text with its ASCII letters folded, which still equals itself, or "" when
 * that is too long: equal to no domain.
 */
bool idn_domain_canonical(
    const char *domain, char canonical_out[IDN_DOMAIN_SIZE]);

#endif
