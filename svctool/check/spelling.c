/* SPDX-License-Identifier: ISC */
/* Is a variable that nothing reads the misspelling of one? */
#include <stdlib.h>
#include <string.h>

#include "control/settings.h"
#include "svctool/check/variable.h"

enum { NAME_MAX_LENGTH = 40, SHORT = 6, DISTANCE_MAX = 2 };

/* Variables that are no settings. */
static const char *const others[] = { "ASSIGNDIR", "CERTDIR", "CONTROLDIR",
	"DOMAINDIR", "LISTEN", "MAX_RCPT_ERRCOUNT", "MQMAIL_HOME",
	"MQMAIL_USER", "NULLQUEUE", "OPTIONS", "OVERQUOTA_MAILSIZE",
	"QMAILQUEUE", "QUEUEDIR", "QUEUEPROG", "RELAYCLIENT", "SERVERCERT",
	"SMTPS", "SOFT_FILES", "TCPRULES" };

enum { OTHER_COUNT = sizeof(others) / sizeof(others[0]) };

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters must be put in, left out or changed (Levenshtein). */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_LENGTH + 1];
	size_t length = strlen(b);

	for (unsigned j = 0; j <= length; j++)
		row[j] = j;
	for (unsigned i = 1; *a != '\0'; a++, i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			unsigned above = row[j];

			row[j] = least(least(above, row[j - 1]) + 1,
			    corner + (*a != b[j - 1]));
			corner = above;
		}
	}
	return row[length];
}

static const char *
known(size_t i)
{
	return i < OTHER_COUNT ? others[i] : setting_rows[i - OTHER_COUNT].env;
}

const char *
check_spelling(const char *name)
{
	const char *found = NULL;

	if (strlen(name) < SHORT || strlen(name) > NAME_MAX_LENGTH)
		return NULL;
	for (size_t i = 0; i < OTHER_COUNT + SETTING_COUNT; i++) {
		const char *other = known(i);

		if (strcmp(other, name) == 0)
			return NULL;
		if (strlen(other) >= SHORT &&
		    strlen(other) <= NAME_MAX_LENGTH &&
		    distance(name, other) <= DISTANCE_MAX)
			found = other;
	}
	return found;
}
