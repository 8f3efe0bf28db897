/* SPDX-License-Identifier: ISC */
/* Command lines, cut at the input's newlines: svctool's and qmail-smtpd's. */
#include <arpa/inet.h>
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "smtp/options.h"
#include "svctool/args.h"
#include "svctool/queue/count.h"
#include "svctool/run/ports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDS_MAX = 16 };

static int
cut(char *text, char *words[WORDS_MAX + 1])
{
	int count = 0;

	while (text != NULL && count < WORDS_MAX)
		words[count++] = strsep(&text, "\n");
	words[count] = NULL;
	return count;
}

static void
read_svctool(int count, char **words)
{
	struct strlist list = { .items = NULL };
	struct error err = { "" };
	const char *text = NULL;
	unsigned number = 7;
	bool flag = false;
	const struct arg_row rows[] = { { "flag", ARG_FLAG, &flag },
		{ "text", ARG_TEXT, &text }, { "number", ARG_NUMBER, &number },
		{ "list", ARG_LIST, &list }, { NULL, ARG_FLAG, NULL } };
	int left;

	if (args_parse(rows, count, words, &left, &err) == -1)
		assert(err.text[0] != '\0');
	else
		assert(left >= 0 && left <= count);
	for (size_t i = 0; i < list.count; i++)
		assert(list.items[i][0] != '\0' &&
		    strchr(list.items[i], ',') == NULL);
	strlist_release(&list);
}

static void
read_smtpd(char *const *words)
{
	struct smtp_options options;
	struct error err = { "" };
	unsigned char binary[16];

	if (smtp_options_parse(&options, words, NULL, &err) == -1) {
		assert(err.text[0] != '\0');
		return;
	}
	if (options.is_listener && options.address[0] != '\0' &&
	    strcmp(options.address, "0") != 0)
		assert(inet_pton(AF_INET, options.address, binary) == 1 ||
		    inet_pton(AF_INET6, options.address, binary) == 1);
}

static void
read_port(const char *word)
{
	struct port_address address;
	struct error err = { "" };
	unsigned char binary[16];

	if (port_parse(word, "127.0.0.1", &address, &err) == 0)
		assert(address.port != 0 &&
		    (inet_pton(AF_INET, address.ip, binary) == 1 ||
			inet_pton(AF_INET6, address.ip, binary) == 1));
	else
		assert(err.text[0] != '\0');
	assert(queue_count_number(word) == 0 || strncmp(word, "queue", 5) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	char *words[WORDS_MAX + 1];
	int count = cut(text, words), i;

	read_smtpd(words);
	for (i = 0; i < count; i++)
		read_port(words[i]);
	read_svctool(count, words); /* moves them */
	free(text);
	return 0;
}
