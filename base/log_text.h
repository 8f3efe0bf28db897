/* SPDX-License-Identifier: ISC */
/*
 * A peer's words in a log line.  Tools split lines at blanks and take
 * <...> for a field, and people read them on terminals.
 */
#ifndef BASE_LOG_TEXT_H
#define BASE_LOG_TEXT_H

#include <stddef.h>

/*
 * Copies text as one word, cut between characters where size (at least 1) ends,
 * and always with a '\0'.  Each of these becomes '_': a blank, '<', '>', a
 * control character (C0, DEL, C1), a blank, line end or format character of
 * Unicode (a direction mark, a tag), a byte that is not UTF-8.  So the word
 * ends no field and forges none.  An empty text stays empty: put it between
 * brackets.  Returns the length of the word.
 */
size_t log_word(char *out, size_t size, const char *text);

/*
 * The same for a whole line, in place, with '?'; blanks, '<' and '>' stay.
 * Returns the length that is left; no '\0' is put.
 */
size_t log_clean(char *text, size_t length);

#endif
