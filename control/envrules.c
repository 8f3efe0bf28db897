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

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/wildmat.h"

enum { FILE_MAX_BYTES = 16 * 1024 * 1024, LINE_MAX_BYTES = 4096 };

struct assignment {
	char *name;
	char *value; /* NULL: unset */
};

struct rule {
	char *pattern;
	struct assignment *assignments;
	size_t count;
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

	while (*from != '\0' && *from != ',') {
		if (from[0] == '\\' && from[1] == ',')
			from++;
		*to++ = *from++;
	}
	if (*from == '\0') {
		*to = '\0';
		return NULL;
	}
	*to = '\0';
	return from + 1;
}

static int
parse_assignment(struct rule *rule, char *token, struct error *err)
{
	char *equals = strchr(token, '=');
	struct assignment *assignment;

	if (equals == NULL)
		return error_set(
		    err, "'%.60s' has no '='; %s", token, line_form);
	*equals = '\0';
	if (!is_variable_name(token))
		return error_set(err, "'%.60s' is not a variable's name; %s",
		    token, line_form);
	rule->assignments = xrealloc(
	    rule->assignments, (rule->count + 1) * sizeof(*rule->assignments));
	assignment = &rule->assignments[rule->count++];
	assignment->name = xstrdup(token);
	assignment->value = equals[1] == '\0' ? NULL : xstrdup(equals + 1);
	return 0;
}

static void
add_rule(struct envrules *rules, const char *pattern)
{
	/* Doubled at each power of two. */
	if ((rules->count & (rules->count - 1)) == 0)
		rules->rules = xrealloc(rules->rules,
		    (rules->count == 0 ? 1 : 2 * rules->count) *
			sizeof(*rules->rules));
	rules->rules[rules->count++] = (struct rule){
		.pattern = xstrdup(strcmp(pattern, "<>") == 0 ? "" : pattern),
		.assignments = NULL,
		.count = 0,
	};
}

static int
parse_line(struct envrules *rules, char *line, struct error *err)
{
	char *colon = strchr(line, ':');
	char *token, *next;
	struct rule *rule;

	if (colon == NULL)
		return error_set(err, "no ':'; %s", line_form);
	*colon = '\0';
	add_rule(rules, line);
	rule = &rules->rules[rules->count - 1];
	for (token = colon + 1; token != NULL; token = next) {
		next = cut_token(token);
		token += strspn(token, " \t");
		if (*token != '\0' && parse_assignment(rule, token, err) == -1)
			return -1;
	}
	if (rule->count == 0)
		return error_set(err, "sets no variable; %s", line_form);
	return 0;
}

/* Bytes from at to stop, where a '\0' may be put: blank, comment or rule. */
static int
parse_bytes(struct envrules *rules, char *at, char *stop, struct error *err)
{
	if (memchr(at, '\0', (size_t)(stop - at)) != NULL)
		return error_set(err,
		    "a NUL byte; this is not a text "
		    "file");
	if (stop - at > LINE_MAX_BYTES)
		return error_set(err,
		    "a line of %zu bytes; the most "
		    "is %d",
		    (size_t)(stop - at), LINE_MAX_BYTES);
	while (stop > at && strchr(" \t\r", stop[-1]) != NULL)
		stop--;
	*stop = '\0';
	if (*at == '\0' || *at == '#')
		return 0;
	return parse_line(rules, at, err);
}

/* Tells the visitor of the rules from number first on. */
static void
tell(const struct envrules *rules, size_t first, unsigned line,
    const struct envrules_visitor *visitor)
{
	for (; first < rules->count; first++) {
		const struct rule *rule = &rules->rules[first];
		struct vars vars = VARS_INIT;

		for (size_t i = 0; i < rule->count; i++)
			vars_set(&vars, rule->assignments[i].name,
			    rule->assignments[i].value);
		visitor->rule(line, rule->pattern, &vars, visitor->context);
		vars_release(&vars);
	}
}

/* visitor NULL: the first bad line ends it. */
static int
parse_text(struct envrules *rules, struct buf *text,
    const struct envrules_visitor *visitor, unsigned *line_out,
    struct error *err)
{
	char *at = text->data, *end = text->data + text->length;

	for (*line_out = 1; at < end; ++*line_out) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t count = rules->count;
		int result = parse_bytes(
		    rules, at, newline != NULL ? newline : end, err);

		if (result == -1 && visitor == NULL)
			return -1;
		if (result == -1)
			visitor->fault(*line_out, err->text, visitor->context);
		else if (visitor != NULL)
			tell(rules, count, *line_out, visitor);
		at = newline != NULL ? newline + 1 : end;
	}
	return 0;
}

int
envrules_load(const char *path, struct envrules **rules_out, struct error *err)
{
	struct envrules *rules = NULL;
	struct buf text;
	unsigned line;
	int result;

	buf_init(&text);
	result = file_read(path, FILE_MAX_BYTES, &text, err);
	if (result == 1) {
		rules = xcalloc(1, sizeof(*rules));
		if (parse_text(rules, &text, NULL, &line, err) == -1) {
			result = error_context(err, "%s:%u", path, line);
			envrules_free(&rules);
		}
	}
	buf_release(&text);
	*rules_out = rules;
	return result;
}

int
envrules_walk(
    const char *path, const struct envrules_visitor *visitor, struct error *err)
{
	struct envrules *rules = xcalloc(1, sizeof(*rules));
	struct buf text;
	struct error reason;
	unsigned line;
	int result;

	buf_init(&text);
	result = file_read(path, FILE_MAX_BYTES, &text, err);
	if (result == 1)
		parse_text(rules, &text, visitor, &line, &reason);
	buf_release(&text);
	envrules_free(&rules);
	return result;
}

void
envrules_free(struct envrules **rules_in)
{
	struct envrules *rules = *rules_in;
	size_t i, j;

	if (rules == NULL)
		return;
	for (i = 0; i < rules->count; i++) {
		struct rule *rule = &rules->rules[i];

		for (j = 0; j < rule->count; j++) {
			free(rule->assignments[j].name);
			free(rule->assignments[j].value);
		}
		free(rule->assignments);
		free(rule->pattern);
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
	size_t i, j;

	if (rules == NULL)
		return 0;
	for (i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];

		if (!wildmat_match(rule->pattern, subject))
			continue;
		matched++;
		for (j = 0; j < rule->count; j++)
			vars_set(vars, rule->assignments[j].name,
			    rule->assignments[j].value);
	}
	return matched;
}
