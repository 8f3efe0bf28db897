/* SPDX-License-Identifier: ISC */
/*
 * Certificates by which peers know each other without an authority: each signs
 * its own, and is known by its pin.
 */
#ifndef BASE_CERTIFICATE_H
#define BASE_CERTIFICATE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * A pin is the SHA-256 of a certificate's public key (SPKI, as in RFC 7469 2.4
 * and RFC 6698 3 1 1), in small hex digits.
 */
enum { CERTIFICATE_PIN_SIZE = 65 };

/*
 * A new key (P-256) and its certificate, signed by itself, in PEM behind what
 * pem_out holds, which the caller wipes.  name is the subject's, at most 64
 * bytes.  0 or -1.
 */
int certificate_make(const char *name, unsigned days, struct buf *pem_out,
    char pin_out[CERTIFICATE_PIN_SIZE], struct error *err);

/* The pin of the first certificate of a PEM file.  0 or -1. */
int certificate_pin_of_file(
    const char *path, char pin_out[CERTIFICATE_PIN_SIZE], struct error *err);

/* Of a certificate in DER, as a peer shows it.  0, or -1: it is none. */
int certificate_pin_of_der(const unsigned char *der, size_t length,
    char pin_out[CERTIFICATE_PIN_SIZE]);

#endif
