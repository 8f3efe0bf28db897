/* SPDX-License-Identifier: ISC */
/* What an administrator may do. */
#include "adminsrv/server/rights.h"

#include <fnmatch.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "adminsrv/server/words.h"
#include "base/mem.h"

void
admin_release(struct admin *admin)
{
	free(admin->name);
	if (admin->hash != NULL)
		explicit_bzero(admin->hash, strlen(admin->hash));
	free(admin->hash);
	strlist_release(&admin->domains);
	for (size_t i = 0; i < admin->right_count; i++) {
		free(admin->rights[i].program);
		free(admin->rights[i].pattern);
	}
	free(admin->rights);
	*admin = (struct admin){ .name = NULL };
}

void
admin_add_right(struct admin *admin, const char *program, const char *pattern)
{
	admin->rights = mem_room(
	    admin->rights, admin->right_count, sizeof(*admin->rights));
	admin->rights[admin->right_count++] = (struct right){
		.program = xstrdup(program), .pattern = xstrdup(pattern)
	};
}

void
admin_copy(const struct admin *admin, struct admin *copy_out)
{
	*copy_out = (struct admin){ .name = xstrdup(admin->name),
		.hash = xstrdup(admin->hash),
		.is_active = admin->is_active,
		.is_locked = admin->is_locked };
	for (size_t i = 0; i < admin->domains.count; i++)
		strlist_add(&copy_out->domains, admin->domains.items[i]);
	for (size_t i = 0; i < admin->right_count; i++)
		admin_add_right(copy_out, admin->rights[i].program,
		    admin->rights[i].pattern);
}

/* The whole line; what is no expression matches nothing. */
static bool
matches_regex(const char *pattern, const char *line)
{
	OWN_TEXT whole = xasprintf("^(%s)$", pattern);
	regex_t regex;
	bool is_match;

	if (regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	is_match = regexec(&regex, line, 0, NULL, 0) == 0;
	regfree(&regex);
	return is_match;
}

static bool
matches_right(const struct right *right, char *const *argv)
{
	AUTO(buf_release) struct buf line = BUF_INIT;
	const char *qregex = getenv("QREGEX");

	if (strcmp(right->pattern, "*") == 0)
		return true;
	buf_init(&line);
	words_join(&line, argv + 1);
	return qregex != NULL && *qregex != '\0'
	    ? matches_regex(right->pattern, line.data)
	    : fnmatch(right->pattern, line.data, 0) == 0;
}

bool
admin_may(const struct admin *admin, const struct command *command,
    char *const *argv, struct error *err)
{
	for (size_t i = 0; i < admin->right_count; i++)
		if (strcmp(admin->rights[i].program, command->name) == 0)
			return matches_right(&admin->rights[i], argv)
			    ? command_check(command, argv, err) == 0 &&
				(admin->domains.count == 0 ||
				    command_check_limited(command, argv,
					&admin->domains, err) == 0)
			    : error_set(err,
				  "its right has a pattern that the arguments "
				  "do not match") == 0;
	return error_set(err, "no right names '%s'", command->name) == 0;
}
