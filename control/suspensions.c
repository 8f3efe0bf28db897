/* SPDX-License-Identifier: ISC */
/* Lines of the setting suspended. */
#include "control/suspensions.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"

/* The end of the word that begins at text. */
static const char *
word_end(const char *text)
{
	return text + strcspn(text, " \t");
}

static const char *
skip_blanks(const char *text)
{
	return text + strspn(text, " \t");
}

int
suspension_read(
    const char *line, struct suspension *suspension_out, struct error *err)
{
	const char *domain_end = word_end(line);
	const char *until = skip_blanks(domain_end);
	const char *until_end = word_end(until);
	size_t until_length = (size_t)(until_end - until);
	char *domain = xstrndup(line, (size_t)(domain_end - line));
	uint64_t seconds = 0;
	bool is_well;

	*suspension_out = (struct suspension){ .until_s = 0 };
	is_well = idn_domain_canonical(domain, suspension_out->domain) &&
	    suspension_out->domain[0] != '\0';
	free(domain);
	if (!is_well)
		return error_set(err,
		    "'%s' does not begin with a domain; write DOMAIN UNTIL "
		    "REASON",
		    line);
	if (!(until_length == 1 && *until == '-') &&
	    !(scan_u64n(until, until_length, INT64_MAX, &seconds) &&
		seconds > 0))
		return error_set(err,
		    "'%s' has no Unix time, or -, behind the domain; write "
		    "DOMAIN UNTIL REASON",
		    line);
	suspension_out->until_s = (int64_t)seconds;
	suspension_out->reason = skip_blanks(until_end);
	return 0;
}

void
suspensions_init(struct suspensions *suspensions, const struct strlist *lines)
{
	*suspensions = (struct suspensions){ .all = xcalloc(lines->count + 1,
						 sizeof(*suspensions->all)) };
	for (size_t i = 0; i < lines->count; i++) {
		struct suspensions *to = suspensions;
		struct error unused;

		strlist_add(&to->lines, lines->items[i]);
		to->count += suspension_read(to->lines.items[i],
				 &to->all[to->count], &unused) == 0;
	}
}

void
suspensions_release(struct suspensions *suspensions)
{
	strlist_release(&suspensions->lines);
	free(suspensions->all);
	*suspensions = (struct suspensions){ .all = NULL };
}

const struct suspension *
suspensions_find(
    const struct suspensions *suspensions, const char *domain, int64_t now_s)
{
	for (size_t i = 0; i < suspensions->count; i++) {
		const struct suspension *suspension = &suspensions->all[i];

		if (strcmp(suspension->domain, domain) == 0 &&
		    (suspension->until_s == 0 || now_s < suspension->until_s))
			return suspension;
	}
	return NULL;
}
