/* SPDX-License-Identifier: ISC */
/* What qmail-smtpd has read from its settings, rules and certificate. */
#include "smtp/config.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/idn.h"
#include "control/layout.h"

static int
read_rules(const struct settings *settings, enum setting_id id,
    struct envrules **rules_out, struct error *err)
{
	const char *path = settings_text(settings, id);
	int found = envrules_load(path, rules_out, err);

	if (found == 0 && settings_is_set(settings, id))
		return error_set(err, "%s: no file '%s'; make it, or name none",
		    settings_source(settings, id), path);
	return found == -1 ? -1 : 0;
}

/*
 * That of SERVERCERT must be there, and any must when TLS was promised; without
 * one config->tls stays NULL.
 */
static int
read_certificate(struct smtp_config *config, const struct home *home,
    bool needs_tls, struct error *err)
{
	const char *named = getenv("SERVERCERT");
	bool is_named = named != NULL && named[0] != '\0';
	OWN_TEXT path = is_named ? xstrdup(named)
				 : layout_path(home, LAYOUT_servercert);
	int result = 0;

	if (!is_named && access(path, F_OK) == -1 && errno == ENOENT) {
		if (needs_tls)
			result = error_set(err,
			    "no certificate '%s': put the chain and the key "
			    "there (or start again without TLS)",
			    path);
	} else {
		config->tls = tls_context_new(path, err);
		if (config->tls == NULL)
			result = is_named
			    ? error_context(err, "variable SERVERCERT")
			    : -1;
	}
	return result;
}

static int
set_ciphers(struct smtp_config *config, struct error *err)
{
	const struct settings *settings = config->settings;

	if (config->tls == NULL ||
	    tls_context_set_ciphers(config->tls,
		settings_text(settings, SETTING_tlsserverciphers), NULL,
		err) == 0)
		return 0;
	return error_context(
	    err, "%s:1", settings_source(settings, SETTING_tlsserverciphers));
}

static int
compare_domains(const void *a, const void *b)
{
	return strcasecmp(*(char *const *)a, *(char *const *)b);
}

/* The list's own array, sorted; its texts stay the settings'. */
static void
sort_domains(struct smtp_config *config)
{
	const struct strlist *list = settings_list(
	    config->settings, SETTING_chkrcptdomains);
	size_t i;

	config->checked_domains.count = list->count;
	config->checked_domains.items = xcalloc(
	    list->count + 1, sizeof(*list->items));
	for (i = 0; i < list->count; i++)
		config->checked_domains.items[i] = list->items[i];
	qsort(config->checked_domains.items, list->count, sizeof(*list->items),
	    compare_domains);
}

static int
fill_config(struct smtp_config *config, const struct home *home, bool needs_tls,
    struct error *err)
{
	const struct settings *settings = config->settings;

	config->name = settings_text(settings, SETTING_me);
	config->greeting = settings_list(settings, SETTING_smtpgreeting);
	if (config->greeting->count == 0)
		return error_set(err,
		    "%s: it has no line, and a greeting needs one; write the "
		    "host's name there, or remove the file",
		    settings_source(settings, SETTING_smtpgreeting));
	config->databytes = settings_number(settings, SETTING_databytes);
	config->maxrecipients = settings_number(
	    settings, SETTING_maxrecipients);
	config->maxhops = settings_number(settings, SETTING_maxhops);
	config->maxcmdlen = (uint32_t)settings_number(
	    settings, SETTING_maxcmdlen);
	config->timeout_ms = (int)settings_number(
				 settings, SETTING_timeoutsmtpd) *
	    1000;
	sort_domains(config);
	config->rcpthosts = rcpthosts_new(home->control, settings, err);
	if (config->rcpthosts != NULL)
		rcpthosts_add_cluster(
		    config->rcpthosts, cluster_domains_new(home));
	if (config->rcpthosts == NULL ||
	    read_rules(settings, SETTING_fromenvrules, &config->from_rules,
		err) == -1 ||
	    read_rules(settings, SETTING_domainqueue, &config->domain_rules,
		err) == -1 ||
	    read_rules(settings, SETTING_authenvrules, &config->auth_rules,
		err) == -1)
		return -1;
	return read_certificate(config, home, needs_tls, err) == -1
	    ? -1
	    : set_ciphers(config, err);
}

struct smtp_config *
smtp_config_new(const struct home *home, bool needs_tls, struct error *err)
{
	struct smtp_config *config = xcalloc(1, sizeof(*config));

	config->references = 1;
	config->settings = settings_load(
	    home->control, "qmail-smtpd", NULL, err);
	if (config->settings == NULL ||
	    fill_config(config, home, needs_tls, err) == -1)
		smtp_config_release(&config);
	return config;
}

int
smtp_config_set_node(
    struct smtp_config *config, const struct home *home, struct error *err)
{
	OWN_TEXT path = layout_path(home, LAYOUT_nodecert);

	tls_context_free(&config->tls);
	config->tls = tls_context_new(path, err);
	if (config->tls == NULL)
		return -1;
	tls_context_ask_client(config->tls);
	return set_ciphers(config, err);
}

struct smtp_config *
smtp_config_share(struct smtp_config *config)
{
	__atomic_add_fetch(&config->references, 1, __ATOMIC_RELAXED);
	return config;
}

void
smtp_config_release(struct smtp_config **config_in)
{
	struct smtp_config *config = *config_in;

	*config_in = NULL;
	if (config == NULL ||
	    __atomic_sub_fetch(&config->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	tls_context_free(&config->tls);
	envrules_free(&config->domain_rules);
	envrules_free(&config->from_rules);
	envrules_free(&config->auth_rules);
	rcpthosts_free(&config->rcpthosts);
	free(config->checked_domains.items);
	settings_free(&config->settings);
	free(config);
}

bool
smtp_config_checks_domain(const struct smtp_config *config, const char *domain)
{
	const struct strlist *list = &config->checked_domains;
	char canonical[IDN_DOMAIN_SIZE];

	if (!idn_is_ascii(domain) && idn_domain_canonical(domain, canonical))
		domain = canonical;
	return list->count == 0 ||
	    bsearch(&domain, list->items, list->count, sizeof(*list->items),
		compare_domains) != NULL;
}
