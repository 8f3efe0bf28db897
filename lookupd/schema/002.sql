-- SPDX-License-Identifier: ISC
--
-- What is kept by a user's name goes with the user, whoever removes or renames
-- him: who gets the name later must not get the filters, which may send his
-- mail to the one before him.

CREATE FUNCTION mq.follow_users() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		DELETE FROM mq.filters f USING old_rows o
		WHERE f.domain_id = o.domain_id AND f.user_name = o.name;
		DELETE FROM mq.limits l USING old_rows o
		WHERE l.domain_id = o.domain_id AND l.user_name = o.name;
		RETURN NULL;
	END IF;
	UPDATE mq.filters f SET domain_id = n.domain_id, user_name = n.name
	FROM old_rows o JOIN new_rows n ON n.id = o.id
	WHERE (o.domain_id, o.name) <> (n.domain_id, n.name)
		AND f.domain_id = o.domain_id AND f.user_name = o.name;
	UPDATE mq.limits l SET domain_id = n.domain_id, user_name = n.name
	FROM old_rows o JOIN new_rows n ON n.id = o.id
	WHERE (o.domain_id, o.name) <> (n.domain_id, n.name)
		AND l.domain_id = o.domain_id AND l.user_name = o.name;
	RETURN NULL;
END $$;

CREATE TRIGGER follow_delete AFTER DELETE ON mq.users
	REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION mq.follow_users();
CREATE TRIGGER follow_update AFTER UPDATE ON mq.users
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION mq.follow_users();

-- Those whose users have gone before.
DELETE FROM mq.filters f WHERE NOT EXISTS (SELECT 1 FROM mq.users u
	WHERE u.domain_id = f.domain_id AND u.name = f.user_name);
DELETE FROM mq.limits l WHERE l.user_name <> '' AND NOT EXISTS (
	SELECT 1 FROM mq.users u
	WHERE u.domain_id = l.domain_id AND u.name = l.user_name);
