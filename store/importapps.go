package store

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/importspool"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
)

// AppRow is an app of a client as an import gives it: by the name of its catalog app. What a row does not give stays as
// it is, or as it is in a new app.
type AppRow struct {
	Line   int
	Name   string
	Fields Fields // as for UpdateApp
}

func (r AppRow) spooled() importspool.Row[AppRow] {
	return importspool.Row[AppRow]{Line: r.Line, Text: r.Name, Key: casefold.Name(r.Name), Of: r}
}

// ImportApps gives a client the apps that the rows say, all of them or none, and keeps those that it has beside them. What
// is as it should be is not written: the same rows again change nothing. ImportError says which rows are wrong,
// NotFoundError that there is no such client, ImportTimeError that it took longer than others may have to wait.
func (s *Store) ImportApps(ctx context.Context, clientID uuid.UUID, rows iter.Seq2[AppRow, error], by Actor, opts ImportOptions) (ImportResult, error) {
	if err := s.checkActive(ctx, clientID); err != nil {
		return ImportResult{}, err
	}
	m := appImport{clientID: clientID, by: by}
	err := importRows(ctx, s, "import apps", rows, opts, importSteps[AppRow]{
		share: clientShare(clientID),
		byKey: true,
		lock:  func(tx *gorm.DB) error { return lockClient(tx, clientID, "UPDATE") },
		begin: func(tx *gorm.DB) error {
			err := m.lock(tx)
			m.now, m.result = s.now(), ImportResult{}
			return err
		},
		check: checkKnown,
		write: m.merge,
		end:   func(*gorm.DB) error { return nil },
	})
	if err != nil {
		return ImportResult{}, err
	}
	return m.result, nil
}

// checkKnown finds rows whose name no catalog app has.
func checkKnown(tx *gorm.DB, b importspool.Batch[AppRow], refused *ImportError) error {
	known, err := entriesByName(tx, b.Rows)
	var unknown []RowError
	for _, r := range b.Rows {
		if _, ok := known[casefold.Name(r.Name)]; !ok {
			unknown = append(unknown, RowError{Line: r.Line, Message: fmt.Sprintf("canonical_name %q is not in the catalog", r.Name)})
		}
	}
	refused.merge(unknown, len(unknown))
	return err
}

// entriesByName returns the ids of the catalog apps that the rows name, by folded name.
func entriesByName(tx *gorm.DB, rows []AppRow) (map[string]uuid.UUID, error) {
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = casefold.Name(r.Name)
	}
	var found []CatalogApp
	err := whereIn(tx.Select("id, name_key"), "name_key", keys).Find(&found).Error
	ids := make(map[string]uuid.UUID, len(found))
	for _, e := range found {
		ids[e.NameKey] = e.ID
	}
	return ids, err
}

// appImport writes the rows of one import.
type appImport struct {
	clientID uuid.UUID
	by       Actor
	now      time.Time // when the rows were locked
	result   ImportResult
}

// lock keeps the catalog and the client's apps as they are, but for this import, which holds the client already. Apps are locked
// in the order of their ids, as in BulkSet.
func (m *appImport) lock(tx *gorm.DB) error {
	if err := lockCatalogShared(tx); err != nil {
		return err
	}
	var held int64
	apps := tenant.Of(tx, m.clientID).Model(&App{}).Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").Select("id")
	return tx.Table("(?) AS held", apps).Count(&held).Error
}

func (m *appImport) merge(tx *gorm.DB, b importspool.Batch[AppRow]) error {
	entry, err := entriesByName(tx, b.Rows)
	if err != nil {
		return err
	}
	var apps []App
	// The range makes either database use the index by name: it would read all of the client's apps for each batch where it knows
	// no better.
	keys := slices.Sorted(maps.Keys(entry))
	these := tenant.Of(tx, m.clientID).Where("name_key BETWEEN ? AND ?", keys[0], keys[len(keys)-1])
	if err := whereIn(these, "catalog_app_id", slices.Collect(maps.Values(entry))).Find(&apps).Error; err != nil {
		return err
	}
	have := make(map[uuid.UUID]App, len(apps))
	for _, app := range apps {
		have[app.CatalogAppID] = app
	}
	var write []App
	for _, r := range b.Rows {
		fields, err := typedAppFields(r.Fields) // they were JSON in the spool
		if err != nil {
			return err
		}
		key := casefold.Name(r.Name)
		app, known := have[entry[key]]
		switch {
		case !known:
			app = App{ClientID: m.clientID, ID: newID(), CatalogAppID: entry[key], NameKey: key, CreatedAt: m.now}
			m.result.Created++
		case fields.in(app.fields()):
			m.result.Unchanged++
			continue
		default:
			m.result.Updated++
		}
		app.set(fields)
		app.Version++
		app.ActorID, app.ActorName, app.RequestID, app.UpdatedAt = m.by.ID, m.by.Name, m.by.RequestID, later(m.now, app.UpdatedAt)
		write = append(write, app)
	}
	if len(write) == 0 {
		return nil
	}
	set := clause.AssignmentColumns(append(appFieldNames(), "version", "actor_id", "actor_name", "request_id", "updated_at"))
	if tx.Name() == postgres.Name { // see positioned
		position := gorm.Expr("greatest(apps.position, excluded.position)")
		set = append(set, clause.Assignment{Column: clause.Column{Name: "position"}, Value: position})
	}
	// One statement for both: the triggers make a history of insertions and another of updates.
	return tenant.Of(tx, m.clientID).Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "client_id"}, {Name: "id"}}, DoUpdates: set,
	}).Create(&write).Error
}
