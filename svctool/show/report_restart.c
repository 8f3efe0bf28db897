/* SPDX-License-Identifier: ISC */
/* Which services end again and again? */
#include "svctool/show/report.h"

#include <stdlib.h>

#include "svctool/run/proc.h"
#include "svctool/run/ready.h"
#include "svctool/wait.h"

enum { YOUNG_S = 3 };

bool
report_is_young(const struct report_service *service, time_t now)
{
	const struct supervise_state *log = &service->log_state;

	return service->state.is_supervised && service->state.pid != 0 &&
	    service->state.since <= now &&
	    now - service->state.since < YOUNG_S &&
	    (log->pid == 0 || service->state.since - log->since >= YOUNG_S);
}

/* Has the process that was seen ended? */
static bool
has_ended(const struct node *node, const struct report_service *service)
{
	struct supervise_state state;

	return !proc_is_alive(service->state.pid) ||
	    (ready_read_state(node, service->name, &state, NULL) == 0 &&
		state.pid != service->state.pid);
}

void
report_find_restarting(const struct node *node, struct report *report)
{
	int64_t deadline = clock_ms() + YOUNG_S * 1000;

	for (size_t i = 0; i < report->service_count; i++) {
		struct report_service *service = &report->services[i];

		while (report_is_young(service, time(NULL)) &&
		    !(service->is_restarting = has_ended(node, service)) &&
		    wait_more(deadline))
			;
	}
}
