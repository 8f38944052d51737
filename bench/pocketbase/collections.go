package main

import (
	"fmt"
	"math"

	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tools/types"
)

// makeCollections creates the collections in the order of their references. Only administrators can use them. PocketBase checks no rules
// for administrators, which is fastest.
func makeCollections(app core.App) error {
	vendors, err := makeCollection(app, "catalog_vendors", &core.TextField{Name: "name"}, &core.TextField{Name: "url"})
	if err != nil {
		return err
	}
	categories, err := makeCollection(app, "catalog_categories", &core.TextField{Name: "name"})
	if err != nil {
		return err
	}
	catalog, err := makeCollection(
		app, "catalog_apps",
		&core.TextField{Name: "canonical_name"}, &core.TextField{Name: "description"}, &core.TextField{Name: "display_colour"},
		&core.TextField{Name: "logo"}, &core.TextField{Name: "type"}, relation("vendor_id", vendors, 1),
		relation("categories", categories, 100),
	)
	if err != nil {
		return err
	}
	clients, err := makeCollection(app, "clients", &core.TextField{Name: "name"})
	if err != nil {
		return err
	}
	_, err = makeCollection(
		app, "apps",
		relation("client_id", clients, 1), relation("catalog_app_id", catalog, 1), &core.TextField{Name: "name_key"},
		&core.BoolField{Name: "is_favorite"}, &core.BoolField{Name: "is_approved"},
		&core.NumberField{Name: "license_count", OnlyInt: true, Min: types.Pointer(0.0), Max: types.Pointer(float64(math.MaxInt32))},
	)
	return err
}

func makeCollection(app core.App, name string, fields ...core.Field) (*core.Collection, error) {
	c := core.NewBaseCollection(name)
	id, ok := c.Fields.GetByName("id").(*core.TextField)
	if !ok {
		return nil, fmt.Errorf("collection %s has no id", name)
	}
	id.Min, id.Max, id.Pattern, id.AutogeneratePattern = 36, 36, `^[a-z0-9\-]+$`, ""
	c.Fields.Add(fields...)
	c.Fields.Add(
		&core.AutodateField{Name: "created_at", OnCreate: true},
		&core.AutodateField{Name: "updated_at", OnCreate: true, OnUpdate: true},
	)
	if name == "apps" {
		c.AddIndex("apps_by_name", false, "client_id, name_key, id", "")
		c.AddIndex("apps_once", true, "client_id, catalog_app_id", "")
	}
	if err := app.Save(c); err != nil {
		return nil, fmt.Errorf("make collection %s: %w", name, err)
	}
	return c, nil
}

func relation(name string, to *core.Collection, most int) *core.RelationField {
	return &core.RelationField{Name: name, CollectionId: to.Id, MaxSelect: most}
}

// history has the triggers that write the history as in the server. PocketBase does not provide the actor, so its columns are empty.
const history = `
CREATE TABLE app_changes (
	client_id TEXT NOT NULL, app_id TEXT NOT NULL, version INTEGER PRIMARY KEY AUTOINCREMENT, field TEXT NOT NULL,
	old_value TEXT NOT NULL, new_value TEXT NOT NULL, actor_id TEXT NOT NULL DEFAULT '', actor_name TEXT NOT NULL DEFAULT '',
	request_id TEXT NOT NULL DEFAULT '', changed_at TEXT NOT NULL
);
CREATE TRIGGER apps_history_update AFTER UPDATE ON apps BEGIN
	INSERT INTO app_changes (client_id, app_id, field, old_value, new_value, changed_at)
	SELECT NEW.client_id, NEW.id, c.field, c.old_value, c.new_value, NEW.updated_at
	FROM (
		SELECT 'is_favorite' AS field, iif(OLD.is_favorite, 'true', 'false') AS old_value,
			iif(NEW.is_favorite, 'true', 'false') AS new_value
		UNION ALL SELECT 'is_approved', iif(OLD.is_approved, 'true', 'false'), iif(NEW.is_approved, 'true', 'false')
		UNION ALL SELECT 'license_count', CAST(OLD.license_count AS TEXT), CAST(NEW.license_count AS TEXT)
	) AS c
	WHERE c.old_value <> c.new_value;
END;`
