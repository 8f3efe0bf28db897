/* SPDX-License-Identifier: ISC */
/* Whether a .qmail-default can be meant as it is. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "delivery/dotqmail_lines.h"
#include "delivery/general.h"

/* What a command line for sh may begin with, that is no program's name. */
static const char *const shell_words[] = { "if", "case", "for", "while",
	"until", "test", "[", "exit", "export", "set", "unset", "read", "echo",
	"trap", "cd", "exec", "eval", "true", "false", ":", ".", "umask",
	"ulimit", "command", "!", "{", "printf" };

/* A word that names a program, and is no shell's syntax or assignment. */
static bool
is_name(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._+-";

	for (size_t i = 0; i < sizeof(shell_words) / sizeof(shell_words[0]);
	     i++)
		if (strcmp(word, shell_words[i]) == 0)
			return false;
	return strspn(word, plain) == strlen(word);
}

static bool
is_executable(const char *folder, size_t length, const char *name)
{
	OWN_TEXT path = xasprintf("%.*s/%s", (int)length, folder, name);

	return access(path, X_OK) == 0;
}

static bool
is_in_path(const char *path, const char *name)
{
	while (path != NULL && *path != '\0') {
		size_t length = strcspn(path, ":");

		if (is_executable(path, length, name))
			return true;
		path += length + (path[length] == ':');
	}
	return false;
}

static bool
is_there(const char *domain_dir, const char *program_dir, const char *name)
{
	if (*name == '/')
		return access(name, X_OK) == 0;
	if (strchr(name, '/') != NULL)
		return is_executable(domain_dir, strlen(domain_dir), name);
	return is_in_path(program_dir, name) ||
	    is_in_path(getenv("PATH"), name) ||
	    is_in_path("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", name);
}

/* Is it our program, which knows what may stand behind it? */
static bool
is_ours(const char *name)
{
	const char *slash = strrchr(name, '/');

	name = slash != NULL ? slash + 1 : name;
	return strcmp(name, "vdelivermail") == 0 ||
	    strcmp(name, "vfilter") == 0;
}

static bool
is_program_sound(const char *domain_dir, const char *program_dir,
    const struct dotqmail_line *line, struct dotqmail_fault *fault)
{
	OWN_TEXT name = xstrndup(line->text, strcspn(line->text, " \t"));
	OWN_TEXT whole = xasprintf("|%s", line->text);
	AUTO(dotqmail_release) struct absent_rule rule = ABSENT_RULE_INIT;

	if (!is_name(name))
		return true;
	if (is_ours(name)) {
		bool is_right = dotqmail_read(
		    whole, strlen(whole), &rule, fault);

		fault->line = line->number;
		return is_right;
	}
	if (is_there(domain_dir, program_dir, name))
		return true;
	fault->line = line->number;
	error_set(&fault->reason,
	    "there is no program '%.80s'; write " DOTQMAIL_EXAMPLE, name);
	return false;
}

bool
general_is_sound(const char *domain_dir, const char *program_dir,
    const struct buf *text, struct dotqmail_fault *fault_out)
{
	AUTO(dotqmail_lines_release)
	struct dotqmail_lines lines = { .storage = BUF_INIT };
	struct error err;
	bool is_sound = true;

	*fault_out = (struct dotqmail_fault){ .line = 0 };
	if (dotqmail_lines_read(text->data, text->length, &lines, &err) == -1) {
		error_set(&fault_out->reason, "%s; write " DOTQMAIL_EXAMPLE,
		    err.text);
		return false;
	}
	if (lines.count == 0) {
		error_set(&fault_out->reason, "%s; write " DOTQMAIL_EXAMPLE,
		    text->length == 0 ? "it is empty"
				      : "it has only blank lines and comments");
		return false;
	}
	for (size_t i = 0; i < lines.count && is_sound; i++)
		if (lines.items[i].kind == DOTQMAIL_PROGRAM)
			is_sound = is_program_sound(domain_dir, program_dir,
			    &lines.items[i], fault_out);
	return is_sound;
}
