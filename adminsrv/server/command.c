/* SPDX-License-Identifier: ISC */
/* The programs that administrators may run from afar. */
#include "adminsrv/server/command.h"

#include <assert.h>
#include <string.h>

#include "adminsrv/names.h"
#include "adminsrv/server/words.h"
#include "base/mem.h"

static const struct command commands[] = {
#define COMMAND(...) { __VA_ARGS__ },
#include "adminsrv/server/commands.tbl"
#undef COMMAND
};
_Static_assert(sizeof(commands) / sizeof(commands[0]) == COMMAND_COUNT,
    "the protocol's numbers");

const struct command *
command_at(long index)
{
	return index < 0 || index >= COMMAND_COUNT ? NULL : &commands[index];
}

int
command_find(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash == NULL ? program : slash + 1;

	for (int i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return i;
	return COMMAND_NONE;
}

static bool
is_svctool(const struct command *command)
{
	return command == &commands[COMMAND_SVCTOOL];
}

/* -- svctool, whose options are words */

/* The words that are no options, of which two count. */
struct verbs {
	const char *first, *second;
};

static void
see_verb(const struct word *word, void *context)
{
	struct verbs *verbs = context;

	if (word->kind != WORD_PLAIN)
		return;
	if (verbs->first == NULL)
		verbs->first = word->value;
	else if (verbs->second == NULL)
		verbs->second = word->value;
}

/* reads: the second words that change nothing; NULL: none changes. */
static const struct {
	const char *verb;
	const char *reads; /* blank between and at both ends */
	const char *never;
} verbs_from_afar[] = {
	{ "status", NULL, "" },
	{ "check", NULL, "" },
	{ "showctl", NULL, "" },
	{ "log", NULL, "" },
	{ "dns", NULL, "" },
	{ "route", NULL, "" },
	{ "explain", NULL, "" },
	{ "trace", NULL, "" },
	{ "help", NULL, "" },
	{ "queue", " list show ages destinations ", "" },
	{ "db", " status check ", " init upgrade local " },
	{ "cluster", " status ", " init join leave " },
};

static bool
has_verb(const char *list, const char *verb)
{
	OWN_TEXT padded = xasprintf(" %s ", verb == NULL ? "" : verb);

	return strstr(list, padded) != NULL;
}

static int
find_verb(const struct verbs *verbs)
{
	for (size_t i = 0;
	     i < sizeof(verbs_from_afar) / sizeof(verbs_from_afar[0]); i++)
		if (verbs->first != NULL &&
		    strcmp(verbs_from_afar[i].verb, verbs->first) == 0)
			return (int)i;
	return -1;
}

int
command_check(
    const struct command *command, char *const *argv, struct error *err)
{
	struct verbs verbs = { .first = NULL };
	int row;

	if (!is_svctool(command))
		return 0;
	for (char *const *word = argv; *word != NULL; word++)
		if (strncmp(*word, "--home", 6) == 0 ||
		    strncmp(*word, "--destdir", 9) == 0)
			return error_set(err,
			    "'%s' is not taken from afar: it is this node",
			    *word);
	words_walk(argv, command->options, see_verb, &verbs);
	row = find_verb(&verbs);
	if (row == -1 || has_verb(verbs_from_afar[row].never, verbs.second))
		return error_set(err,
		    "'svctool %s%s%s' is for the node's own operators",
		    verbs.first == NULL ? "" : verbs.first,
		    verbs.second == NULL || row == -1 ? "" : " ",
		    verbs.second == NULL || row == -1 ? "" : verbs.second);
	return 0;
}

/* -- what changes, what is secret */

struct look {
	const struct command *command;
	size_t plain; /* words that are no options, so far */
	bool is_change;
	char *const *argv;
	char *masked[WORDS_MAX + 1]; /* instead of argv's; NULL: as it is */
};

static void
see_change(const struct word *word, void *context)
{
	struct look *look = context;

	if (word->kind == WORD_OPTION &&
	    strchr(look->command->changing, word->letter) != NULL)
		look->is_change = true;
}

bool
command_is_change(const struct command *command, char *const *argv)
{
	struct look look = { .command = command };
	struct verbs verbs = { .first = NULL };
	int row;

	if (is_svctool(command)) {
		words_walk(argv, command->options, see_verb, &verbs);
		row = find_verb(&verbs);
		return row == -1 ||
		    (verbs_from_afar[row].reads != NULL &&
			!has_verb(verbs_from_afar[row].reads, verbs.second));
	}
	words_walk(argv, command->options, see_change, &look);
	return look.is_change || *command->changing == '*';
}

static void
see_secret(const struct word *word, void *context)
{
	struct look *look = context;
	size_t index = word->index;

	if (word->kind == WORD_PLAIN && ++look->plain >= look->command->secret &&
	    look->command->secret > 0)
		look->masked[index] = xstrdup("***");
	else if (word->kind == WORD_OPTION && word->mark == '!' &&
	    word->value != NULL) {
		free(look->masked[index]);
		look->masked[index] = xasprintf("%.*s***",
		    (int)(word->value - look->argv[index]), look->argv[index]);
	}
}

void
command_mask(
    const struct command *command, char *const *argv, struct buf *line)
{
	struct look look = { .command = command, .argv = argv };
	char *shown[WORDS_MAX + 1];
	size_t count = 0;

	words_walk(argv, command->options, see_secret, &look);
	while (argv[count] != NULL && count < WORDS_MAX) {
		shown[count] = look.masked[count] != NULL ? look.masked[count]
							  : argv[count];
		count++;
	}
	shown[count] = NULL;
	if (count > 1)
		words_join(line, shown + 1);
	for (size_t i = 0; i <= WORDS_MAX; i++)
		free(look.masked[i]);
}

/* -- administrators of domains */

struct limited {
	const struct command *command;
	const struct strlist *domains;
	size_t plain, named;
	struct error *err;
	int result;
};

static void
refuse_limited(struct limited *limited, const char *what, const char *value)
{
	if (limited->result == 0)
		limited->result = error_set(limited->err,
		    "%s '%s' is not an administrator of domains'", what, value);
}

/* An address or a domain of one of the domains. */
static void
check_named(struct limited *limited, const char *name)
{
	char domain[NAMES_DOMAIN_SIZE];
	struct names_address address;
	const char *at = *name == '@' ? name + 1 : name;
	bool is_address = at == name && strpbrk(name, "@%") != NULL;
	int result = is_address ? names_address(name, &address, limited->err)
				: names_domain(at, domain, limited->err);

	if (result == -1) {
		limited->result = -1;
		return;
	}
	if (!strlist_has(limited->domains,
		is_address ? address.domain : domain))
		refuse_limited(limited, "domain", name);
	limited->named++;
}

/*
 * The line of an alias: nothing but an address, since others run programs and
 * write files.
 */
static void
check_alias_line(struct limited *limited, const char *line)
{
	struct names_address address;

	if (*line == '&')
		line++;
	if (strpbrk(line, "|/\n\r\t ") != NULL || *line == '.' ||
	    names_address(line, &address, limited->err) == -1)
		refuse_limited(limited, "alias line", line);
}

static void
check_limited_word(const struct word *word, void *context)
{
	struct limited *limited = context;
	const struct command *command = limited->command;
	char letter[2] = { word->letter, '\0' };

	if (word->kind == WORD_PLAIN) {
		limited->plain++;
		if (limited->plain == 1 || command->names == NAMES_ALL)
			check_named(limited, word->value);
	} else if (word->kind == WORD_OPTION) {
		if (!word->is_known ||
		    strchr(command->limited, word->letter) == NULL)
			refuse_limited(limited, "option", letter);
		else if (word->mark == '@' && word->value != NULL)
			check_named(limited, word->value);
		else if (word->mark == '&' && word->value != NULL)
			check_alias_line(limited, word->value);
	} else if (word->kind == WORD_END || strcmp(word->value, "json") != 0)
		refuse_limited(limited, "option", "--");
}

/* svctool log --address ADDRESS [--since TIME] [--until TIME] [--json] */
static void
check_deliveries(struct limited *limited, char *const *argv)
{
	if (argv[1] == NULL || strcmp(argv[1], "log") != 0) {
		refuse_limited(limited, "command", argv[1] == NULL ? ""
								   : argv[1]);
		return;
	}
	for (argv += 2; *argv != NULL; argv++) {
		bool is_address = strcmp(*argv, "--address") == 0;

		if (strcmp(*argv, "--json") == 0)
			continue;
		if ((!is_address && strcmp(*argv, "--since") != 0 &&
			strcmp(*argv, "--until") != 0) ||
		    argv[1] == NULL) {
			refuse_limited(limited, "word", *argv);
			return;
		}
		argv++;
		if (is_address)
			check_named(limited, *argv);
	}
}

int
command_check_limited(const struct command *command, char *const *argv,
    const struct strlist *domains, struct error *err)
{
	struct limited limited = { .command = command,
		.domains = domains,
		.err = err };

	switch (command->names) {
	case NAMES_NONE:
		refuse_limited(&limited, "command", command->name);
		break;
	case NAMES_FIRST:
	case NAMES_ALL:
		words_walk(
		    argv, command->options, check_limited_word, &limited);
		break;
	case NAMES_DELIVERIES:
		check_deliveries(&limited, argv);
		break;
	}
	if (limited.result == 0 && limited.named == 0)
		limited.result = error_set(
		    err, "an address or a domain has to be named");
	return limited.result;
}
