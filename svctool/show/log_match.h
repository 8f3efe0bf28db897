/* SPDX-License-Identifier: ISC */
/*
 * Which log lines are asked for.  A message is followed from the listener's
 * line over the queue's to its deliveries' results, whose lines have the
 * delivery's number alone.
 */
#ifndef SVCTOOL_SHOW_LOG_MATCH_H
#define SVCTOOL_SHOW_LOG_MATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/uuid.h"
#include "svctool/show/log_fields.h"
#include "svctool/show/log_reader.h"

struct log_filter {
	uint64_t number;  /* of a message; 0: any */
	struct uuid uuid; /* none: any */
	char *address;    /* as log_word() writes it; NULL: any */
	char *queue;      /* NULL: any */
};

struct log_match;

/* The filter is borrowed. */
struct log_match *log_match_new(const struct log_filter *filter);
void log_match_free(struct log_match **match);

/* A UUID or a number, of a message.  0 or -1. */
int log_filter_set_id(
    struct log_filter *filter, const char *word, struct error *err);

/*
 * Is the line asked for?  Lines come in their order.  A message's first line,
 * "new msg N", comes before the one that says its UUID: then *first_when_out
 * is when it came, and it is to be shown in front; else has no seconds.
 */
bool log_match_line(struct log_match *match, const char *service,
    const struct log_entry *entry, struct log_fields *fields_out,
    struct timespec *first_when_out);

#endif
