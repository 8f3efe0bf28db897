/* SPDX-License-Identifier: ISC */
/* The text of a virtual domain's .qmail-default. */
#include "delivery/dotqmail.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { FAULT_WORD_MAX = 80 };

/* A piece of the text; nothing is copied before all is understood. */
struct word {
	const char *at;
	size_t length;
};

static bool
word_is(const struct word *word, const char *text)
{
	return word->length == strlen(text) &&
	    memcmp(word->at, text, word->length) == 0;
}

/* Bytes that mean themselves to a shell, wherever they stand in a word. */
static bool
is_plain_word(const struct word *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._@:+=-";

	for (size_t i = 0; i < word->length; i++)
		if (word->at[i] == '\0' || strchr(plain, word->at[i]) == NULL)
			return false;
	return word->length > 0;
}

/* The next word of the line; false when there is none. */
static bool
next_word(struct word *line, struct word *word)
{
	while (line->length > 0 && (*line->at == ' ' || *line->at == '\t')) {
		line->at++;
		line->length--;
	}
	word->at = line->at;
	while (line->length > 0 && *line->at != ' ' && *line->at != '\t') {
		line->at++;
		line->length--;
	}
	word->length = (size_t)(line->at - word->at);
	return word->length > 0;
}

/* About a word, or the file (NULL).  Always false. */
static bool
set_fault(struct dotqmail_fault *fault, unsigned line, const struct word *word,
    const char *text)
{
	int length = word == NULL           ? 0
	    : word->length > FAULT_WORD_MAX ? FAULT_WORD_MAX
					    : (int)word->length;

	if (fault == NULL)
		return false;
	fault->line = line;
	if (word == NULL)
		error_set(&fault->reason, "%s; write " DOTQMAIL_EXAMPLE, text);
	else
		error_set(&fault->reason, "'%.*s' %s; write " DOTQMAIL_EXAMPLE,
		    length, word->at, text);
	return false;
}

/* Without the blanks and the CR at its end. */
static void
trim_end(struct word *line)
{
	while (line->length > 0 &&
	    memchr(" \t\r", line->at[line->length - 1], 3) != NULL)
		line->length--;
}

/* The only line that says something; false when there are none or several. */
static bool
only_line(const char *text, size_t length, struct word *line,
    unsigned *number_out, struct dotqmail_fault *fault)
{
	const char *end = text + length;
	unsigned number = 1;

	line->at = NULL;
	for (; text < end; number++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *next = newline == NULL ? end : newline + 1;
		struct word whole = { text,
			(size_t)((newline == NULL ? end : newline) - text) };
		struct word rest, first;

		trim_end(&whole);
		rest = whole;
		if (*text != '#' && next_word(&rest, &first)) {
			if (line->at != NULL)
				return set_fault(fault, number, &whole,
				    "is a second line, and only one can be "
				    "followed");
			*line = whole;
			*number_out = number;
		}
		text = next;
	}
	return line->at != NULL ||
	    set_fault(fault, 0, NULL,
		length == 0 ? "it is empty"
			    : "it has only blank lines and comments");
}

/* Does the word end in the name of the program, perhaps behind a path? */
static bool
is_program(const struct word *word, const char *name)
{
	size_t length = strlen(name);

	return is_plain_word(word) && word->length >= length &&
	    memcmp(word->at + word->length - length, name, length) == 0 &&
	    (word->length == length ||
		word->at[word->length - length - 1] == '/');
}

/* vfilter is IndiMail's name for vdelivermail with filters: ours has them. */
static bool
is_vdelivermail(const struct word *word)
{
	return is_program(word, "vdelivermail") || is_program(word, "vfilter");
}

static enum absent_action
action_of(const struct word *word)
{
	const char *at;

	if (word_is(word, "bounce-no-mailbox"))
		return ABSENT_BOUNCE;
	if (word_is(word, "delete"))
		return ABSENT_DELETE;
	if (!is_plain_word(word))
		return ABSENT_GENERAL;
	if (*word->at == '/')
		return ABSENT_FOLDER;
	at = memchr(word->at, '@', word->length);
	if (at == NULL || at == word->at || at == word->at + word->length - 1 ||
	    memchr(at + 1, '@', word->length - (size_t)(at + 1 - word->at)) !=
		NULL)
		return ABSENT_GENERAL;
	return ABSENT_ADDRESS;
}

bool
dotqmail_read_action(
    const char *text, size_t length, struct absent_rule *rule_out)
{
	struct word word = { text, length };

	*rule_out = (struct absent_rule)ABSENT_RULE_INIT;
	rule_out->action = action_of(&word);
	if (rule_out->action == ABSENT_FOLDER ||
	    rule_out->action == ABSENT_ADDRESS)
		rule_out->target = xstrndup(text, length);
	return rule_out->action != ABSENT_GENERAL;
}

bool
dotqmail_read(const char *text, size_t length, struct absent_rule *rule_out,
    struct dotqmail_fault *fault_out)
{
	struct word whole, line, program, extension, action, more;
	unsigned number = 0;

	*rule_out = (struct absent_rule)ABSENT_RULE_INIT;
	if (!only_line(text, length, &whole, &number, fault_out))
		return false;
	line = whole;
	if (*line.at != '|')
		return set_fault(
		    fault_out, number, &whole, "does not begin with '|'");
	line.at++;
	line.length--;
	if (!next_word(&line, &program) || !is_vdelivermail(&program))
		return set_fault(
		    fault_out, number, &whole, "does not run vdelivermail");
	if (!next_word(&line, &extension) ||
	    (!word_is(&extension, "''") && !word_is(&extension, "\"\"")))
		return set_fault(
		    fault_out, number, &whole, "has no '' behind the program");
	if (!next_word(&line, &action))
		return set_fault(fault_out, number, &whole, "has no action");
	if (next_word(&line, &more))
		return set_fault(
		    fault_out, number, &more, "stands behind the action");
	if (!dotqmail_read_action(action.at, action.length, rule_out))
		return set_fault(fault_out, number, &action,
		    "is not an action (bounce-no-mailbox, delete, /FOLDER or "
		    "USER@DOMAIN)");
	return true;
}

void
dotqmail_release(struct absent_rule *rule)
{
	free(rule->target);
	*rule = (struct absent_rule)ABSENT_RULE_INIT;
}
