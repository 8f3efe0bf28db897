/* SPDX-License-Identifier: ISC */
/* A command line as words. */
#include "adminsrv/server/words.h"

#include <string.h>

#include "base/mem.h"

static const char blanks[] = " \t\r\n\v\f";

/* What ends at a quote of that kind; NULL: it does not end. */
static const char *
take_quoted(const char *at, char quote, struct buf *word)
{
	for (; *at != '\0' && *at != quote; at++) {
		if (quote == '"' && *at == '\\' &&
		    (at[1] == '"' || at[1] == '\\'))
			at++;
		buf_addc(word, *at);
	}
	return *at == '\0' ? NULL : at + 1;
}

/* One word from at, which is no blank; where it ends, or NULL. */
static const char *
take_word(const char *at, struct buf *word, struct error *err)
{
	while (at != NULL && *at != '\0' && strchr(blanks, *at) == NULL) {
		if (*at == '\'' || *at == '"') {
			at = take_quoted(at + 1, *at, word);
			if (at == NULL)
				error_set(err, "a quote is open");
		} else if (*at == '\\' && at[1] == '\0') {
			error_set(err, "a backslash at the end");
			at = NULL;
		} else {
			if (*at == '\\')
				at++;
			buf_addc(word, *at++);
		}
	}
	return at;
}

int
words_split(const char *line, struct strlist *words_out, struct error *err)
{
	AUTO(buf_release) struct buf word = BUF_INIT;
	const char *at = line;

	for (at += strspn(at, blanks); *at != '\0'; at += strspn(at, blanks)) {
		buf_reset(&word);
		buf_adds(&word, "");
		at = take_word(at, &word, err);
		if (at == NULL)
			return -1;
		if (words_out->count == WORDS_MAX)
			return error_set(err, "more than %d words", WORDS_MAX);
		strlist_add(words_out, word.data);
	}
	return 0;
}

static bool
is_simple_word(const char *word)
{
	return *word != '\0' && strpbrk(word, " \t\r\n\v\f'\"\\") == NULL;
}

void
words_join(struct buf *line, char *const *words)
{
	for (; *words != NULL; words++) {
		if (line->length > 0)
			buf_addc(line, ' ');
		if (is_simple_word(*words)) {
			buf_adds(line, *words);
			continue;
		}
		buf_addc(line, '"');
		for (const char *c = *words; *c != '\0'; c++) {
			if (*c == '"' || *c == '\\')
				buf_addc(line, '\\');
			buf_addc(line, *c);
		}
		buf_addc(line, '"');
	}
}

struct walk {
	char *const *argv;
	const char *options;
	void (*visit)(const struct word *word, void *context);
	void *context;
	size_t index;
};

/* The options of one word, "-ab" or "-cARGUMENT". */
static void
walk_letters(struct walk *walk)
{
	const char *at = walk->argv[walk->index] + 1;

	while (*at != '\0') {
		const char *known = *at == ':' ? NULL
					       : strchr(walk->options, *at);
		struct word word = { .kind = WORD_OPTION,
			.letter = *at++,
			.is_known = known != NULL,
			.index = walk->index };

		if (known != NULL && known[1] != '\0' &&
		    strchr(":!@&", known[1]) != NULL) {
			word.mark = known[1];
			word.value = *at != '\0' ? at
						 : walk->argv[walk->index + 1];
			if (*at == '\0' && word.value != NULL)
				word.index = ++walk->index;
			at = "";
		}
		walk->visit(&word, walk->context);
	}
}

void
words_walk(char *const *argv, const char *options,
    void (*visit)(const struct word *word, void *context), void *context)
{
	struct walk walk = { .argv = argv,
		.options = options,
		.visit = visit,
		.context = context };
	bool is_over = false;

	if (argv[0] == NULL)
		return;
	for (walk.index = 1; argv[walk.index] != NULL; walk.index++) {
		const char *text = argv[walk.index];
		struct word word = { .kind = WORD_PLAIN,
			.value = text,
			.index = walk.index };

		if (!is_over && text[0] == '-' && text[1] == '-') {
			word.kind = text[2] == '\0' ? WORD_END : WORD_LONG;
			is_over = word.kind == WORD_END;
			word.value = text + 2;
		} else if (!is_over && text[0] == '-' && text[1] != '\0') {
			walk_letters(&walk);
			continue;
		}
		visit(&word, context);
	}
}
