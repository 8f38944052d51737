package store_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestServerRole checks that the role of the server can do what the server does, and can neither change the schema nor the history.
func TestServerRole(t *testing.T) {
	t.Parallel()
	owner, role := storetest.Roles(t)
	s := openSeeded(t, role, storetest.Page(), withClock(&storetest.Clock{}))
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	must(s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(7)}, writer, nil))(t)
	if len(history(t, s, pageApp)) == 0 {
		t.Error("no history")
	}
	must(s.ImportCatalog(t.Context(), catalogRows(catalogRow("Zoom", nil)), alice, store.ImportOptions{}))(t)
	if queryOne[int](t, storetest.SQL(t, owner), "SELECT count(*) FROM catalog_changes WHERE actor_name = 'alice'") == 0 {
		t.Error("no history of the catalog")
	}
	must(s.ImportApps(t.Context(), pageApp.ClientID, appRows(store.AppRow{Name: "zoom"}), writer, store.ImportOptions{}))(t)
	must(s.ListChanges(t.Context(), pageApp.ClientID, store.ChangeFilter{}, store.ChangeStart{}, 10))(t) // begins an incarnation of the feed
	// All that the worker and the callers of webhooks do.
	hook := newHook(t, s, &pageApp.ClientID, "")
	newHook(t, s, nil, "")
	setCount(t, s, pageApp, 8)
	must(s.MarkWebhooks(t.Context()))(t)
	hooks := must(s.ClaimWebhooks(t.Context(), idOf("worker"), store.WebhookActive, 10, hookLease))(t)
	for i := range hooks {
		if len(keepNext(t, s, &hooks[i]).Rows) != 1 {
			t.Error("the change is not there")
		}
		if err := s.FinishWebhookAttempt(t.Context(), &hooks[i], attempt(&hooks[i], ""), store.WebhookNext{}, hookLease); err != nil {
			t.Error(err)
		}
		changes := must(s.ReadWebhook(t.Context(), &hooks[i], 10))(t)
		if err := s.ReleaseWebhook(t.Context(), &hooks[i], &changes); err != nil || len(hooks) != 2 {
			t.Errorf("%d webhooks, %v", len(hooks), err)
		}
	}
	for _, method := range []string{"UpdateWebhook", "activate", "RotateWebhookSecret", "ReplayWebhook", "BeginWebhookTest", "ListWebhookDeliveries", "DeleteWebhook"} {
		if err := onHooks[method](t, s, nil, hook.ID); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	if _, err := s.PruneWebhookDeliveries(t.Context()); err != nil {
		t.Error(err)
	}
	newHook(t, s, &pageApp.ClientID, "") // ends with its client
	db := storetest.SQL(t, role)
	for _, statement := range []string{
		"CREATE TABLE mine (id int)", "CREATE TEMPORARY TABLE mine (id int)", "CREATE SCHEMA mine",
		"CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE INDEX mine ON apps (version)",
		"DROP TABLE app_changes", "TRUNCATE apps", "ALTER TABLE apps ADD COLUMN mine int", "ALTER TABLE apps OWNER TO CURRENT_USER",
		"ALTER TABLE apps DISABLE TRIGGER apps_history", "DROP TRIGGER apps_history ON apps", "DROP FUNCTION record_app_changes() CASCADE",
		"CREATE TRIGGER mine AFTER INSERT ON apps FOR EACH ROW EXECUTE FUNCTION record_app_changes()",
		"UPDATE app_changes SET actor_name = 'mallory'", "DELETE FROM app_changes", "TRUNCATE app_changes",
		"INSERT INTO app_changes SELECT * FROM app_changes ON CONFLICT (client_id, app_id, version, field) DO UPDATE SET actor_name = 'mallory'",
		"UPDATE catalog_changes SET actor_name = 'mallory'", "DELETE FROM catalog_changes", "TRUNCATE catalog_changes",
		"INSERT INTO catalog_changes SELECT revision + 1, entity, entity_id, field, old_value, new_value, actor_id, actor_name, request_id, " +
			"changed_at FROM catalog_changes",
		"ALTER TABLE catalog_vendors DISABLE TRIGGER catalog_vendors_history", "DROP FUNCTION end_catalog_changes() CASCADE",
		"CREATE TRIGGER mine AFTER INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION record_catalog_changes('vendor', 'name')",
		"SELECT record_catalog_changes()",
		"DELETE FROM clients", "DELETE FROM client_app_counts",
		"UPDATE goose_db_version SET version_id = 99", "DELETE FROM goose_db_version",
		"SET session_replication_role = replica", "CREATE ROLE mallory",
	} {
		_, err := db.ExecContext(t.Context(), statement)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s: %v", statement, err)
		}
	}
	erased := must(db.ExecContext(t.Context(), "SELECT erase_client($1, 1000)", pageApp.ClientID))(t)
	if len(history(t, s, pageApp)) == 0 {
		t.Errorf("the history of a client that is not being deleted was erased: %v", erased)
	}
	suspend(t, s, pageApp.ClientID)
	if gone := must(s.DeleteClient(t.Context(), pageApp.ClientID, writer, nil))(t); !gone {
		t.Error("the client is not gone")
	}
	if err := openWithoutPolling(t, owner).Migrate(t.Context()); err != nil {
		t.Errorf("the owner cannot migrate again: %v", err)
	}
}
