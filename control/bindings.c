/* SPDX-License-Identifier: ISC */
/* Our address and name for a connection to another host. */
#include "control/bindings.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "control/network.h"

enum { KEY_MAX = 900 };

static const char domain_file[] = "outgoingip.";

/* Our addresses, used in turn. */
struct pool {
	struct network *items;
	size_t count;
	atomic_uint turn;
};

struct row {
	char *key;             /* canonical */
	struct network remote; /* of bindroutes; family AF_UNSPEC: by key */
	struct pool pool;
};

struct table {
	struct row **rows; /* in the order of their lines */
	size_t count;
};

struct bindings {
	struct table routes, senders, domains;
	struct pool standard; /* outgoingip */
	char helo[IDN_DOMAIN_SIZE];
	struct helo_row {
		struct network address;
		char name[IDN_DOMAIN_SIZE];
	} * helos;
	size_t helo_count;
};

/* -- lines */

/* What stands in front of the ':' that ends the key; "[...]" may have more. */
static size_t
key_length(const char *line)
{
	const char *end = *line == '[' ? strchr(line, ']') : NULL;
	size_t skipped = end == NULL ? 0 : (size_t)(end - line);

	return skipped + strcspn(line + skipped, ":");
}

static bool
add_addresses(const char *text, struct pool *pool)
{
	for (;;) {
		size_t length = strcspn(text, ",");
		struct network *last;

		pool->items = xrealloc(
		    pool->items, (pool->count + 1) * sizeof(*pool->items));
		last = &pool->items[pool->count];
		if (memchr(text, '/', length) != NULL ||
		    !network_read(text, length, last))
			return false;
		pool->count++;
		if (text[length] == '\0')
			return true;
		text += length + 1;
	}
}

/* As IndiMail has it: "192.0.2.25", or "10.1.", all that begin so. */
static bool
read_dotted(const char *text, struct network *network)
{
	size_t length = strlen(text), dots = 0;
	AUTO(mem_free) char *whole = NULL;

	for (size_t i = 0; i < length; i++)
		dots += text[i] == '.';
	if (text[length - 1] != '.')
		return network_read(text, length, network);
	if (dots > 3)
		return false;
	whole = xasprintf(
	    "%s%s0/%u", text, &"0.0."[(dots - 1) * 2], (unsigned)dots * 8);
	return network_read(whole, strlen(whole), network);
}

/* The key in one spelling: the local part of a mailbox stays but for case. */
static bool
read_row_key(const char *text, bool is_sender, struct row *row)
{
	const char *at = is_sender ? strrchr(text, '@') : NULL;
	const char *name = at == NULL ? text : at + 1;
	char domain[IDN_DOMAIN_SIZE];

	if (!is_sender && *text == '[') {
		size_t length = strlen(text);

		row->key = xstrdup("");
		if (text[length - 1] != ']' || length < 2)
			return false;
		return network_read(text, length, &row->remote) ||
		    /* [NETWORK/BITS] */
		    network_read(text + 1, length - 2, &row->remote);
	}
	if (!is_sender && *text != '\0' &&
	    text[strspn(text, "0123456789.")] == '\0') {
		row->key = xstrdup("");
		return read_dotted(text, &row->remote);
	}
	if (strlen(text) > KEY_MAX ||
	    name[strcspn(name, " \t@<>()[]\\,;\"/")] != '\0' ||
	    !idn_domain_canonical(name, domain) ||
	    (at != NULL && (at == text || *domain == '\0')))
		return false;
	row->key = xasprintf("%.*s%s", (int)(name - text), text, domain);
	ascii_lower(row->key, row->key, strlen(row->key));
	return true;
}

static void
row_free(struct row **row)
{
	if (*row == NULL)
		return;
	free((*row)->key);
	free((*row)->pool.items);
	free(*row);
	*row = NULL;
}

static struct row *
read_row(const char *line, bool is_sender, struct error *err)
{
	size_t length = key_length(line);
	AUTO(row_free) struct row *row = xcalloc(1, sizeof(*row));
	AUTO(mem_free) char *key = xstrndup(line, length);
	struct row *result = row;

	if (line[length] != ':' || !read_row_key(key, is_sender, row)) {
		error_set(err,
		    "'%.60s' does not begin with %s and ':'; write for example "
		    "example.org:192.0.2.1",
		    line,
		    is_sender ? "a sender's mailbox or domain"
			      : "a domain or [NETWORK/BITS]");
		return NULL;
	}
	if (line[length + 1] != '\0' &&
	    !add_addresses(line + length + 1, &row->pool)) {
		error_set(err,
		    "'%.60s' is not an address of ours, or several with ',' "
		    "between them; write for example 192.0.2.1,192.0.2.2",
		    line + length + 1);
		return NULL;
	}
	row = NULL; /* now the caller's */
	return result;
}

int
binding_judge(const char *line, bool is_sender, struct error *err)
{
	AUTO(row_free) struct row *row = read_row(line, is_sender, err);

	return row == NULL ? -1 : 0;
}

static int
read_helo(const char *line, struct helo_row *row, struct error *err)
{
	const char *colon = strrchr(line, ':');

	if (colon == NULL || memchr(line, '/', (size_t)(colon - line)) ||
	    !network_read(line, (size_t)(colon - line), &row->address) ||
	    colon[1] == '\0' ||
	    colon[1 + strcspn(colon + 1, " \t@<>()[]\\,;\"")] != '\0' ||
	    !idn_domain_canonical(colon + 1, row->name))
		return error_set(err,
		    "'%.60s' is not an address of ours with a name; write for "
		    "example 192.0.2.1:out1.example.org",
		    line);
	return 0;
}

int
binding_judge_helo(const char *line, struct error *err)
{
	struct helo_row row;

	return read_helo(line, &row, err);
}

/* -- tables */

static void
add_row(struct table *table, struct row *row)
{
	table->rows = xrealloc(
	    table->rows, (table->count + 1) * sizeof(*table->rows));
	table->rows[table->count++] = row;
}

static void
read_table(
    const struct settings *settings, enum setting_id id, struct table *table)
{
	const struct strlist *list = settings_list(settings, id);

	for (size_t i = 0; i < list->count; i++) {
		/* The settings were checked by the same function. */
		struct row *row = read_row(
		    list->items[i], id == SETTING_domainbindings, NULL);

		if (row != NULL)
			add_row(table, row);
	}
}

static void
add_helo(struct bindings *bindings, const char *line)
{
	bindings->helos = mem_room(
	    bindings->helos, bindings->helo_count, sizeof(*bindings->helos));
	if (read_helo(line, &bindings->helos[bindings->helo_count], NULL) == 0)
		bindings->helo_count++;
}

static void
table_release(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		row_free(&table->rows[i]);
	free(table->rows);
}

/* A file that is read line by line. */
struct reading {
	void *into;
	const char *path;
	struct error *err;
	bool is_bad;
};

static void
take_address(unsigned line, const char *value, void *context)
{
	struct reading *reading = context;

	(void)line;
	add_addresses(value, reading->into);
}

static void
take_sender_row(unsigned line, const char *value, void *context)
{
	struct reading *reading = context;
	struct row *row = read_row(value, true, NULL);

	(void)line;
	if (row != NULL)
		add_row(reading->into, row);
}

static void
take_helo(unsigned line, const char *value, void *context)
{
	struct reading *reading = context;

	(void)line;
	add_helo(reading->into, value);
}

static void
take_fault(unsigned line, const char *reason, void *context)
{
	struct reading *reading = context;

	if (!reading->is_bad)
		error_set(
		    reading->err, "%s:%u: %s", reading->path, line, reason);
	reading->is_bad = true;
}

/* 1, 0 when there is no such file, or -1. */
static int
read_file(enum setting_id id, const char *path, void *into,
    void (*take)(unsigned line, const char *value, void *context),
    struct error *err)
{
	struct reading reading = { into, path, err, false };
	const struct setting_visitor visitor = { take, take_fault, &reading };
	int found = settings_walk(id, path, &visitor, err);

	return reading.is_bad ? -1 : found;
}

/* As in IndiMail the variable names a file in the folder.  1, 0: it is not
 * set, or -1. */
static int
read_named(const char *variable, enum setting_id id, const char *folder,
    void *into, void (*take)(unsigned line, const char *value, void *context),
    struct error *err)
{
	const char *name = getenv(variable);
	AUTO(mem_free) char *path = NULL;
	int found;

	if (name == NULL)
		return 0;
	path = *name == '/' ? xstrdup(name) : xasprintf("%s/%s", folder, name);
	found = read_file(id, path, into, take, err);
	if (found == 0)
		return error_set(err,
		    "%s: no such file; write it, or unset %s, which names it",
		    path, variable);
	return found;
}

static int
read_domain_file(struct bindings *bindings, const char *folder,
    const char *name, struct error *err)
{
	AUTO(mem_free) char *path = xasprintf("%s/%s", folder, name);
	AUTO(row_free) struct row *row = xcalloc(1, sizeof(*row));
	int found;

	if (!read_row_key(name + sizeof(domain_file) - 1, false, row))
		return error_set(
		    err, "%s: its name does not end in a domain", path);
	found = read_file(
	    SETTING_outgoingip, path, &row->pool, take_address, err);
	if (found == -1)
		return -1;
	if (found == 1) {
		add_row(&bindings->domains, row);
		row = NULL; /* now the table's */
	}
	return 0;
}

static int
read_domain_files(
    struct bindings *bindings, const char *folder, struct error *err)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	int result = 0;

	if (dir == NULL)
		return error_sys(err, "cannot read folder '%s'", folder);
	while (result == 0 && (entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;

		if (strncmp(name, domain_file, sizeof(domain_file) - 1) == 0 &&
		    name[strlen(name) - 1] != '~')
			result = read_domain_file(bindings, folder, name, err);
	}
	closedir(dir);
	return result;
}

/* domainbindings and helohostbyip.  0 or -1. */
static int
read_named_files(struct bindings *bindings, const char *folder,
    const struct settings *settings, struct error *err)
{
	const struct strlist *helos = settings_list(
	    settings, SETTING_helohostbyip);
	int found = read_named("DOMAINBINDINGS", SETTING_domainbindings, folder,
	    &bindings->senders, take_sender_row, err);

	if (found == -1)
		return -1;
	if (found == 0)
		read_table(
		    settings, SETTING_domainbindings, &bindings->senders);
	found = read_named("HELOHOSTBYIP", SETTING_helohostbyip, folder,
	    bindings, take_helo, err);
	for (size_t i = 0; found == 0 && i < helos->count; i++)
		add_helo(bindings, helos->items[i]);
	return found == -1 ? -1 : 0;
}

struct bindings *
bindings_new(
    const char *control_dir, const struct settings *settings, struct error *err)
{
	const struct strlist *ours = settings_list(
	    settings, SETTING_outgoingip);
	struct bindings *bindings = xcalloc(1, sizeof(*bindings));
	/* The variable takes the place of all these files. */
	bool is_variable = strncmp(
			       settings_source(settings, SETTING_outgoingip),
			       "variable", 8) == 0;

	read_table(settings, SETTING_bindroutes, &bindings->routes);
	for (size_t i = 0; i < ours->count; i++)
		add_addresses(ours->items[i], &bindings->standard);
	idn_domain_canonical(
	    settings_text(settings, SETTING_helohost), bindings->helo);
	if (read_named_files(bindings, control_dir, settings, err) == -1 ||
	    (!is_variable &&
		read_domain_files(bindings, control_dir, err) == -1))
		bindings_free(&bindings);
	return bindings;
}

bool
bindings_ask_sender(const struct bindings *bindings)
{
	return bindings->senders.count > 0;
}

void
bindings_free(struct bindings **bindings_in)
{
	struct bindings *bindings = *bindings_in;

	if (bindings == NULL)
		return;
	table_release(&bindings->routes);
	table_release(&bindings->senders);
	table_release(&bindings->domains);
	free(bindings->standard.items);
	free(bindings->helos);
	free(bindings);
	*bindings_in = NULL;
}

/* -- looking up */

static struct row *
find_key(const struct table *table, const char *key)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i]->remote.family == AF_UNSPEC &&
		    strcmp(table->rows[i]->key, key) == 0)
			return table->rows[i];
	return NULL;
}

/* Itself, then each ".suffix"; "" is not asked for. */
static struct row *
find_domain(const struct table *table, const char *domain)
{
	struct row *row = NULL;

	while (row == NULL && *domain != '\0') {
		row = find_key(table, domain);
		domain++;
		domain += strcspn(domain, ".");
	}
	return row;
}

/* The smallest network that has it. */
static struct row *
find_remote(const struct table *table, const struct sockaddr *remote)
{
	struct row *best = NULL;

	for (size_t i = 0; i < table->count; i++) {
		struct row *row = table->rows[i];

		if (row->remote.family != AF_UNSPEC &&
		    network_has(&row->remote, remote) &&
		    (best == NULL || row->remote.bits > best->remote.bits))
			best = row;
	}
	return best;
}

static struct row *
find_sender(const struct table *table, const char *sender)
{
	AUTO(mem_free) char *mailbox = NULL;
	const char *at = strrchr(sender, '@');
	char domain[IDN_DOMAIN_SIZE];
	struct row *row;

	if (*sender == '\0' || table->count == 0)
		return NULL;
	idn_domain_canonical(at == NULL ? "" : at + 1, domain);
	mailbox = xasprintf(
	    "%.*s%s", at == NULL ? 0 : (int)(at + 1 - sender), sender, domain);
	ascii_lower(mailbox, mailbox, strlen(mailbox));
	row = find_key(table, mailbox);
	if (row == NULL)
		row = find_domain(table, domain);
	return row != NULL ? row : find_key(table, "");
}

/* 0.0.0.0 and [::]: the system chooses. */
static bool
is_any(const struct network *address)
{
	static const unsigned char zero[sizeof(address->bytes)];

	return memcmp(address->bytes, zero, sizeof(zero)) == 0;
}

/* The next of that family. */
static void
take_turn(struct pool *pool, int family, struct binding *binding)
{
	size_t fitting = 0, turn;

	for (size_t i = 0; i < pool->count; i++)
		fitting += pool->items[i].family == family;
	if (fitting == 0)
		return;
	turn = atomic_fetch_add(&pool->turn, 1) % fitting;
	for (size_t i = 0; i < pool->count; i++)
		if (pool->items[i].family == family && turn-- == 0)
			binding->has_source = !is_any(&pool->items[i]) &&
			    network_address(
				&pool->items[i], 0, &binding->source);
}

static unsigned
row_number(const struct bindings *bindings, const struct row *row)
{
	const struct table *tables[] = { &bindings->routes, &bindings->senders,
		&bindings->domains };
	unsigned number = 2; /* 1: outgoingip */

	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < tables[i]->count; j++, number++)
			if (tables[i]->rows[j] == row)
				return number;
	return 1;
}

static void
choose_helo(const struct bindings *bindings, bool is_by_sender,
    const char *sender, struct binding *binding)
{
	const char *at = is_by_sender ? strrchr(sender, '@') : NULL;
	const char *by_source = binding->has_source
	    ? bindings_helo(bindings, (const struct sockaddr *)&binding->source)
	    : NULL;

	memcpy(binding->helo, bindings->helo, sizeof(binding->helo));
	if (at != NULL && at[1] != '\0')
		idn_domain_canonical(at + 1, binding->helo);
	if (by_source != NULL)
		memcpy(binding->helo, by_source, strlen(by_source) + 1);
}

void
bindings_find(struct bindings *bindings, const char *sender, const char *domain,
    const struct sockaddr *remote, struct binding *binding_out)
{
	struct row *row = find_domain(&bindings->routes, domain);
	bool is_by_sender = false;

	*binding_out = (struct binding){ .has_source = false };
	if (row == NULL)
		row = find_remote(&bindings->routes, remote);
	if (row == NULL)
		row = find_key(&bindings->routes, "");
	if (row == NULL) {
		row = find_sender(&bindings->senders, sender);
		is_by_sender = row != NULL;
	}
	if (row == NULL)
		row = find_domain(&bindings->domains, domain);
	take_turn(row != NULL ? &row->pool : &bindings->standard,
	    remote->sa_family, binding_out);
	if (binding_out->has_source)
		binding_out->list = row_number(bindings, row);
	choose_helo(bindings, is_by_sender, sender, binding_out);
}

const char *
bindings_helo(const struct bindings *bindings, const struct sockaddr *source)
{
	for (size_t i = 0; i < bindings->helo_count; i++)
		if (network_has(&bindings->helos[i].address, source))
			return bindings->helos[i].name;
	return NULL;
}
