/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/report_json.c. */
#include "svctool/show/report.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "tests/unit/capture.h"
#include "tests/unit/report.h"

/* What is printed, as compact JSON; the caller frees. */
static char *
print(const struct report *report)
{
	struct capture capture = capture_begin(1);
	json_t *json;
	char *text;

	report_print_json(report);
	text = capture_end(&capture);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL)
		fail_msg("no JSON: '%s'", text);
	free(text);
	text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(6));
	json_decref(json);
	return text;
}

static void
all_of_it(void **state)
{
	char *got = print(&a_report);

	(void)state;
	assert_string_equal(got,
	    "{\"home\":\"/n\",\"ok\":false,\"svscan\":77,\"services\":["
	    "{\"name\":\"queue1\",\"state\":\"up\",\"supervised\":true,"
	    "\"pid\":258,\"since\":86400,\"ready\":true,\"off\":false,"
	    "\"log\":true,\"log_state\":\"up\",\"ok\":true},"
	    "{\"name\":\"qmail-smtpd.25\",\"state\":\"down\",\"supervised\":"
	    "true,\"pid\":0,\"since\":0,\"ready\":false,\"off\":false,"
	    "\"log\":false,\"log_state\":\"stopped\",\"ok\":false,\"listen\":"
	    "\"127.0.0.1:25\",\"problem\":\"it is \xef\xbf\xbd down\","
	    "\"log_problem\":\"its logger was stopped\"},"
	    "{\"name\":\"other\",\"state\":\"up\",\"supervised\":false,"
	    "\"pid\":0,\"since\":77,\"ready\":true,\"off\":true,\"log\":false,"
	    "\"log_state\":\"-\",\"ok\":true}],\"queues\":["
	    "{\"name\":\"queue1\",\"state\":\"up\",\"ok\":true,\"held_local\":"
	    "false,\"held_remote\":false,\"pid\":300,\"since\":1000,"
	    "\"backlog\":12,\"backlog_todo\":5,\"accepted\":40,\"finished\":28,"
	    "\"delivered\":30,\"deferred\":4,\"failed\":2,\"local_running\":3,"
	    "\"local_limit\":10,\"remote_running\":1,\"remote_limit\":20,"
	    "\"commit_latency_us\":1550,\"commit_batch\":3.5,\"free_bytes\":"
	    "1536,\"min_free_bytes\":100,\"workers\":2,"
	    "\"lanes_backing_off\":1,\"journal_full\":true,"
	    "\"journal_used_bytes\":600,\"journal_size_bytes\":800,"
	    "\"damaged\":3,\"damaged_ids\":[8,9],\"held_lanes\":[]},"
	    "{\"name\":\"slowq\",\"state\":\"full\",\"ok\":false,"
	    "\"held_local\":false,\"held_remote\":false,\"pid\":0,\"since\":0,"
	    "\"backlog\":0,\"backlog_todo\":0,\"accepted\":0,\"finished\":0,"
	    "\"delivered\":0,\"deferred\":0,\"failed\":0,\"local_running\":0,"
	    "\"local_limit\":0,\"remote_running\":0,\"remote_limit\":0,"
	    "\"commit_latency_us\":0,\"commit_batch\":0.0,\"free_bytes\":7,"
	    "\"min_free_bytes\":1000,\"workers\":0,"
	    "\"lanes_backing_off\":0,\"journal_full\":false,"
	    "\"journal_used_bytes\":0,\"journal_size_bytes\":0,"
	    "\"damaged\":0,\"damaged_ids\":[],\"held_lanes\":[],\"problem\":\"takes no new "
	    "mail\"}],\"queue_problem\":\"1 of 2 queues takes no new mail: "
	    "slowq (full)\"}");
	free(got);
}

static void
names_that_are_no_utf8(void **state)
{
	struct report_service service = { .name = REPORT_TEXT("s\xff"),
		.listen = REPORT_TEXT("\xff"),
		.problem = REPORT_TEXT(""),
		.log_problem = REPORT_TEXT("") };
	struct report_queue queue = { .name = REPORT_TEXT("q\xff"),
		.problem = REPORT_TEXT("") };
	const struct report report = { .home = REPORT_TEXT("/\xff"),
		.services = &service,
		.service_count = 1,
		.queues = &queue,
		.queue_count = 1 };
	char *got = print(&report);

	(void)state;
	if (strstr(got, "\"home\":\"/\xef\xbf\xbd\"") == NULL ||
	    strstr(got, "\"name\":\"s\xef\xbf\xbd\"") == NULL ||
	    strstr(got, "\"listen\":\"\xef\xbf\xbd\"") == NULL ||
	    strstr(got, "\"name\":\"q\xef\xbf\xbd\"") == NULL)
		fail_msg("got '%s'", got);
	free(got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it),
		cmocka_unit_test(names_that_are_no_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
