-- SPDX-License-Identifier: ISC
--
-- Users and domains: the first version of the schema.
--
-- Tables are in the schema mq; views with the names and columns that scripts
-- for IndiMail know are in public.  Names are kept in lower case and compared
-- byte by byte.  svctool db runs this file in one transaction.

CREATE SCHEMA mq;

CREATE TABLE mq.schema_version (
	version int PRIMARY KEY,
	applied timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mq.domains (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text COLLATE "C" NOT NULL UNIQUE
		CHECK (name ~ '^[a-z0-9.-]{1,255}$'),
	is_active boolean NOT NULL DEFAULT true,
	created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mq.domain_aliases (
	name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z0-9.-]{1,255}$'),
	domain_id bigint NOT NULL REFERENCES mq.domains ON DELETE CASCADE
);
CREATE INDEX ON mq.domain_aliases (domain_id);

-- uid_flags: 16 is inactive, as is_active says; the low four bits are the
-- cluster's.  flags: what the user may not do (vpasswd(5)).
CREATE TABLE mq.users (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	domain_id bigint NOT NULL REFERENCES mq.domains ON DELETE CASCADE,
	name text COLLATE "C" NOT NULL
		CHECK (octet_length(name) BETWEEN 1 AND 64 AND
			name !~ '[A-Z/: \x01-\x1f\x7f]' AND name !~ '^\.'),
	hash text COLLATE "C" NOT NULL DEFAULT '*'
		CHECK (octet_length(hash) <= 511 AND hash !~ '[:\x01-\x1f\x7f]'),
	scram text COLLATE "C" CHECK (scram ~ '^\{[A-Z0-9-]+\}[^:\x01-\x20\x7f]+$'),
	secret text COLLATE "C" CHECK (secret !~ '[:\x01-\x1f\x7f]'),
	uid_flags int NOT NULL DEFAULT 0 CHECK (uid_flags >= 0),
	flags int NOT NULL DEFAULT 0 CHECK (flags >= 0),
	is_active boolean NOT NULL DEFAULT true,
	gecos text NOT NULL DEFAULT ''
		CHECK (octet_length(gecos) <= 1023 AND gecos !~ '[:\x01-\x1f\x7f]'),
	dir text COLLATE "C" NOT NULL
		CHECK (octet_length(dir) <= 1023 AND dir ~ '^/' AND
			dir !~ '[:\x01-\x1f\x7f]' AND dir !~ '/\.\.?(/|$)'),
	quota text NOT NULL DEFAULT 'NOQUOTA'
		CHECK (octet_length(quota) BETWEEN 1 AND 1023 AND
			quota !~ '[:\x01-\x1f\x7f]'),
	created timestamptz NOT NULL DEFAULT now(),
	changed timestamptz NOT NULL DEFAULT now(),
	UNIQUE (domain_id, name)
);

CREATE INDEX ON mq.users USING hash (dir);

CREATE TABLE mq.aliases (
	domain_id bigint NOT NULL REFERENCES mq.domains ON DELETE CASCADE,
	name text COLLATE "C" NOT NULL
		CHECK (octet_length(name) BETWEEN 1 AND 64 AND name !~ '[A-Z]'),
	line text COLLATE "C" NOT NULL
		CHECK (octet_length(line) BETWEEN 1 AND 1023 AND
			line !~ '[\x01-\x1f\x7f]'),
	created timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (domain_id, name, line)
);

CREATE TABLE mq.filters (
	domain_id bigint NOT NULL REFERENCES mq.domains ON DELETE CASCADE,
	user_name text COLLATE "C" NOT NULL CHECK (user_name !~ '[A-Z]'),
	number int NOT NULL,
	name text NOT NULL,
	header int NOT NULL,
	comparison int NOT NULL,
	keyword text NOT NULL,
	destination text NOT NULL,
	bounce_action text NOT NULL DEFAULT '0',
	PRIMARY KEY (domain_id, user_name, number)
);

-- Of a user, or of the domain itself where user_name is ''.
CREATE TABLE mq.limits (
	domain_id bigint NOT NULL REFERENCES mq.domains ON DELETE CASCADE,
	user_name text COLLATE "C" NOT NULL DEFAULT '' CHECK (user_name !~ '[A-Z]'),
	domain_expiry bigint,
	passwd_expiry bigint,
	maxpopaccounts bigint,
	maxaliases bigint,
	maxforwards bigint,
	maxautoresponders bigint,
	maxmailinglists bigint,
	diskquota bigint,
	maxmsgcount bigint,
	defaultquota bigint,
	defaultmaxmsgcount bigint,
	disable_pop bigint,
	disable_imap bigint,
	disable_dialup bigint,
	disable_passwordchanging bigint,
	disable_webmail bigint,
	disable_relay bigint,
	disable_smtp bigint,
	perm_account bigint,
	perm_alias bigint,
	perm_forward bigint,
	perm_autoresponder bigint,
	perm_maillist bigint,
	perm_quota bigint,
	perm_defaultquota bigint,
	PRIMARY KEY (domain_id, user_name)
);

CREATE TABLE mq.usage (
	user_id bigint PRIMARY KEY REFERENCES mq.users ON DELETE CASCADE,
	bytes bigint NOT NULL DEFAULT 0,
	messages bigint NOT NULL DEFAULT 0,
	at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mq.last_auth (
	user_id bigint NOT NULL REFERENCES mq.users ON DELETE CASCADE,
	service text COLLATE "C" NOT NULL,
	remote_ip text COLLATE "C" NOT NULL DEFAULT '',
	at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (user_id, service)
);

-- Pop before SMTP: from where a user has read mail.
CREATE TABLE mq.relay (
	user_id bigint NOT NULL REFERENCES mq.users ON DELETE CASCADE,
	ip text COLLATE "C" NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (user_id, ip)
);
CREATE INDEX ON mq.relay (at);

-- vipmap: the domain of who logs in at one of our addresses.
CREATE TABLE mq.ip_domains (
	ip text COLLATE "C" PRIMARY KEY,
	domain text COLLATE "C" NOT NULL CHECK (domain !~ '[A-Z]')
);

-- vfstab: filesystems for the folders of users.
CREATE TABLE mq.filesystems (
	filesystem text COLLATE "C" NOT NULL,
	host text COLLATE "C" NOT NULL,
	status int NOT NULL DEFAULT 1,
	max_users bigint NOT NULL DEFAULT 0,
	cur_users bigint NOT NULL DEFAULT 0,
	max_size bigint NOT NULL DEFAULT 0,
	cur_size bigint NOT NULL DEFAULT 0,
	at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (filesystem, host)
);

-- How many users have their folder in each folder of a domain, so that who adds
-- one need not look at all: kept by a trigger.
CREATE TABLE mq.dir_control (
	domain_id bigint NOT NULL REFERENCES mq.domains ON DELETE CASCADE,
	folder text COLLATE "C" NOT NULL,
	users bigint NOT NULL,
	PRIMARY KEY (domain_id, folder)
);

-- What changed, for caches.  A reader remembers
-- pg_snapshot_xmin(pg_current_snapshot()) of its last look, and reads all rows
-- whose xid is that or later: a change that was committed late is not missed,
-- and one that is read twice does no harm.  name '' is all of the domain.
-- Who remembers an xid before floor has missed rows that are gone by now.
CREATE TABLE mq.changes (
	seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
	at timestamptz NOT NULL DEFAULT now(),
	kind text COLLATE "C" NOT NULL
		CHECK (kind IN ('user', 'domain', 'alias', 'limits', 'filters')),
	domain text COLLATE "C" NOT NULL,
	name text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX ON mq.changes (xid);
CREATE INDEX ON mq.changes (at);

CREATE TABLE mq.changes_floor (
	is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
	xid xid8 NOT NULL DEFAULT '0'
);
INSERT INTO mq.changes_floor DEFAULT VALUES;

-- Removes changes that are older than keep; gives how many.
CREATE FUNCTION mq.prune_changes(keep interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	removed bigint;
	last xid8;
BEGIN
	WITH old AS (
		DELETE FROM mq.changes WHERE seq IN (
			SELECT seq FROM mq.changes WHERE at < now() - keep
			ORDER BY at LIMIT 100000 FOR UPDATE SKIP LOCKED)
		RETURNING xid)
	SELECT count(*), (array_agg(xid ORDER BY xid DESC))[1]
	INTO removed, last FROM old;
	IF removed > 0 THEN
		UPDATE mq.changes_floor SET xid = last WHERE xid < last;
	END IF;
	RETURN removed;
END $$;

-- Triggers: a statement writes its changes and notifies once.  Of more than a
-- thousand rows of one domain the domain is noted instead of each.  Rows that
-- go with their domain are not noted: the domain is.
CREATE FUNCTION mq.note_rows(row_kind text, domain_ids bigint[], names text[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	WITH rows AS (
		SELECT DISTINCT d.name AS domain, r.name
		FROM unnest(domain_ids, names) AS r(domain_id, name)
		JOIN mq.domains d ON d.id = r.domain_id),
	counted AS (
		SELECT domain, count(*) AS count FROM rows GROUP BY domain)
	INSERT INTO mq.changes (kind, domain, name)
	SELECT row_kind, rows.domain, rows.name
	FROM rows JOIN counted USING (domain) WHERE counted.count <= 1000
	UNION ALL
	SELECT 'domain', domain, '' FROM counted WHERE count > 1000;
	IF FOUND THEN
		NOTIFY mq_changes;
	END IF;
END $$;

CREATE FUNCTION mq.count_folders(domain_ids bigint[], dirs text[], sign int)
RETURNS void LANGUAGE sql SET search_path = pg_catalog AS $$
	INSERT INTO mq.dir_control AS c (domain_id, folder, users)
	SELECT r.domain_id, regexp_replace(r.dir, '/[^/]*/*$', ''), sign * count(*)
	FROM unnest(domain_ids, dirs) AS r(domain_id, dir)
	JOIN mq.domains d ON d.id = r.domain_id
	GROUP BY 1, 2 ORDER BY 1, 2
	ON CONFLICT (domain_id, folder) DO UPDATE SET users = c.users + excluded.users
$$;

CREATE FUNCTION mq.note_users() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		PERFORM mq.note_rows('user', array_agg(domain_id), array_agg(name))
		FROM old_rows;
		PERFORM mq.count_folders(array_agg(domain_id), array_agg(dir), -1)
		FROM old_rows;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		PERFORM mq.note_rows('user', array_agg(domain_id), array_agg(name))
		FROM new_rows;
		PERFORM mq.count_folders(array_agg(domain_id), array_agg(dir), 1)
		FROM new_rows;
	END IF;
	RETURN NULL;
END $$;

-- Of the other tables: the argument is the kind; the name's column is in the
-- row as name, or as user_name.
CREATE FUNCTION mq.note_others() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		PERFORM mq.note_rows(TG_ARGV[0], array_agg(domain_id),
			array_agg(coalesce(to_jsonb(r)->>'user_name',
				to_jsonb(r)->>'name')))
		FROM old_rows r;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		PERFORM mq.note_rows(TG_ARGV[0], array_agg(domain_id),
			array_agg(coalesce(to_jsonb(r)->>'user_name',
				to_jsonb(r)->>'name')))
		FROM new_rows r;
	END IF;
	RETURN NULL;
END $$;

CREATE FUNCTION mq.note_domains() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		INSERT INTO mq.changes (kind, domain)
		SELECT 'domain', name FROM old_rows;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO mq.changes (kind, domain)
		SELECT 'domain', name FROM new_rows;
	END IF;
	NOTIFY mq_changes;
	RETURN NULL;
END $$;

DO $$
DECLARE
	item record;
	event text;
BEGIN
	FOR item IN SELECT * FROM (VALUES
		('users', 'note_users', ''), ('domains', 'note_domains', ''),
		('domain_aliases', 'note_domains', ''),
		('aliases', 'note_others', 'alias'),
		('filters', 'note_others', 'filters'),
		('limits', 'note_others', 'limits')) AS t(name, func, kind)
	LOOP
		FOREACH event IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
			EXECUTE format('CREATE TRIGGER %I AFTER %s ON mq.%I '
				'REFERENCING %s FOR EACH STATEMENT '
				'EXECUTE FUNCTION mq.%I(%L)',
				'note_' || lower(event), event, item.name,
				CASE event WHEN 'INSERT' THEN 'NEW TABLE AS new_rows'
				WHEN 'DELETE' THEN 'OLD TABLE AS old_rows'
				ELSE 'OLD TABLE AS old_rows NEW TABLE AS new_rows' END,
				item.func, item.kind);
		END LOOP;
	END LOOP;
END $$;

-- A row's is_active and the bit of uid_flags say the same, whichever was set.
CREATE FUNCTION mq.fit_user() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP = 'UPDATE' AND NEW.is_active <> OLD.is_active THEN
		NEW.uid_flags := CASE WHEN NEW.is_active
			THEN NEW.uid_flags & ~16 ELSE NEW.uid_flags | 16 END;
	ELSIF TG_OP = 'INSERT' AND NOT NEW.is_active THEN
		NEW.uid_flags := NEW.uid_flags | 16;
	END IF;
	NEW.is_active := NEW.uid_flags & 16 = 0;
	IF TG_OP = 'UPDATE' THEN
		NEW.changed := now();
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER fit_user BEFORE INSERT OR UPDATE ON mq.users
	FOR EACH ROW EXECUTE FUNCTION mq.fit_user();

-- The id of a domain that must be there.
CREATE FUNCTION mq.domain_of(domain text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
	found_id bigint;
BEGIN
	SELECT id INTO found_id FROM mq.domains WHERE name = domain;
	IF found_id IS NULL THEN
		SELECT domain_id INTO found_id FROM mq.domain_aliases
		WHERE name = domain;
	END IF;
	IF found_id IS NULL THEN
		RAISE EXCEPTION 'no domain "%"', domain
			USING ERRCODE = 'foreign_key_violation';
	END IF;
	RETURN found_id;
END $$;

-- Views for scripts and other software, with the reference's columns.
CREATE VIEW public.indimail AS
	SELECT u.name AS pw_name, d.name AS pw_domain, u.hash AS pw_passwd,
		u.uid_flags AS pw_uid, u.flags AS pw_gid, u.gecos AS pw_gecos,
		u.dir AS pw_dir, u.quota AS pw_shell, u.scram AS scram,
		u.changed AS timestamp
	FROM mq.users u JOIN mq.domains d ON d.id = u.domain_id
	WHERE u.is_active;

CREATE VIEW public.indibak AS
	SELECT u.name AS pw_name, d.name AS pw_domain, u.hash AS pw_passwd,
		u.uid_flags AS pw_uid, u.flags AS pw_gid, u.gecos AS pw_gecos,
		u.dir AS pw_dir, u.quota AS pw_shell, u.scram AS scram,
		u.changed AS timestamp
	FROM mq.users u JOIN mq.domains d ON d.id = u.domain_id
	WHERE NOT u.is_active;

-- The argument of the trigger: 0 of indimail, 16 of indibak.
CREATE FUNCTION mq.change_indimail() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO mq.users (domain_id, name, hash, uid_flags, flags,
			gecos, dir, quota, scram)
		VALUES (mq.domain_of(NEW.pw_domain), NEW.pw_name,
			coalesce(NEW.pw_passwd, '*'),
			coalesce(NEW.pw_uid, 0) | TG_ARGV[0]::int,
			coalesce(NEW.pw_gid, 0), coalesce(NEW.pw_gecos, ''),
			NEW.pw_dir, coalesce(NEW.pw_shell, 'NOQUOTA'), NEW.scram);
		RETURN NEW;
	END IF;
	IF TG_OP = 'UPDATE' THEN
		UPDATE mq.users SET domain_id = mq.domain_of(NEW.pw_domain),
			name = NEW.pw_name, hash = NEW.pw_passwd,
			uid_flags = NEW.pw_uid, flags = NEW.pw_gid,
			gecos = NEW.pw_gecos, dir = NEW.pw_dir,
			quota = NEW.pw_shell, scram = NEW.scram
		WHERE domain_id = mq.domain_of(OLD.pw_domain)
			AND name = OLD.pw_name;
		RETURN NEW;
	END IF;
	DELETE FROM mq.users WHERE domain_id = mq.domain_of(OLD.pw_domain)
		AND name = OLD.pw_name;
	RETURN OLD;
END $$;
CREATE TRIGGER change INSTEAD OF INSERT OR UPDATE OR DELETE ON public.indimail
	FOR EACH ROW EXECUTE FUNCTION mq.change_indimail('0');
CREATE TRIGGER change INSTEAD OF INSERT OR UPDATE OR DELETE ON public.indibak
	FOR EACH ROW EXECUTE FUNCTION mq.change_indimail('16');

CREATE VIEW public.valias AS
	SELECT a.name AS alias, d.name AS domain, a.line AS valias_line,
		a.created AS timestamp
	FROM mq.aliases a JOIN mq.domains d ON d.id = a.domain_id;

CREATE FUNCTION mq.change_valias() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		DELETE FROM mq.aliases WHERE domain_id = mq.domain_of(OLD.domain)
			AND name = OLD.alias AND line = OLD.valias_line;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO mq.aliases (domain_id, name, line)
		VALUES (mq.domain_of(NEW.domain), NEW.alias, NEW.valias_line);
		RETURN NEW;
	END IF;
	RETURN OLD;
END $$;
CREATE TRIGGER change INSTEAD OF INSERT OR UPDATE OR DELETE ON public.valias
	FOR EACH ROW EXECUTE FUNCTION mq.change_valias();

-- header_name, comparision: as the reference spells them.
CREATE VIEW public.vfilter AS
	SELECT f.user_name || '@' || d.name AS emailid, f.number AS filter_no,
		f.name AS filter_name, f.header AS header_name,
		f.comparison AS comparision, f.keyword, f.destination,
		f.bounce_action
	FROM mq.filters f JOIN mq.domains d ON d.id = f.domain_id;

CREATE FUNCTION mq.change_vfilter() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		DELETE FROM mq.filters
		WHERE domain_id = mq.domain_of(split_part(OLD.emailid, '@', 2))
			AND user_name = split_part(OLD.emailid, '@', 1)
			AND number = OLD.filter_no;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO mq.filters (domain_id, user_name, number, name,
			header, comparison, keyword, destination, bounce_action)
		VALUES (mq.domain_of(split_part(NEW.emailid, '@', 2)),
			split_part(NEW.emailid, '@', 1), NEW.filter_no,
			NEW.filter_name, NEW.header_name, NEW.comparision,
			NEW.keyword, NEW.destination,
			coalesce(NEW.bounce_action, '0'));
		RETURN NEW;
	END IF;
	RETURN OLD;
END $$;
CREATE TRIGGER change INSTEAD OF INSERT OR UPDATE OR DELETE ON public.vfilter
	FOR EACH ROW EXECUTE FUNCTION mq.change_vfilter();

-- domain: DOMAIN, or USER@DOMAIN of a user's.
CREATE VIEW public.vlimits AS
	SELECT CASE l.user_name WHEN '' THEN d.name
			ELSE l.user_name || '@' || d.name END AS domain,
		coalesce(domain_expiry, -1) AS domain_expiry,
		coalesce(passwd_expiry, -1) AS passwd_expiry,
		coalesce(maxpopaccounts, -1) AS maxpopaccounts,
		coalesce(maxaliases, -1) AS maxaliases,
		coalesce(maxforwards, -1) AS maxforwards,
		coalesce(maxautoresponders, -1) AS maxautoresponders,
		coalesce(maxmailinglists, -1) AS maxmailinglists,
		coalesce(diskquota, 0) AS diskquota,
		coalesce(maxmsgcount, 0) AS maxmsgcount,
		coalesce(defaultquota, 0) AS defaultquota,
		coalesce(defaultmaxmsgcount, 0) AS defaultmaxmsgcount,
		coalesce(disable_pop, 0) AS disable_pop,
		coalesce(disable_imap, 0) AS disable_imap,
		coalesce(disable_dialup, 0) AS disable_dialup,
		coalesce(disable_passwordchanging, 0) AS disable_passwordchanging,
		coalesce(disable_webmail, 0) AS disable_webmail,
		coalesce(disable_relay, 0) AS disable_relay,
		coalesce(disable_smtp, 0) AS disable_smtp,
		coalesce(perm_account, 0) AS perm_account,
		coalesce(perm_alias, 0) AS perm_alias,
		coalesce(perm_forward, 0) AS perm_forward,
		coalesce(perm_autoresponder, 0) AS perm_autoresponder,
		coalesce(perm_maillist, 0) AS perm_maillist,
		coalesce(perm_quota, 0) AS perm_quota,
		coalesce(perm_defaultquota, 0) AS perm_defaultquota
	FROM mq.limits l JOIN mq.domains d ON d.id = l.domain_id;

CREATE FUNCTION mq.change_vlimits() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	domain text;
	owner text;
BEGIN
	IF TG_OP <> 'INSERT' THEN
		domain := regexp_replace(OLD.domain, '^.*@', '');
		owner := CASE WHEN OLD.domain LIKE '%@%'
			THEN regexp_replace(OLD.domain, '@[^@]*$', '') ELSE '' END;
		DELETE FROM mq.limits WHERE domain_id = mq.domain_of(domain)
			AND user_name = owner;
	END IF;
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;
	domain := regexp_replace(NEW.domain, '^.*@', '');
	owner := CASE WHEN NEW.domain LIKE '%@%'
		THEN regexp_replace(NEW.domain, '@[^@]*$', '') ELSE '' END;
	INSERT INTO mq.limits VALUES (mq.domain_of(domain), owner,
		NEW.domain_expiry, NEW.passwd_expiry, NEW.maxpopaccounts,
		NEW.maxaliases, NEW.maxforwards, NEW.maxautoresponders,
		NEW.maxmailinglists, NEW.diskquota, NEW.maxmsgcount,
		NEW.defaultquota, NEW.defaultmaxmsgcount, NEW.disable_pop,
		NEW.disable_imap, NEW.disable_dialup,
		NEW.disable_passwordchanging, NEW.disable_webmail,
		NEW.disable_relay, NEW.disable_smtp, NEW.perm_account,
		NEW.perm_alias, NEW.perm_forward, NEW.perm_autoresponder,
		NEW.perm_maillist, NEW.perm_quota, NEW.perm_defaultquota);
	RETURN NEW;
END $$;
CREATE TRIGGER change INSTEAD OF INSERT OR UPDATE OR DELETE ON public.vlimits
	FOR EACH ROW EXECUTE FUNCTION mq.change_vlimits();

CREATE VIEW public.aliasdomain AS
	SELECT a.name AS alias, d.name AS domain
	FROM mq.domain_aliases a JOIN mq.domains d ON d.id = a.domain_id;

CREATE FUNCTION mq.change_aliasdomain() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		DELETE FROM mq.domain_aliases WHERE name = OLD.alias;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO mq.domain_aliases (name, domain_id)
		VALUES (NEW.alias, mq.domain_of(NEW.domain));
		RETURN NEW;
	END IF;
	RETURN OLD;
END $$;
CREATE TRIGGER change INSTEAD OF INSERT OR UPDATE OR DELETE ON public.aliasdomain
	FOR EACH ROW EXECUTE FUNCTION mq.change_aliasdomain();

CREATE VIEW public.relay AS
	SELECT u.name || '@' || d.name AS email, r.ip AS ipaddr,
		extract(epoch FROM r.at)::bigint AS timestamp
	FROM mq.relay r JOIN mq.users u ON u.id = r.user_id
	JOIN mq.domains d ON d.id = u.domain_id;

CREATE FUNCTION mq.change_relay() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		DELETE FROM mq.relay r USING mq.users u
		WHERE r.user_id = u.id AND r.ip = OLD.ipaddr
			AND u.domain_id = mq.domain_of(split_part(OLD.email, '@', 2))
			AND u.name = split_part(OLD.email, '@', 1);
	END IF;
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;
	INSERT INTO mq.relay (user_id, ip, at)
	SELECT u.id, NEW.ipaddr,
		coalesce(to_timestamp(NEW.timestamp), now())
	FROM mq.users u
	WHERE u.domain_id = mq.domain_of(split_part(NEW.email, '@', 2))
		AND u.name = split_part(NEW.email, '@', 1)
	ON CONFLICT (user_id, ip) DO UPDATE SET at = excluded.at;
	RETURN NEW;
END $$;
CREATE TRIGGER change INSTEAD OF INSERT OR UPDATE OR DELETE ON public.relay
	FOR EACH ROW EXECUTE FUNCTION mq.change_relay();

CREATE VIEW public.lastauth AS
	SELECT u.name AS "user", d.name AS domain, a.service, a.remote_ip,
		g.bytes AS quota, u.gecos, a.at AS timestamp
	FROM mq.last_auth a JOIN mq.users u ON u.id = a.user_id
	JOIN mq.domains d ON d.id = u.domain_id
	LEFT JOIN mq.usage g ON g.user_id = u.id;

CREATE VIEW public.userquota AS
	SELECT u.name AS "user", d.name AS domain, g.bytes AS quota,
		g.at AS timestamp
	FROM mq.usage g JOIN mq.users u ON u.id = g.user_id
	JOIN mq.domains d ON d.id = u.domain_id;

CREATE VIEW public.fstab AS
	SELECT filesystem, host, status, max_users, cur_users, max_size,
		cur_size, at AS timestamp
	FROM mq.filesystems;

CREATE VIEW public.ip_alias_map AS
	SELECT ip AS ipaddr, domain FROM mq.ip_domains;

-- Where users are: on this node, as long as there is no cluster.
CREATE VIEW public.hostcntrl AS
	SELECT u.name AS pw_name, d.name AS pw_domain, u.hash AS pw_passwd,
		''::text AS host, u.changed AS timestamp
	FROM mq.users u JOIN mq.domains d ON d.id = u.domain_id;
