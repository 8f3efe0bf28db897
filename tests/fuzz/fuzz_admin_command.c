/* SPDX-License-Identifier: ISC */
/* The command line of adminsrv's protocol, and what is made of it. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "adminsrv/server/command.h"
#include "adminsrv/server/session.h"
#include "adminsrv/server/words.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Put together and taken apart again they are the same words. */
static void
check_joined(const struct strlist *words)
{
	AUTO(strlist_release) struct strlist again = { .count = 0 };
	AUTO(buf_release) struct buf line = BUF_INIT;
	struct error err;

	buf_init(&line);
	words_join(&line, words->items);
	assert(words_split(line.data, &again, &err) == 0);
	assert(again.count == words->count);
	for (size_t i = 0; i < words->count; i++)
		assert(strcmp(again.items[i], words->items[i]) == 0);
}

/* Options that read files, or choose folders, are none of his. */
static void
check_option(const struct word *word, void *context)
{
	const struct command *command = context;

	assert(word->kind != WORD_END);
	if (word->kind == WORD_LONG)
		assert(strcmp(word->value, "json") == 0);
	if (word->kind == WORD_OPTION)
		assert(word->is_known &&
		    strchr(command->limited, word->letter) != NULL);
}

/* What an administrator of a domain may say names nothing else. */
static void
check_limits(const struct command *command, const struct strlist *words)
{
	AUTO(strlist_release) struct strlist domains = { .count = 0 };
	struct error err = { "" };

	strlist_add(&domains, "a.test");
	if (command_check_limited(command, words->items, &domains, &err) == -1) {
		assert(err.text[0] != '\0');
		return;
	}
	assert(command->names != NAMES_NONE);
	if (command->names != NAMES_DELIVERIES)
		words_walk(words->items, command->options, check_option,
		    (void *)(uintptr_t)command);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(strlist_release) struct strlist words = { .count = 0 };
	AUTO(buf_release) struct buf masked = BUF_INIT;
	struct error err = { "" };
	const struct command *command;
	OWN_TEXT line = NULL;
	int number;

	if (size > ADMIN_LINE_MAX)
		return 0;
	line = xmalloc(size + 1);
	memcpy(line, data, size);
	line[size] = '\0';
	number = admin_parse_command(line, size, &words, &err);
	if (number == -1) {
		assert(err.text[0] != '\0');
		return 0;
	}
	assert(memchr(data, '\0', size) == NULL);
	assert(words.count > 0 && words.count <= WORDS_MAX);
	command = command_at(number);
	assert(command != NULL && command_find(words.items[0]) == number);
	check_joined(&words);
	buf_init(&masked);
	command_mask(command, words.items, &masked);
	command_is_change(command, words.items);
	command_check(command, words.items, &err);
	check_limits(command, &words);
	return 0;
}
