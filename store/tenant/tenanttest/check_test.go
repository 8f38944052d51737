package tenanttest_test

import (
	"testing"

	"github.com/clientapps/clientapps/store/tenant/tenanttest"
)

// perClient are the tables of the store that have client_id.
var perClient = []string{"apps", "app_changes", "client_app_counts", "token_clients"}

func check(text string) error {
	_, err := tenanttest.Check(text, perClient)
	return err
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`SELECT * FROM apps WHERE client_id = $1`,
		`select * from "apps" where "client_id" = ? and id = ? limit 1`,
		"SELECT * FROM `apps` WHERE `apps`.`client_id` = ? ORDER BY id",
		`SELECT * FROM public.apps WHERE client_id = 'aa7cf840-9ca9-46a3-9778-9015d6580d50'`,
		`SELECT * FROM apps WHERE client_id = $1::uuid FOR UPDATE OF apps`,
		`SELECT * FROM apps WHERE ((client_id = $1 AND id = $2)) AND (version = 3 OR version = 4)`,
		`SELECT a.* FROM apps a JOIN app_changes AS c ON c.client_id = a.client_id AND c.app_id = a.id WHERE a.client_id = $1`,
		`SELECT a.* FROM apps a LEFT JOIN app_changes c ON c.client_id = $1 AND c.app_id = a.id WHERE a.client_id = $1`,
		`SELECT a.* FROM apps a, app_changes c WHERE c.client_id = a.client_id AND a.client_id = $1`,
		`SELECT * FROM apps a WHERE client_id = $1 AND EXISTS (SELECT 1 FROM app_changes c WHERE c.client_id = a.client_id)`,
		`SELECT id FROM apps WHERE client_id = $1 UNION ALL SELECT app_id FROM app_changes WHERE client_id = $2`,
		`WITH mine AS (SELECT * FROM apps WHERE client_id = $1) SELECT * FROM mine ORDER BY id`,
		`WITH gone AS (DELETE FROM apps WHERE client_id = $1 RETURNING id) SELECT count(*) FROM gone`,
		`SELECT count(*) FROM (SELECT id FROM apps WHERE client_id = $1 FOR UPDATE) AS held`,
		`UPDATE apps SET is_favorite = $1 WHERE client_id = $2 AND license_count IS DISTINCT FROM $3 RETURNING *`,
		`UPDATE apps AS a SET is_favorite = v.f FROM (VALUES (true, 'x')) AS v (f, id) WHERE a.client_id = $1 AND a.id = v.id`,
		`UPDATE apps SET version = 2 FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS p (whose, v, n) WHERE client_id = whose AND name_key = v`,
		`DELETE FROM apps WHERE client_id = $1 AND id = $2`,
		`DELETE FROM apps USING app_changes c WHERE apps.client_id = $1 AND c.client_id = apps.client_id`,
		`INSERT INTO apps (client_id, id) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING`,
		`INSERT INTO apps (client_id, id) VALUES ($1, $2) ON CONFLICT (client_id, id) DO UPDATE SET is_favorite = excluded.is_favorite`,
		`SELECT * FROM catalog_apps WHERE id = $1`,
		`SELECT apps_of FROM my_apps`,
		`CREATE TEMPORARY TABLE import_rows AS SELECT id FROM catalog_apps WHERE false`,
		`SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off`,
	} {
		if err := check(text); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
	for _, text := range []string{
		`SELECT * FROM apps`,
		`SELECT * FROM APPS`,
		`SELECT * FROM "Apps" WHERE id = $1`,
		`SELECT * FROM 'apps'`,
		`SELECT * FROM [apps]`,
		`SELECT * FROM public.apps`,
		`SELECT * FROM apps WHERE apps.id = $1`,
		`SELECT * FROM apps WHERE client_id = client_id`,
		`SELECT * FROM apps WHERE client_id = apps.client_id`,
		`SELECT * FROM apps WHERE client_id = ANY ($1)`,
		`SELECT * FROM apps WHERE client_id = (SELECT client_id FROM token_clients WHERE client_id = $1)`,
		`SELECT * FROM apps WHERE client_id >= $1`,
		`SELECT * FROM apps WHERE client_id = $1 || ''`,
		`SELECT * FROM apps WHERE client_id = $1 IS NOT NULL`,
		`SELECT * FROM apps WHERE client_id = $1 = false`,
		`SELECT * FROM apps WHERE NOT client_id = $1`,
		`SELECT * FROM apps WHERE NOT (client_id = $1)`,
		`SELECT * FROM apps WHERE client_id = $1 OR true`,
		`SELECT * FROM apps WHERE (client_id = $1 AND id = $2) OR version = 1`,
		`SELECT * FROM apps WHERE (client_id = $1 OR id = $2) AND version = 1`,
		`SELECT * FROM apps WHERE version BETWEEN 1 AND client_id = $1`,
		`SELECT * FROM apps WHERE CASE WHEN version = 1 AND client_id = $1 AND id = $2 THEN true ELSE true END`,
		`SELECT * FROM apps WHERE coalesce((client_id = $1), true)`,
		`SELECT client_id = $1 FROM apps`,
		`SELECT * FROM apps ORDER BY client_id = $1`,
		`SELECT * FROM apps GROUP BY id HAVING client_id = $1`,
		`SELECT count(*) FILTER (WHERE client_id = $1) FROM apps`,
		`SELECT * FROM apps WHERE client_id = $1 UNION SELECT * FROM apps`,
		`SELECT * FROM apps a JOIN apps b ON a.id = b.id WHERE a.client_id = $1`,
		`SELECT * FROM apps a JOIN apps b ON a.client_id = $1 WHERE b.client_id = $1`,
		`SELECT * FROM apps a LEFT JOIN app_changes c ON a.client_id = $1 AND c.client_id = $1`,
		`SELECT * FROM app_changes c RIGHT JOIN apps a ON a.client_id = $1 AND c.client_id = a.client_id`,
		`SELECT * FROM app_changes c JOIN apps a ON a.client_id = $1 AND left(a.id, 1) = 'a' OR true WHERE c.client_id = $1`,
		`SELECT * FROM app_changes c JOIN apps a ON a.client_id = $1 AND NOT false OR true WHERE c.client_id = $1`,
		`SELECT * FROM (apps CROSS JOIN app_changes) WHERE apps.client_id = $1`,
		`SELECT * FROM app_changes NATURAL JOIN apps WHERE client_id = $1`,
		`SELECT * FROM app_changes AS apps WHERE apps.client_id = $1`,
		`SELECT * FROM catalog_apps WHERE id IN (SELECT catalog_app_id FROM apps)`,
		`SELECT * FROM catalog_apps WHERE id IN (TABLE apps)`,
		`SELECT * FROM catalog_apps WHERE id IN apps`,
		`SELECT *, (SELECT count(*) FROM apps) FROM catalog_apps`,
		`SELECT * FROM apps a WHERE client_id = $1 AND EXISTS (SELECT 1 FROM app_changes c, catalog_apps a WHERE c.client_id = a.client_id)`,
		`SELECT * FROM apps a WHERE id = $1 AND EXISTS (SELECT 1 FROM app_changes c WHERE c.client_id = a.client_id)`,
		`WITH all_of_them AS (SELECT * FROM apps) SELECT * FROM all_of_them WHERE client_id = $1`,
		`WITH apps AS (SELECT * FROM catalog_apps) SELECT * FROM apps`,
		`UPDATE apps SET is_favorite = true`,
		`UPDATE apps SET is_favorite = true WHERE id = $1`,
		`UPDATE apps SET client_id = $1 WHERE client_id = $2`,
		`UPDATE apps SET (id, client_id) = ($1, $2) WHERE client_id = $3`,
		`UPDATE OR REPLACE apps SET id = $1 WHERE client_id = $2`,
		`UPDATE apps SET is_favorite = true FROM app_changes c WHERE apps.client_id = $1`,
		`UPDATE apps SET is_favorite = (SELECT bool_or(is_favorite) FROM apps) WHERE client_id = $1`,
		`DELETE FROM apps`,
		`DELETE FROM apps USING app_changes c WHERE c.client_id = $1`,
		`UPDATE apps SET version = 2 FROM unnest(ARRAY (SELECT client_id FROM token_clients WHERE client_id = $1)) AS p (whose) WHERE client_id = whose`,
		`UPDATE apps SET version = 2 FROM unnest(apps.clients) AS p (whose) WHERE client_id = whose`,
		`UPDATE apps SET version = 2 FROM unnest($1::uuid[]) AS p (whose) WHERE client_id <> whose`,
		`UPDATE apps SET version = 2 FROM anything($1::uuid[]) AS p (whose) WHERE client_id = whose`,
		`INSERT INTO apps VALUES ($1, $2)`,
		`INSERT INTO apps (id) VALUES ($1)`,
		`INSERT INTO apps (client_id) SELECT client_id FROM token_clients WHERE client_id = $1`,
		`INSERT INTO apps DEFAULT VALUES`,
		`INSERT OR REPLACE INTO apps (client_id, id) VALUES ($1, $2)`,
		`REPLACE INTO apps (client_id, id) VALUES ($1, $2)`,
		`INSERT INTO apps (client_id, id) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET is_favorite = true`,
		`INSERT INTO apps (client_id, id) VALUES ($1, $2) ON CONFLICT ON CONSTRAINT apps_pkey DO UPDATE SET is_favorite = true`,
		`INSERT INTO apps (client_id, id) VALUES ($1, $2) ON CONFLICT (client_id) DO NOTHING ON CONFLICT (id) DO UPDATE SET id = $2`,
		`INSERT INTO apps (client_id, id) VALUES ($1, $2) ON CONFLICT (client_id, id) DO UPDATE SET client_id = $3`,
		`INSERT INTO apps (client_id, id) VALUES ($1, (SELECT id FROM apps))`,
		`MERGE INTO apps USING catalog_apps ON apps.client_id = $1 WHEN MATCHED THEN DELETE`,
		`TRUNCATE apps`, `COPY apps TO STDOUT`, `LOCK TABLE apps`, `DROP TABLE apps`, `TABLE apps`, `VACUUM apps`,
		`EXPLAIN ANALYZE DELETE FROM apps WHERE client_id = $1`,
		`CREATE TABLE x AS SELECT * FROM apps WHERE client_id = $1`,
		`SELECT 1; SELECT * FROM apps WHERE client_id = $1`,
		`SELECT * FROM apps -- WHERE client_id = $1`,
		`SELECT * FROM apps WHERE /* client_id = $1 AND */ client_id = $1`,
		`DO $$ BEGIN DELETE FROM apps; END $$`,
		`SELECT * FROM apps WHERE type = E'\' AND client_id = $1 --'`,
		`SELECT * FROM apps WHERE client_id = $1 AND (version = 1`,
		`SELECT * FROM apps WHERE client_id = $1)`,
		`SELECT * FROM apps WHERE client_id = 'it''s'`,
		`SELECT * FROM app_changes WHERE app_id = $1`,
		`SELECT * FROM token_clients WHERE token_id = $1`,
	} {
		if check(text) == nil {
			t.Errorf("the check passes %s", text)
		}
	}
}
