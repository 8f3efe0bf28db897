/* SPDX-License-Identifier: ISC */
/* The command line of the listener qmail-pop3d. */
#include "pop3/options.h"

#include <string.h>

enum { WORDS_MAX = 64 };

int
pop3_options_parse(struct smtp_options *options, char *const *args,
    const char *pop3s, struct error *err)
{
	char *words[WORDS_MAX + 1];
	bool has_tls_first = pop3s != NULL && *pop3s != '\0';
	size_t count = 0;

	for (; *args != NULL && count < WORDS_MAX; args++) {
		if (strcmp(*args, "--pop3s") == 0) {
			has_tls_first = true;
			continue;
		}
		words[count++] = *args;
		if (strcmp(*args, "--listen") == 0 && args[1] != NULL &&
		    count < WORDS_MAX)
			words[count++] = *++args;
		else if (strcmp(*args, "--listen") != 0 &&
		    strcmp(*args, "--shared") != 0)
			return error_set(err, "'%s' is not an option", *args);
	}
	words[count] = NULL;
	if (smtp_options_parse(options, words, NULL, err) == -1)
		return -1;
	options->kind.has_tls_first = has_tls_first;
	return 0;
}
