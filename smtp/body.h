/* SPDX-License-Identifier: ISC */
/*
 * From the bytes of DATA or BDAT to what is stored: LF at line ends.
 *
 * Only CRLF is a line end.  A CR or an LF alone is content, and never ends a
 * line or a message, however the bytes are cut into pieces (RFC 5321 2.3.8,
 * 4.1.1.4: only CRLF.CRLF ends DATA).
 */
#ifndef SMTP_BODY_H
#define SMTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum smtp_body_state {
	SMTP_BODY_LINE_START,
	SMTP_BODY_TEXT,
	SMTP_BODY_CR,    /* a CR that may be a line end's is held back */
	SMTP_BODY_DOT,   /* behind a line's first dot, which is dropped */
	SMTP_BODY_DOT_CR /* behind dot and CR */
};

struct smtp_body {
	enum smtp_body_state state;
	bool is_dotted;     /* DATA: dots are stuffed, a dot alone ends */
	bool has_bare_lf;   /* seen so far */
	uint64_t line_ends; /* CRLFs that became LFs so far */
	char tail[4];       /* the last bytes as they came */
	/* Takes what is to be stored, in pieces of at least one byte. */
	void (*emit)(void *context, const char *data, size_t length);
	void *context;
};

void smtp_body_init(struct smtp_body *body, bool is_dotted,
    void (*emit)(void *context, const char *data, size_t length),
    void *context);

/*
 * Reads bytes.  True when the final dot's line was among them (never unless
 * is_dotted); *used_out then is where it ended, else all.
 */
bool smtp_body_read(
    struct smtp_body *body, const char *data, size_t length, size_t *used_out);

/* BDAT ... LAST: a CR held back was content. */
void smtp_body_finish(struct smtp_body *body);

/*
 * True when a client that ends lines with a bare LF would believe that it has
 * ended the message with what came so far (LF.LF, LF.CRLF, CRLF.LF): it waits
 * for an answer now, and nothing else will come.
 */
bool smtp_body_looks_ended(const struct smtp_body *body);

#endif
