/* SPDX-License-Identifier: ISC */
/* The settings that say where new mail goes. */
#ifndef QUEUE_SINK_SETTINGS_H
#define QUEUE_SINK_SETTINGS_H

#include "control/home.h"
#include "control/settings.h"
#include "queue/sink.h"

/*
 * Options from queue_base, queue_count, queue_start, queue_slice, min_free and
 * extraqueue.  Their texts are borrowed from settings and home.
 */
void sink_options_set(struct sink_options *options,
    const struct settings *settings, const struct home *home);

#endif
