/* SPDX-License-Identifier: ISC */
/* The other side of checkpassword: what such a program reads. */
#ifndef AUTH_CHECKPASSWORD_INPUT_H
#define AUTH_CHECKPASSWORD_INPUT_H

#include "auth/checkpassword.h"

enum { CHECKPASSWORD_MISUSED = 2, CHECKPASSWORD_TROUBLE = 111 };

/* Texts of proof point into data; whoever has it wipes it. */
struct checkpassword_input {
	char data[CHECKPASSWORD_MAX + 1];
	struct checkpassword_proof proof;
};

/* Reads and closes descriptor 3.  0, or an exit code of those above. */
int checkpassword_read(struct checkpassword_input *input);

#endif
