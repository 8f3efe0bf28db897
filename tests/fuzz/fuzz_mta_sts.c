/* SPDX-License-Identifier: ISC */
/*
 * The text of an MTA-STS policy, and the same as a TXT record and as a line of
 * tlspolicy: what is taken is whole.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/tlspolicy.h"
#include "remote/mta_sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_policy(struct mta_sts_policy *policy)
{
	size_t i;

	assert(policy->max_age_s <= MTA_STS_AGE_MAX_S);
	assert(policy->mode == MTA_STS_NONE || policy->mx.count > 0);
	for (i = 0; i < policy->mx.count; i++) {
		const char *mx = policy->mx.items[i];

		assert(mx[strcspn(mx, "/ \t\r\n")] == '\0');
		assert(mx[0] == '*' || mta_sts_has_host(policy, mx));
	}
	mta_sts_policy_release(policy);
}

static void
check_line(const char *text)
{
	struct tlspolicy line;
	struct error err = { "" };

	if (tlspolicy_read(text, &line, &err) == 0) {
		assert(line.key[0] != '\0');
		tlspolicy_release(&line);
	} else
		assert(strstr(err.text, "; ") != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	char id[MTA_STS_ID_SIZE];
	struct mta_sts_policy policy;
	struct error err;

	if (mta_sts_read((const char *)data, size, &policy, &err) == 0)
		check_policy(&policy);
	if (mta_sts_read_record(text, id))
		assert(id[0] != '\0' && strlen(id) < sizeof(id));
	check_line(text);
	free(text);
	return 0;
}
