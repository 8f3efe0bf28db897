/* SPDX-License-Identifier: ISC */
/* Jobs for the keeper, and what they leave.  Include after cmocka.h. */
#ifndef TESTS_UNIT_KEEP_BENCH_H
#define TESTS_UNIT_KEEP_BENCH_H

#include "queue/keep.h"
#include "tests/unit/queue_folder.h"

#define KEEP_RECORD_TODO "u1\0p2\0Fs@x\0Ta@b"

/* An info record, and where the digits of its attempts are. */
#define KEEP_RECORD_INFO "Fs@x\0A000000"
enum { KEEP_ATTEMPT_AT = 6 };

static inline struct keep_job *
keep_todo_job(uint64_t id, const char *body)
{
	struct keep_job *job = keep_job_new(KEEP_TODO, id);

	buf_add(&job->text[KEEP_RECORD], KEEP_RECORD_TODO,
	    sizeof(KEEP_RECORD_TODO));
	job->has_file = body == NULL;
	if (body != NULL)
		buf_adds(&job->text[KEEP_BODY], body);
	job->birth = 1000000;
	return job;
}

static inline struct keep_job *
keep_remember_job(uint64_t id, const char *body, const char *note)
{
	struct keep_job *job = keep_job_new(KEEP_REMEMBER, id);

	buf_add(&job->text[KEEP_RECORD], KEEP_RECORD_INFO,
	    sizeof(KEEP_RECORD_INFO));
	buf_add(&job->text[KEEP_LOCAL], "Ta\0Tb", 6);
	buf_add(&job->text[KEEP_REMOTE], "Tc", 3);
	buf_adds(&job->text[KEEP_BOUNCE], note);
	job->has_file = body == NULL;
	if (body != NULL)
		buf_adds(&job->text[KEEP_BODY], body);
	job->birth = 1000000;
	job->retry_at[0] = 2000000;
	return job;
}

/* Marks b, the second one in local/. */
static inline struct keep_job *
keep_mark_job(uint64_t id, const char *note)
{
	struct keep_job *job = keep_job_new(KEEP_MARK, id);

	job->channel = QUEUE_LOCAL;
	job->marks = calloc(1, sizeof(*job->marks));
	job->marks[0] = 3;
	job->mark_count = 1;
	buf_adds(&job->text[KEEP_BOUNCE], note);
	return job;
}

static inline struct keep_job *
keep_channel_end_job(uint64_t id, enum queue_folder channel)
{
	struct keep_job *job = keep_job_new(KEEP_CHANNEL_END, id);

	job->channel = channel;
	return job;
}

/* Which folders have a file of the message: mess, intd, todo, ..., pid. */
static inline void
expect_folders(const struct queue_dir *dir, uint64_t id, const char *wanted)
{
	static const struct {
		enum queue_folder folder;
		char letter;
	} rows[] = { { QUEUE_MESS, 'm' }, { QUEUE_INTD, 'n' },
		{ QUEUE_TODO, 't' }, { QUEUE_INFO, 'i' }, { QUEUE_LOCAL, 'l' },
		{ QUEUE_REMOTE, 'r' }, { QUEUE_BOUNCE, 'b' },
		{ QUEUE_PID, 'p' } };
	char got[16] = "";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (has_file(dir, rows[i].folder, id, ""))
			got[strlen(got)] = rows[i].letter;
	assert_string_equal(got, wanted);
}

static inline void
expect_mtime(const struct queue_dir *dir, enum queue_folder kind, uint64_t id,
    time_t wanted)
{
	int fd = queue_open_file(dir, kind, id, O_RDONLY);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mtime, wanted);
	close(fd);
}

#endif
