/* SPDX-License-Identifier: ISC */
/* A user store: what every backend has in common. */
#include "lookupd/store.h"

#include <string.h>

#include "base/utf8.h"
#include "control/idn.h"
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
	idn_domain_canonical(domain, folded_domain);
	if (!fold_local(local, folded_local) || folded_domain[0] == '\0')
		return 0;
	result = store->backend->find_user(
	    store, folded_local, folded_domain, user_out, err);
	if (result != 1)
		store_user_release(user_out);
	return result;
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
	idn_domain_canonical(domain, folded_domain);
	if (!fold_local(local, folded_local) || folded_domain[0] == '\0')
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
		explicit_bzero(password->storage.data, password->storage.size);
	buf_release(&password->storage);
	*password = (struct store_password){ .storage = BUF_INIT };
}

int
store_note_login(struct store *store, const char *local, const char *domain,
    const char *service, const char *ip, bool opens_relay, struct error *err)
{
	if (store->backend->note_login == NULL)
		return 0;
	return store->backend->note_login(
	    store, local, domain, service, ip, opens_relay, err);
}
