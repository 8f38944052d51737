package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/fold"
	"github.com/clientapps/clientapps/store/tenant"
)

// Dataset is rows as they shall stand in the database, ids and times included.
type Dataset struct {
	Clients       []Client
	Vendors       []Vendor
	Categories    []Category
	CatalogApps   []CatalogApp
	AppCategories []CatalogAppCategory
	Apps          []App
	Tokens        []Token
}

// Seed writes a dataset in one transaction. Rows that are there already stay as they are. NameKey and Version are set here.
func (s *Store) Seed(ctx context.Context, data Dataset) error {
	for i := range data.Clients {
		data.Clients[i].NameKey, data.Clients[i].Version = fold.Name(data.Clients[i].Name), 1
	}
	for i := range data.Vendors {
		data.Vendors[i].NameKey, data.Vendors[i].Version = fold.Name(data.Vendors[i].Name), 1
	}
	for i := range data.Categories {
		data.Categories[i].NameKey, data.Categories[i].Version = fold.Name(data.Categories[i].Name), 1
	}
	for i := range data.CatalogApps {
		data.CatalogApps[i].NameKey, data.CatalogApps[i].Version = fold.Name(data.CatalogApps[i].CanonicalName), 1
	}
	keys := map[uuid.UUID]string{}
	for _, a := range data.CatalogApps {
		keys[a.ID] = a.NameKey
	}
	for i := range data.Apps {
		data.Apps[i].Version = 1
		if data.Apps[i].NameKey == "" {
			data.Apps[i].NameKey = keys[data.Apps[i].CatalogAppID]
		}
	}
	err := s.inTx(ctx, shareKey{}, nil, func(tx *gorm.DB) error {
		return errors.Join(
			insertNew(tx, data.Clients), insertNew(tx, data.Vendors), insertNew(tx, data.Categories),
			insertNew(tx, data.CatalogApps), insertNew(tx, data.AppCategories),
			insertNew(tenant.CrossTenant(tx, "rows of many clients, as they are given"), data.Apps),
			insertNew(tx, data.Tokens),
			bumpCatalog(tx, nil),
		)
	})
	if err != nil {
		return s.translate("seed", err)
	}
	_, err = s.refreshCatalog(ctx)
	return err
}

func insertNew[T any](tx *gorm.DB, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	return tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, 500).Error
}
