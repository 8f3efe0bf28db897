/* SPDX-License-Identifier: ISC */
/*
 * A line of smtproutes (first byte even), of qmtproutes (odd), and the same as
 * one of bindroutes, domainbindings and helohostbyip: what is taken is whole,
 * and what is refused has a reason and a remedy.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/bindings.h"
#include "control/smtproutes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_route(const struct smtproute *route, const char *key)
{
	const char *at = strrchr(key, '@');

	assert(idn_is_ascii(at == NULL ? key : at) && route->port != 0);
	assert(route->host[strcspn(route->host, " \t@/\"")] == '\0');
	assert(!route->is_address || route->host[0] != '\0');
	assert((route->user[0] == '\0') == (route->secret[0] == '\0'));
	assert(route->transport != SMTPROUTE_QMTP || route->user[0] == '\0');
	assert(route->penalty >= SMTPROUTE_UNSAID &&
	    route->penalty <= SMTPROUTE_PENALTY_MAX);
}

static void
check_reason(int result, const struct error *err)
{
	assert(result == 0 || strstr(err->text, "; ") != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { "" };
	struct smtproute route;
	char key[SMTPROUTE_KEY_SIZE];
	char *line;
	int result;

	if (size == 0)
		return 0;
	line = xstrndup((const char *)data + 1, size - 1);
	result = smtproute_read(line, data[0] & 1, key, &route, &err);
	if (result == 0)
		check_route(&route, key);
	check_reason(result, &err);
	check_reason(binding_judge(line, data[0] & 1, &err), &err);
	check_reason(binding_judge_helo(line, &err), &err);
	free(line);
	return 0;
}
