/* SPDX-License-Identifier: ISC */
/* A user store: what every backend has in common. */
#include "lookupd/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "control/home.h"
#include "control/idn.h"
#include "control/node_setting.h"
#include "lookupd/store_backend.h"

_Static_assert(IDN_DOMAIN_SIZE == STORE_DOMAIN_MAX + 1, "sizes");

/*
 * Lower case of a text of 1 to STORE_LOCAL_MAX bytes.  False when it is empty
 * or longer.  Only ASCII has case here; the bytes of a UTF-8 local part (RFC
 * 6531) are compared as they are.
 */
static bool
fold_local(const char *text, char folded_out[STORE_LOCAL_MAX + 1])
{
	size_t length = strnlen(text, STORE_LOCAL_MAX + 1);

	if (length == 0 || length > STORE_LOCAL_MAX)
		return false;
	ascii_lower(folded_out, text, length + 1);
	return true;
}

/* Both parts of an address as backends get them.  False: in no store. */
static bool
fold_address(const char *local, const char *domain,
    char local_out[STORE_LOCAL_MAX + 1], char domain_out[STORE_DOMAIN_MAX + 1])
{
	idn_domain_canonical(domain, domain_out);
	return domain_out[0] != '\0' && fold_local(local, local_out);
}

struct store *
store_open(const char *home_root, struct error *err)
{
	AUTO(home_free) struct home *home = home_at(home_root);
	AUTO(buf_release) struct buf setting = BUF_INIT;

	/* Of this one alone: a domain's owner may not read them all. */
	if (node_setting_text(
		home->control, SETTING_userstore, &setting, err) == -1)
		return NULL;
	return strcmp(setting.data, "pgsql") == 0
	    ? store_open_lookup(home_root, err)
	    : store_open_cdb(home_root, err);
}

void
store_free(struct store **store)
{
	if (*store != NULL)
		(*store)->backend->destroy(*store);
	*store = NULL;
}

void
store_set_max_age(struct store *store, unsigned max_age_ms)
{
	store->max_age_ms = max_age_ms;
}

int
store_find_domain(struct store *store, const char *domain,
    struct store_domain *domain_out, struct error *err)
{
	char folded[STORE_DOMAIN_MAX + 1];
	int result;

	*domain_out = (struct store_domain){ .storage = BUF_INIT };
	idn_domain_canonical(domain, folded);
	if (folded[0] == '\0') /* no store holds it */
		return 0;
	result = store->backend->find_domain(store, folded, domain_out, err);
	if (result != 1)
		store_domain_release(domain_out);
	return result;
}

int
store_find_user(struct store *store, const char *local, const char *domain,
    struct store_user *user_out, struct error *err)
{
	char folded_local[STORE_LOCAL_MAX + 1];
	char folded_domain[STORE_DOMAIN_MAX + 1];
	int result;

	*user_out = (struct store_user){ .storage = BUF_INIT };
	if (!fold_address(local, domain, folded_local, folded_domain))
		return 0;
	result = store->backend->find_user(
	    store, folded_local, folded_domain, user_out, err);
	if (result != 1)
		store_user_release(user_out);
	return result;
}

/* Of a domain that is this node's alone. */
static void
place_here(struct store_place *place)
{
	buf_addc(&place->storage, '\0');
	place->kind = STORE_PLACE_HERE;
	place->user = place->node = place->store = place->dir =
	    place->storage.data;
}

int
store_find_place(struct store *store, const char *local, const char *domain,
    struct store_place *place_out, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .storage = BUF_INIT };
	char folded[STORE_LOCAL_MAX + 1];
	int result;

	*place_out = (struct store_place){ .storage = BUF_INIT };
	result = store_find_domain(store, domain, &found, err);
	if (result != 1)
		return result;
	if (!found.is_clustered || store->backend->find_place == NULL) {
		place_here(place_out);
		return 1;
	}
	/* Nobody has a longer name, but the domain may have a place for it. */
	if (!fold_local(local, folded))
		*folded = '\0';
	result = store->backend->find_place(
	    store, folded, &found, place_out, err);
	if (result != 1)
		store_place_release(place_out);
	return result;
}

void
store_place_release(struct store_place *place)
{
	buf_release(&place->storage);
	*place = (struct store_place){ .storage = BUF_INIT };
}

void
store_expect_users(
    struct store *store, const struct store_address *addresses, size_t count)
{
	char locals[STORE_EXPECT_MAX][STORE_LOCAL_MAX + 1];
	char domains[STORE_EXPECT_MAX][STORE_DOMAIN_MAX + 1];
	struct store_address wanted[STORE_EXPECT_MAX];
	size_t used = 0;

	if (store->backend->expect_users == NULL)
		return;
	for (size_t i = 0; i < count && used < STORE_EXPECT_MAX; i++)
		if (fold_address(addresses[i].local, addresses[i].domain,
			locals[used], domains[used])) {
			wanted[used] = (struct store_address){ locals[used],
				domains[used] };
			used++;
		}
	if (used > 0)
		store->backend->expect_users(store, wanted, used);
}

void
store_domain_release(struct store_domain *domain)
{
	buf_release(&domain->storage);
	*domain = (struct store_domain){ .storage = BUF_INIT };
}

void
store_user_release(struct store_user *user)
{
	buf_release(&user->storage);
	*user = (struct store_user){ .storage = BUF_INIT };
}

int
store_find_password(struct store *store, const char *local, const char *domain,
    struct store_password *password_out, struct error *err)
{
	char folded_local[STORE_LOCAL_MAX + 1];
	char folded_domain[STORE_DOMAIN_MAX + 1];
	int result;

	*password_out = (struct store_password){ .storage = BUF_INIT };
	if (!fold_address(local, domain, folded_local, folded_domain))
		return 0;
	result = store->backend->find_password(
	    store, folded_local, folded_domain, password_out, err);
	if (result != 1)
		store_password_release(password_out);
	return result;
}

void
store_password_release(struct store_password *password)
{
	if (password->storage.data != NULL)
		explicit_bzero(
		    password->storage.data, password->storage.length);
	buf_release(&password->storage);
	*password = (struct store_password){ .storage = BUF_INIT };
}

int
store_find_alias(struct store *store, const char *local, const char *domain,
    struct store_alias *alias_out, struct error *err)
{
	char folded_local[STORE_LOCAL_MAX + 1];
	char folded_domain[STORE_DOMAIN_MAX + 1];
	int result;

	*alias_out = (struct store_alias){ .lines = { NULL, 0 } };
	if (!fold_address(local, domain, folded_local, folded_domain))
		return 0;
	result = store->backend->find_alias(
	    store, folded_local, folded_domain, alias_out, err);
	if (result != 1)
		store_alias_release(alias_out);
	return result;
}

void
store_alias_release(struct store_alias *alias)
{
	strlist_release(&alias->lines);
}

const char *const store_limit_names[STORE_LIMIT_COUNT] = {
#define STORE_LIMIT(name) #name,
#include "lookupd/limits.tbl"
#undef STORE_LIMIT
};

bool
store_limit_find(const char *name, enum store_limit *limit_out)
{
	for (unsigned i = 0; i < STORE_LIMIT_COUNT; i++)
		if (strcmp(store_limit_names[i], name) == 0) {
			*limit_out = (enum store_limit)i;
			return true;
		}
	return false;
}

unsigned
store_limits_flags(const struct store_limits *limits)
{
	static const struct {
		enum store_limit limit;
		unsigned flag;
	} rows[] = {
		{ STORE_LIMIT_disable_pop, STORE_NO_POP },
		{ STORE_LIMIT_disable_imap, STORE_NO_IMAP },
		{ STORE_LIMIT_disable_dialup, STORE_NO_DIALUP },
		{ STORE_LIMIT_disable_passwordchanging,
		    STORE_NO_PASSWD_CHANGE },
		{ STORE_LIMIT_disable_webmail, STORE_NO_WEBMAIL },
		{ STORE_LIMIT_disable_relay, STORE_NO_RELAY },
		{ STORE_LIMIT_disable_smtp, STORE_NO_SMTP },
	};
	unsigned flags = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (limits->values[rows[i].limit] > 0)
			flags |= rows[i].flag;
	return flags;
}

int
store_find_limits(struct store *store, const char *local, const char *domain,
    struct store_limits *limits_out, struct error *err)
{
	char folded_local[STORE_LOCAL_MAX + 1];
	char folded_domain[STORE_DOMAIN_MAX + 1];

	*limits_out = (struct store_limits){ .values = { 0 } };
	idn_domain_canonical(domain, folded_domain);
	if (folded_domain[0] == '\0' ||
	    (local != NULL && !fold_local(local, folded_local)))
		return 0;
	return store->backend->find_limits(store,
	    local == NULL ? NULL : folded_local, folded_domain, limits_out,
	    err);
}

bool
store_has_filter_files(const struct store *store)
{
	return store->backend->has_filter_files;
}

int
store_find_filters(struct store *store, const char *local, const char *domain,
    struct store_filters *filters_out, struct error *err)
{
	char folded_local[STORE_LOCAL_MAX + 1];
	char folded_domain[STORE_DOMAIN_MAX + 1];
	int result;

	*filters_out = (struct store_filters){ .storage = BUF_INIT };
	if (!fold_address(local, domain, folded_local, folded_domain))
		return 0;
	result = store->backend->find_filters(
	    store, folded_local, folded_domain, filters_out, err);
	if (result != 1)
		store_filters_release(filters_out);
	return result;
}

void
store_filters_release(struct store_filters *filters)
{
	free(filters->items);
	buf_release(&filters->storage);
	*filters = (struct store_filters){ .storage = BUF_INIT };
}

bool
store_is_ip(const char *ip)
{
	size_t length = strlen(ip);

	return length > 0 && length < STORE_IP_SIZE &&
	    ip[strspn(ip, "0123456789abcdefABCDEF.:")] == '\0';
}

bool
store_is_service(const char *service)
{
	static const char possible[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t length = strlen(service);

	return length > 0 && length < STORE_SERVICE_SIZE &&
	    strspn(service, possible) == length;
}

int
store_find_relay(struct store *store, const char *local, const char *domain,
    const char *ip, unsigned max_age_s, struct error *err)
{
	char folded_local[STORE_LOCAL_MAX + 1];
	char folded_domain[STORE_DOMAIN_MAX + 1];

	if (!store_is_ip(ip) ||
	    !fold_address(local, domain, folded_local, folded_domain))
		return 0;
	return store->backend->find_relay(
	    store, folded_local, folded_domain, ip, max_age_s, err);
}

int
store_note_login(struct store *store, const char *local, const char *domain,
    const char *service, const char *ip, bool opens_relay, struct error *err)
{
	const struct store_login login = { service, ip, opens_relay };
	char folded_local[STORE_LOCAL_MAX + 1];
	char folded_domain[STORE_DOMAIN_MAX + 1];

	if (!store_is_ip(ip) || !store_is_service(service) ||
	    !fold_address(local, domain, folded_local, folded_domain))
		return error_set(err,
		    "no login to remember: service '%.20s', address '%.60s'",
		    service, ip);
	return store->backend->note_login(
	    store, folded_local, folded_domain, &login, err);
}
