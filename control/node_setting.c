/* SPDX-License-Identifier: ISC */
/* One setting of the node by itself. */
#include "control/node_setting.h"

#include <stdlib.h>

#include "base/mem.h"

struct taking {
	struct strlist *lines;
	bool is_bad;
	struct error *err;
};

static void
take_setting_line(unsigned line, const char *value, void *context)
{
	struct taking *taking = context;

	(void)line;
	strlist_add(taking->lines, value);
}

static void
take_setting_fault(unsigned line, const char *reason, void *context)
{
	struct taking *taking = context;

	(void)line;
	taking->is_bad = true;
	error_set(taking->err, "%s", reason);
}

int
node_setting_lines(const char *control_dir, enum setting_id id,
    struct strlist *lines, struct error *err)
{
	struct taking taking = { .lines = lines, .err = err };
	const struct setting_visitor visitor = { take_setting_line,
		take_setting_fault, &taking };
	OWN_TEXT path = xasprintf("%s/%s", control_dir, setting_rows[id].name);

	if (settings_walk(id, path, &visitor, err) == -1)
		return -1;
	return taking.is_bad ? error_context(err, "'%s'", path) : 0;
}

int
node_setting_text(const char *control_dir, enum setting_id id,
    struct buf *text_out, struct error *err)
{
	const struct setting_row *row = &setting_rows[id];
	const char *value = *row->env == '\0' ? NULL : getenv(row->env);
	struct strlist lines = { NULL, 0 };
	int result = 0;

	if (value == NULL)
		result = node_setting_lines(control_dir, id, &lines, err);
	buf_reset(text_out);
	buf_adds(text_out,
	    value != NULL         ? value
		: lines.count > 0 ? lines.items[0]
				  : row->standard);
	strlist_release(&lines);
	return result;
}

int
node_setting_address(const char *control_dir, enum setting_id id,
    struct port_address *address_out, struct error *err)
{
	AUTO(buf_release) struct buf value = BUF_INIT;

	if (node_setting_text(control_dir, id, &value, err) == -1)
		return -1;
	if (*value.data == '\0')
		return 0;
	return port_parse(value.data, "0.0.0.0", address_out, err) == -1
	    ? error_context(err, "%s", setting_rows[id].name)
	    : 1;
}
