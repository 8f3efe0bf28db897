/* SPDX-License-Identifier: ISC */
/* Jobs that a program sends instead of sessions (QMAILREMOTE). */
#include <stdlib.h>

#include "base/mem.h"
#include "remote/program.h"
#include "remote/spawner_private.h"

/* A program that runs for a job. */
struct program_work {
	struct work work;
	struct spawner *spawner;
	struct rules_in_use *rules;
	struct task *task;
};

/* As of a session: twice its longest time-out. */
static int
watchdog_ms(const struct settings *settings)
{
	uint64_t connect_s = settings_number(settings, SETTING_timeoutconnect);
	uint64_t remote_s = settings_number(settings, SETTING_timeoutremote);

	return (int)(connect_s > remote_s ? connect_s : remote_s) * 2 * 1000;
}

/* In a thread. */
static void
run_for_task(struct work *work)
{
	struct program_work *run = (struct program_work *)work;
	const struct rules *rules = run->rules->rules;
	const struct task *task = run->task;
	const struct remote_program program = { .path = rules_program(rules),
		.domain = task->job.lane,
		.uuid = &task->job.uuid,
		.timeout_ms = watchdog_ms(rules_settings(rules)) };
	const struct session_message message = task_message(task);

	remote_program_send(&program, &message, task->results);
}

static void
task_was_run(struct work *work)
{
	struct program_work *run = (struct program_work *)work;

	run->spawner->underway--;
	task_done(run->task);
	rules_drop(run->rules);
	free(run);
}

void
program_run_task(struct task *task)
{
	struct program_work *run = xcalloc(1, sizeof(*run));

	run->spawner = task->lane->domain->spawner;
	run->rules = run->spawner->rules;
	run->rules->users++;
	run->task = task;
	run->spawner->underway++;
	work_pool_post(
	    run->spawner->senders, &run->work, run_for_task, task_was_run);
}
