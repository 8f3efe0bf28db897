/* SPDX-License-Identifier: ISC */
/* One control file, of the setting that the first byte says. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/settings.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
write_file(const char *name, const void *data, size_t size)
{
	char *path = xasprintf("%s/%s", scratch_dir(), name);
	FILE *file = fopen(path, "w");

	assert(file != NULL);
	fwrite(data, 1, size, file);
	fclose(file);
	free(path);
}

static void
remove_file(const char *name)
{
	char *path = xasprintf("%s/%s", scratch_dir(), name);

	unlink(path);
	free(path);
}

/* What was loaded would pass the checks once more. */
static void
check(const struct settings *settings, enum setting_id id)
{
	const struct setting_row *row = &setting_rows[id];
	const struct strlist *list;
	uint64_t number;
	size_t i;

	switch (row->type) {
	case SETTING_NUMBER:
		number = settings_number(settings, id);
		assert(number >= row->min && number <= row->max);
		break;
	case SETTING_FLAG:
		settings_flag(settings, id);
		break;
	case SETTING_TEXT:
		assert(settings_check_value(
			   id, settings_text(settings, id), NULL) == 0);
		break;
	case SETTING_RULES:
		assert(settings_text(settings, id)[0] == '/');
		break;
	case SETTING_LIST:
		list = settings_list(settings, id);
		for (i = 0; i < list->count; i++)
			assert(settings_check_value(id, list->items[i], NULL) ==
			    0);
		assert(list->count == 0 || list->items[i] == NULL);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings *settings;
	struct error err = { "" };
	const char *name;
	enum setting_id id;

	if (size == 0)
		return 0;
	id = data[0] % SETTING_COUNT;
	name = setting_rows[id].name;
	if (setting_rows[id].type == SETTING_RULES)
		name = setting_rows[id].standard;
	write_file("me", "mail.example.org\n", 17);
	write_file(name, data + 1, size - 1);
	settings = settings_load(scratch_dir(), NULL, NULL, &err);
	if (settings != NULL) {
		assert(settings_is_set(settings, id));
		check(settings, id);
	} else
		assert(strstr(err.text, name) != NULL);
	settings_free(&settings);
	remove_file(name);
	return 0;
}
