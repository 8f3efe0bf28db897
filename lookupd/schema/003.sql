-- SPDX-License-Identifier: ISC
--
-- The cluster: nodes, stores, where users are, tasks, administrators.
-- docs/cluster.md says what the rows mean and who writes them.

-- A node that serves has a lease that lasts until lease_until; instance is that
-- of the process which holds it, and epoch grows whenever another takes it.
-- tls_pins: SHA-256, in hex, of the public keys (SPKI) that the node shows;
-- curve_keys: public keys of its bus, in Z85.  The first of each is in use, the
-- others are good until old_keys_until.  No port: 0.
CREATE TABLE mq.nodes (
	name text COLLATE "C" PRIMARY KEY
		CHECK (name ~ '^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$'),
	host text COLLATE "C" NOT NULL
		CHECK (octet_length(host) BETWEEN 1 AND 255 AND
			host ~ '^[A-Za-z0-9:.-]+$'),
	role text COLLATE "C" NOT NULL DEFAULT 'all'
		CHECK (role IN ('all', 'front', 'store', 'legacy')),
	smtp_port int NOT NULL DEFAULT 2525 CHECK (smtp_port BETWEEN 0 AND 65535),
	imap_port int NOT NULL DEFAULT 0 CHECK (imap_port BETWEEN 0 AND 65535),
	pop3_port int NOT NULL DEFAULT 0 CHECK (pop3_port BETWEEN 0 AND 65535),
	admin_port int NOT NULL DEFAULT 0 CHECK (admin_port BETWEEN 0 AND 65535),
	bus_port int NOT NULL DEFAULT 0 CHECK (bus_port BETWEEN 0 AND 65535),
	tls_pins text[] COLLATE "C" NOT NULL DEFAULT '{}'
		CHECK (array_to_string(tls_pins, ' ', '') ~ '^([0-9a-f]{64}( |$))*$'),
	curve_keys text[] COLLATE "C" NOT NULL DEFAULT '{}'
		CHECK (array_to_string(curve_keys, ' ', '') ~ '^([!-~]{40}( |$))*$'),
	old_keys_until timestamptz NOT NULL DEFAULT '-infinity',
	epoch bigint NOT NULL DEFAULT 0,
	instance uuid,
	lease_until timestamptz,
	version text NOT NULL DEFAULT '',
	protocol int NOT NULL DEFAULT 0,
	is_revoked boolean NOT NULL DEFAULT false,
	is_draining boolean NOT NULL DEFAULT false,
	joined timestamptz NOT NULL DEFAULT now()
);

-- What others need to know of the nodes: keys are those that are good now.  A
-- legacy server has no lease: whether it lives shows when it is asked.
CREATE VIEW mq.live_nodes AS
	SELECT name, host, role, smtp_port, imap_port, pop3_port, admin_port,
		bus_port,
		CASE WHEN is_revoked THEN '{}' WHEN old_keys_until > now()
			THEN tls_pins ELSE tls_pins[1:1] END AS tls_pins,
		CASE WHEN is_revoked THEN '{}' WHEN old_keys_until > now()
			THEN curve_keys ELSE curve_keys[1:1] END AS curve_keys,
		epoch, instance, lease_until, version, protocol, is_revoked,
		is_draining, joined,
		NOT is_revoked AND (role = 'legacy' OR
			coalesce(lease_until > now(), false)) AS is_alive
	FROM mq.nodes;

-- takeover: another node of the group takes a dead node's store by itself.
CREATE TABLE mq.store_groups (
	name text COLLATE "C" PRIMARY KEY
		CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
	takeover boolean NOT NULL DEFAULT false
);

-- A mailbox tree.  path: its folder on the node that serves it, '' the node's
-- domains folder.  is_many_served: any node of the group serves it; it has no
-- lease.  0 of max_users and max_bytes: no limit.
CREATE TABLE mq.stores (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text COLLATE "C" NOT NULL UNIQUE
		CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
	group_name text COLLATE "C" REFERENCES mq.store_groups ON UPDATE CASCADE,
	path text COLLATE "C" NOT NULL DEFAULT ''
		CHECK (path = '' OR (octet_length(path) <= 500 AND path ~ '^/' AND
			path !~ '[\x01-\x20\x7f]' AND path !~ '/\.\.?(/|$)')),
	node text COLLATE "C" REFERENCES mq.nodes ON UPDATE CASCADE,
	epoch bigint NOT NULL DEFAULT 0,
	lease_until timestamptz,
	is_many_served boolean NOT NULL DEFAULT false,
	weight int NOT NULL DEFAULT 100 CHECK (weight >= 0),
	max_users bigint NOT NULL DEFAULT 0 CHECK (max_users >= 0),
	max_bytes bigint NOT NULL DEFAULT 0 CHECK (max_bytes >= 0),
	is_accepting boolean NOT NULL DEFAULT true,
	created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON mq.stores (node);

-- How many users each has: kept by a trigger.
CREATE TABLE mq.store_users (
	store_id bigint PRIMARY KEY REFERENCES mq.stores ON DELETE CASCADE,
	users bigint NOT NULL
);

-- store_id NULL: the user of a domain that is one node's alone.  place_epoch
-- grows with each move.
ALTER TABLE mq.users
	ADD COLUMN store_id bigint REFERENCES mq.stores,
	ADD COLUMN place_epoch bigint NOT NULL DEFAULT 0,
	ADD COLUMN is_moving boolean NOT NULL DEFAULT false;
CREATE INDEX ON mq.users (store_id, id) WHERE store_id IS NOT NULL;

-- default_place: the node or store of addresses that have no user, "*@domain".
ALTER TABLE mq.domains
	ADD COLUMN is_clustered boolean NOT NULL DEFAULT false,
	ADD COLUMN default_place text COLLATE "C" NOT NULL DEFAULT '';

-- Work on files, done by the node that serves the store; or by a node, where
-- there is no store.
CREATE TABLE mq.tasks (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	store_id bigint REFERENCES mq.stores ON DELETE CASCADE,
	node text COLLATE "C" REFERENCES mq.nodes ON UPDATE CASCADE
		ON DELETE CASCADE,
	kind text COLLATE "C" NOT NULL,
	args jsonb NOT NULL DEFAULT '{}',
	state text COLLATE "C" NOT NULL DEFAULT 'waiting'
		CHECK (state IN ('waiting', 'running', 'done', 'failed')),
	attempts int NOT NULL DEFAULT 0,
	result text NOT NULL DEFAULT '',
	claimed_by text COLLATE "C",
	claimed_epoch bigint,
	created timestamptz NOT NULL DEFAULT now(),
	not_before timestamptz NOT NULL DEFAULT now(),
	ended timestamptz,
	CHECK (store_id IS NOT NULL OR node IS NOT NULL)
);
CREATE INDEX ON mq.tasks (not_before) WHERE state IN ('waiting', 'running');
CREATE INDEX ON mq.tasks (ended);

CREATE TABLE mq.moves (
	user_id bigint PRIMARY KEY REFERENCES mq.users ON DELETE CASCADE,
	from_store bigint NOT NULL REFERENCES mq.stores,
	to_store bigint NOT NULL REFERENCES mq.stores,
	state text COLLATE "C" NOT NULL DEFAULT 'waiting',
	pass int NOT NULL DEFAULT 0,
	bytes bigint NOT NULL DEFAULT 0,
	files bigint NOT NULL DEFAULT 0,
	error text NOT NULL DEFAULT '',
	began timestamptz NOT NULL DEFAULT now(),
	changed timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON mq.moves (from_store);
CREATE INDEX ON mq.moves (to_store);

-- hash: SHA-256 of the token, in hex.  node '': of any name.
CREATE TABLE mq.join_tokens (
	hash text COLLATE "C" PRIMARY KEY CHECK (hash ~ '^[0-9a-f]{64}$'),
	node text COLLATE "C" NOT NULL DEFAULT '',
	created timestamptz NOT NULL DEFAULT now(),
	expires timestamptz NOT NULL,
	used_by text COLLATE "C",
	used timestamptz
);

-- Control files that a node which joins begins with.
CREATE TABLE mq.settings (
	name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z0-9_]{1,64}$'),
	value text NOT NULL,
	changed timestamptz NOT NULL DEFAULT now()
);

-- domains: those that a domain administrator is limited to; '{}': none.
CREATE TABLE mq.admins (
	name text COLLATE "C" PRIMARY KEY
		CHECK (octet_length(name) BETWEEN 1 AND 64 AND
			name !~ '[\x01-\x20\x7f]'),
	hash text COLLATE "C" NOT NULL DEFAULT '*'
		CHECK (octet_length(hash) <= 511 AND hash !~ '[:\x01-\x1f\x7f]'),
	is_active boolean NOT NULL DEFAULT true,
	domains text[] COLLATE "C" NOT NULL DEFAULT '{}',
	failures int NOT NULL DEFAULT 0,
	locked_until timestamptz,
	last_login timestamptz,
	created timestamptz NOT NULL DEFAULT now(),
	changed timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mq.admin_rights (
	admin text COLLATE "C" NOT NULL REFERENCES mq.admins ON UPDATE CASCADE
		ON DELETE CASCADE,
	program text COLLATE "C" NOT NULL CHECK (program ~ '^[A-Za-z0-9._-]{1,64}$'),
	pattern text NOT NULL DEFAULT '*',
	changed timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (admin, program)
);

CREATE TABLE mq.audit (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	node text COLLATE "C" NOT NULL DEFAULT '',
	who text NOT NULL,
	from_ip text COLLATE "C" NOT NULL DEFAULT '',
	what text NOT NULL,
	args text NOT NULL DEFAULT '',
	result text NOT NULL DEFAULT '',
	ms bigint NOT NULL DEFAULT 0
);
CREATE INDEX ON mq.audit (at);
CREATE INDEX ON mq.audit (who, at);

-- Changes.

ALTER TABLE mq.changes DROP CONSTRAINT changes_kind_check;
ALTER TABLE mq.changes ADD CONSTRAINT changes_kind_check CHECK (kind IN
	('user', 'domain', 'alias', 'limits', 'filters', 'node', 'store'));

-- Of a node or a store, its name, with no domain.  A lease that is renewed is
-- no change.
CREATE FUNCTION mq.note_cluster() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - 'lease_until' =
		to_jsonb(NEW) - 'lease_until' THEN
		RETURN NULL;
	END IF;
	INSERT INTO mq.changes (kind, domain, name)
	SELECT DISTINCT TG_ARGV[0], '', name FROM (VALUES
		(CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD)->>'name' END),
		(CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW)->>'name' END))
		AS v(name)
	WHERE name IS NOT NULL;
	NOTIFY mq_changes;
	RETURN NULL;
END $$;
CREATE TRIGGER note_nodes AFTER INSERT OR UPDATE OR DELETE ON mq.nodes
	FOR EACH ROW EXECUTE FUNCTION mq.note_cluster('node');
CREATE TRIGGER note_stores AFTER INSERT OR UPDATE OR DELETE ON mq.stores
	FOR EACH ROW EXECUTE FUNCTION mq.note_cluster('store');
CREATE TRIGGER note_store_groups AFTER INSERT OR UPDATE OR DELETE
	ON mq.store_groups
	FOR EACH ROW EXECUTE FUNCTION mq.note_cluster('store');

-- Whoever waits for a task to come or to end listens.
CREATE FUNCTION mq.note_tasks() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	NOTIFY mq_tasks;
	RETURN NULL;
END $$;
CREATE TRIGGER note_tasks AFTER INSERT OR UPDATE OF state ON mq.tasks
	FOR EACH ROW EXECUTE FUNCTION mq.note_tasks();

CREATE FUNCTION mq.count_store_users(store_ids bigint[], sign int)
RETURNS void LANGUAGE sql SET search_path = pg_catalog AS $$
	INSERT INTO mq.store_users AS c (store_id, users)
	SELECT r.store_id, sign * count(*)
	FROM unnest(store_ids) AS r(store_id)
	JOIN mq.stores s ON s.id = r.store_id
	GROUP BY 1 ORDER BY 1
	ON CONFLICT (store_id) DO UPDATE SET users = c.users + excluded.users
$$;

CREATE FUNCTION mq.note_users_stores() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		PERFORM mq.count_store_users(array_agg(store_id), -1)
		FROM old_rows WHERE store_id IS NOT NULL;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		PERFORM mq.count_store_users(array_agg(store_id), 1)
		FROM new_rows WHERE store_id IS NOT NULL;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER count_insert AFTER INSERT ON mq.users
	REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION mq.note_users_stores();
CREATE TRIGGER count_update AFTER UPDATE ON mq.users
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION mq.note_users_stores();
CREATE TRIGGER count_delete AFTER DELETE ON mq.users
	REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION mq.note_users_stores();

-- Views for scripts and other software, with the reference's columns.

-- Where users are: the node that serves their store; '' is the node whose own
-- the domain is.  '*' is the default of a clustered domain.
CREATE OR REPLACE VIEW public.hostcntrl AS
	SELECT u.name AS pw_name, d.name AS pw_domain, u.hash AS pw_passwd,
		coalesce(s.node, '') COLLATE "default" AS host, u.changed AS timestamp
	FROM mq.users u JOIN mq.domains d ON d.id = u.domain_id
	LEFT JOIN mq.stores s ON s.id = u.store_id
	UNION ALL
	SELECT '*', d.name, '', coalesce(s.node, d.default_place) COLLATE "default",
		d.created
	FROM mq.domains d LEFT JOIN mq.stores s ON s.name = d.default_place
	WHERE d.is_clustered AND d.default_place <> '';

CREATE VIEW public.host_table AS
	SELECT name AS host, host AS ipaddr, joined AS timestamp FROM mq.nodes;

CREATE VIEW public.smtp_port AS
	SELECT n.name AS host, '*'::text AS src_host, d.name AS domain,
		n.smtp_port AS port, n.joined AS timestamp
	FROM mq.domains d CROSS JOIN mq.nodes n WHERE d.is_clustered;

-- The database is one for all; whoever is let in has no password from here.
CREATE VIEW public.dbinfo AS
	SELECT ''::text AS filename, d.name AS domain, 1 AS distributed,
		coalesce(host(inet_server_addr()), 'localhost') AS server,
		n.host AS mdahost, coalesce(inet_server_port(), 0) AS port,
		0 AS use_ssl, current_database()::text AS dbname,
		current_user::text AS "user", ''::text AS passwd,
		d.created AS timestamp
	FROM mq.domains d CROSS JOIN mq.nodes n WHERE d.is_clustered;

CREATE VIEW public.mgmtaccess AS
	SELECT name AS "user", hash AS pass, 0 AS pw_uid, 0 AS pw_gid,
		coalesce(extract(epoch FROM last_login), 0)::bigint AS lastaccess,
		extract(epoch FROM changed)::bigint AS lastupdate,
		to_char(coalesce(last_login, changed), 'DD') AS day,
		failures AS attempts,
		CASE WHEN is_active THEN '0' ELSE '1' END AS status,
		changed AS zztimestamp
	FROM mq.admins;

CREATE VIEW public.vpriv AS
	SELECT admin AS "user", program, pattern AS cmdswitches,
		changed AS timestamp
	FROM mq.admin_rights;
