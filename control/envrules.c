/* SPDX-License-Identifier: ISC */
/*
 * Rules that set session variables by address.
 *
 *	line       = pattern ":" assignment *( "," assignment )
 *	assignment = *blank name "=" value      ; no value: the name is unset
 *
 * "\," in a value is a comma.  An empty pattern or <> is the null sender.
 */
#include "control/envrules.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"

enum { FILE_MAX_BYTES = 16 * 1024 * 1024, LINE_MAX_BYTES = 4096 };

struct rule {
	char *pattern;
	struct vars assignments;
};

struct envrules {
	struct rule *rules;
	size_t count;
};

static const char line_form[] = "write pattern:NAME=value,NAME2=, for example "
				"*@example.org:DATABYTES=10485760";

static bool
is_variable_name(const char *name)
{
	static const char letters_and_digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz_0123456789";

	return *name != '\0' && (*name < '0' || *name > '9') &&
	    name[strspn(name, letters_and_digits)] == '\0';
}

/*
 * Cuts the next assignment off at its comma, in place, with "\," made ",".
 * Returns what follows, or NULL at the end.
 */
static char *
cut_token(char *token)
{
	char *from = token, *to = token;
	bool is_last;

	while (*from != '\0' && *from != ',') {
		if (from[0] == '\\' && from[1] == ',')
			from++;
		*to++ = *from++;
	}
	is_last = *from == '\0';
	*to = '\0';
	return is_last ? NULL : from + 1;
}

static int
parse_assignment(struct rule *rule, char *token, struct error *err)
{
	char *equals = strchr(token, '=');

	if (equals == NULL)
		return error_set(
		    err, "'%.60s' has no '='; %s", token, line_form);
	*equals++ = '\0';
	if (!is_variable_name(token))
		return error_set(err, "'%.60s' is not a variable's name; %s",
		    token, line_form);
	vars_set(&rule->assignments, token, *equals == '\0' ? NULL : equals);
	return 0;
}

/* Without assignments; the pattern is copied. */
static struct rule *
add_rule(struct envrules *rules, const char *pattern)
{
	struct rule *rule;

	rules->rules = mem_room(
	    rules->rules, rules->count, sizeof(*rules->rules));
	rule = &rules->rules[rules->count++];
	*rule = (struct rule){
		.pattern = xstrdup(strcmp(pattern, "<>") == 0 ? "" : pattern),
		.assignments = VARS_INIT,
	};
	return rule;
}

/* A line that is not blank. */
static int
parse_rule(struct envrules *rules, char *line, struct error *err)
{
	char *colon = strchr(line, ':');
	char *token, *next;
	struct rule *rule;

	if (strlen(line) > LINE_MAX_BYTES)
		return error_set(err, "a line of %zu bytes; the most is %d",
		    strlen(line), LINE_MAX_BYTES);
	if (colon == NULL)
		return error_set(err, "no ':'; %s", line_form);
	*colon = '\0';
	rule = add_rule(rules, line);
	for (token = colon + 1; token != NULL; token = next) {
		next = cut_token(token);
		token += strspn(token, " \t");
		if (*token != '\0' && parse_assignment(rule, token, err) == -1)
			return -1;
	}
	if (rule->assignments.count == 0)
		return error_set(err, "sets no variable; %s", line_form);
	return 0;
}

/* Tells the visitor of each line; without one the first bad line ends it. */
static int
parse_rules(struct envrules *rules, struct lines *lines,
    const struct envrules_visitor *visitor, struct error *err)
{
	char *line;
	int found;

	while ((found = lines_next(lines, &line, err)) != 0) {
		if (found == 1 && (*line == '\0' || *line == '#'))
			continue;
		if (found == 1)
			found = parse_rule(rules, line, err);
		if (found == -1 && visitor == NULL)
			return -1;
		if (found == -1)
			visitor->fault(
			    lines->number, err->text, visitor->context);
		else if (visitor != NULL) {
			struct rule *rule = &rules->rules[rules->count - 1];

			visitor->rule(lines->number, rule->pattern,
			    &rule->assignments, visitor->context);
		}
	}
	return 0;
}

/* As envrules_load() and, with a visitor, envrules_walk(). */
static int
read_envrules(const char *path, struct envrules *rules,
    const struct envrules_visitor *visitor, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int result = file_read(path, FILE_MAX_BYTES, &text, err);
	struct lines lines;
	struct error own;

	lines_open(&lines, &text);
	if (result == 1 && parse_rules(rules, &lines, visitor, &own) == -1)
		result = error_set(
		    err, "%s:%u: %s", path, lines.number, own.text);
	return result;
}

int
envrules_load(const char *path, struct envrules **rules_out, struct error *err)
{
	int result;

	*rules_out = xcalloc(1, sizeof(**rules_out));
	result = read_envrules(path, *rules_out, NULL, err);
	if (result != 1)
		envrules_free(rules_out);
	return result;
}

int
envrules_walk(
    const char *path, const struct envrules_visitor *visitor, struct error *err)
{
	AUTO(envrules_free)
	struct envrules *rules = xcalloc(1, sizeof(*rules));

	return read_envrules(path, rules, visitor, err);
}

void
envrules_free(struct envrules **rules_in)
{
	struct envrules *rules = *rules_in;

	if (rules == NULL)
		return;
	for (size_t i = 0; i < rules->count; i++) {
		vars_release(&rules->rules[i].assignments);
		free(rules->rules[i].pattern);
	}
	free(rules->rules);
	free(rules);
	*rules_in = NULL;
}

unsigned
envrules_apply(
    const struct envrules *rules, const char *subject, struct vars *vars)
{
	unsigned matched = 0;

	for (size_t i = 0; rules != NULL && i < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];

		if (fnmatch(rule->pattern, subject, FNM_CASEFOLD) != 0)
			continue;
		matched++;
		for (size_t j = 0; j < rule->assignments.count; j++)
			vars_set(vars, rule->assignments.entries[j].name,
			    rule->assignments.entries[j].value);
	}
	return matched;
}
