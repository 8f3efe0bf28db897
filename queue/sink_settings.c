/* SPDX-License-Identifier: ISC */
/* The settings that say where new mail goes. */
#include "queue/sink_settings.h"

#include "base/test_time.h"

void
sink_options_set(struct sink_options *options, const struct settings *settings,
    const struct home *home)
{
	const char *base = settings_text(settings, SETTING_queue_base);
	const char *extra = settings_text(settings, SETTING_extraqueue);

	*options = (struct sink_options){
		.queue_base = base[0] != '\0' ? base : home->queue,
		.queue_count = (unsigned)settings_number(
		    settings, SETTING_queue_count),
		.queue_start = (unsigned)settings_number(
		    settings, SETTING_queue_start),
		.slice_ms = (unsigned)test_time_ms("SLICE_MS",
		    settings_number(settings, SETTING_queue_slice) * 1000),
		.min_free_bytes = settings_number(settings, SETTING_min_free),
		.extra_recipient = extra[0] != '\0' ? extra : NULL
	};
}
