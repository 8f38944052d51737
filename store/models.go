package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/changefeed"
	"github.com/clientapps/clientapps/store/keyset"
	"github.com/clientapps/clientapps/store/tenant"
)

// Client is an organization whose apps are kept.
type Client struct {
	ID        uuid.UUID
	Name      string
	NameKey   string
	Status    string // StatusActive or StatusSuspended
	Version   int64
	ActorID   uuid.UUID
	ActorName string
	RequestID string
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`

	DeletingSince *time.Time // nil: it is not being deleted
}

// The values of Client.Status.
const (
	StatusActive    = "active"
	StatusSuspended = "suspended" // its apps cannot be written
)

// Vendor makes catalog apps. URL is nil when it is not known.
type Vendor struct {
	ID        uuid.UUID
	Name      string
	NameKey   string
	URL       *string
	Version   int64
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

// TableName implements gorm's Tabler.
func (Vendor) TableName() string { return "catalog_vendors" }

// Category says what a catalog app is for.
type Category struct {
	ID        uuid.UUID
	Name      string
	NameKey   string
	Version   int64
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

// TableName implements gorm's Tabler.
func (Category) TableName() string { return "catalog_categories" }

// CatalogApp is a known app. Vendor and Categories are filled by the catalog snapshot, not by gorm.
type CatalogApp struct {
	ID            uuid.UUID
	CanonicalName string
	NameKey       string
	Description   *string
	DisplayColour *string
	Logo          *string
	Type          *string
	VendorID      *uuid.UUID
	Version       int64
	CreatedAt     time.Time `gorm:"autoCreateTime:false"`
	UpdatedAt     time.Time `gorm:"autoUpdateTime:false"`

	Vendor     *Vendor    `gorm:"-"`
	Categories []Category `gorm:"-"` // by folded name
	tag        string     // changes with anything shown
	rendering  *encodedOnce
}

// CatalogAppCategory puts a catalog app into a category.
type CatalogAppCategory struct {
	CatalogAppID uuid.UUID
	CategoryID   uuid.UUID
}

// App is an app of one client: what the client decided about a catalog app.
type App struct {
	ClientID     uuid.UUID `gorm:"primaryKey"`
	ID           uuid.UUID `gorm:"primaryKey"`
	CatalogAppID uuid.UUID
	NameKey      string // of the catalog app
	IsFavorite   bool
	IsApproved   bool
	LicenseCount *int32 // nil when licenses are not tracked
	Version      int64  // 1, then one more with each change
	ActorID      uuid.UUID
	ActorName    string
	RequestID    string
	CreatedAt    time.Time `gorm:"autoCreateTime:false"`
	UpdatedAt    time.Time `gorm:"autoUpdateTime:false"`

	Catalog *CatalogApp `gorm:"-"`
}

// AppChange is one field of an app that somebody changed, or of a client: then AppID is zero. OldValue and NewValue are JSON texts.
type AppChange struct {
	ClientID uuid.UUID
	AppID    uuid.UUID

	CatalogAppID *uuid.UUID // nil of a client

	Version   int64 // of the app after the change: orders the changes of one app
	Position  int64 // orders the changes of all apps; changes of one transaction may share it
	Field     string
	OldValue  string
	NewValue  string
	ActorID   uuid.UUID
	ActorName string
	RequestID string
	ChangedAt time.Time
}

// CatalogChange is one field of the catalog that somebody changed. OldValue and NewValue are JSON texts.
type CatalogChange struct {
	Revision  int64  // of the catalog: orders the changes, and is committed with them
	Entity    string // catalog_app, vendor or category
	EntityID  uuid.UUID
	Field     string // that of the entity's own name: it was created or removed
	OldValue  string
	NewValue  string
	ActorID   uuid.UUID
	ActorName string
	RequestID string
	ChangedAt time.Time // never before that of an earlier revision
}

// Actor is the author of a write, and its request. The change history shows both.
type Actor struct {
	ID        uuid.UUID
	Name      string
	RequestID string
}

// AppKey names one app of one client.
type AppKey struct {
	ClientID uuid.UUID
	ID       uuid.UUID
}

// URLPattern is a pattern of URLs by which a catalog app is recognized.
type URLPattern struct {
	ID           uuid.UUID
	CatalogAppID uuid.UUID
	Pattern      string
	NameKey      string
	CreatedAt    time.Time `gorm:"autoCreateTime:false"`
}

// TableName implements gorm's Tabler.
func (URLPattern) TableName() string { return "catalog_url_patterns" }

// DesktopAlias is a name under which the program of a catalog app is installed.
type DesktopAlias struct {
	ID           uuid.UUID
	CatalogAppID uuid.UUID
	Alias        string
	NameKey      string
	CreatedAt    time.Time `gorm:"autoCreateTime:false"`
}

// TableName implements gorm's Tabler.
func (DesktopAlias) TableName() string { return "catalog_desktop_aliases" }

// Dataset is rows as they shall stand in the database, ids and times included.
type Dataset struct {
	Clients       []Client
	Vendors       []Vendor
	Categories    []Category
	CatalogApps   []CatalogApp
	AppCategories []CatalogAppCategory
	Apps          []App
	Tokens        []Token
	Webhooks      []Webhook
}

// Seed writes a dataset in one transaction. Rows that are there already stay as they are. NameKey and Version are set here. Which
// clients a token covers is added to what it covers already.
func (s *Store) Seed(ctx context.Context, data Dataset) error {
	for i := range data.Clients {
		data.Clients[i].NameKey, data.Clients[i].Version = casefold.Name(data.Clients[i].Name), 1
	}
	for i := range data.Vendors {
		data.Vendors[i].NameKey, data.Vendors[i].Version = casefold.Name(data.Vendors[i].Name), 1
	}
	for i := range data.Categories {
		data.Categories[i].NameKey, data.Categories[i].Version = casefold.Name(data.Categories[i].Name), 1
	}
	for i := range data.CatalogApps {
		data.CatalogApps[i].NameKey, data.CatalogApps[i].Version = casefold.Name(data.CatalogApps[i].CanonicalName), 1
	}
	for i := range data.Webhooks {
		data.Webhooks[i].Version, data.Webhooks[i].Key = 1, changefeed.Before(0).String()
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
			s.lockCatalog(tx, Actor{}),
			insertNew(tenant.CrossTenant(tx, "rows of many clients, as they are given"), data.Clients), insertNew(tx, data.Vendors), insertNew(tx, data.Categories),
			insertNew(tx, data.CatalogApps), insertNew(tx, data.AppCategories),
			insertNew(tenant.CrossTenant(tx, "rows of many clients, as they are given"), data.Apps),
			insertNew(tx, data.Tokens),
			insertNew(tenant.CrossTenant(tx, "rows of many clients, as they are given"), data.grants()),
			insertNew(tenant.CrossTenant(tx, "rows of many clients, as they are given"), data.Webhooks),
			bumpCatalog(tx, nil),
		)
	})
	if err != nil {
		return s.translate("seed", err)
	}
	_, err = s.refreshCatalog(ctx)
	return err
}

// grants has a row for each client of each token.
func (data Dataset) grants() (rows []TokenClient) {
	for _, token := range data.Tokens {
		rows = append(rows, token.grants()...)
	}
	return rows
}

func insertNew[T any](tx *gorm.DB, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	return tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, 500).Error
}

// Page asks for one page of a list.
type Page = keyset.Page[Column]

// Position is the position of a row in its list.
type Position = keyset.Position

// List is one page of a list.
type List[T any] = keyset.List[T]

// ErrPosition says that Page.After cannot be the position of a row in this list: no server has made it.
var ErrPosition = keyset.ErrPosition

type (
	listing[T any] = keyset.Listing[Column, T]
	sortKey[T any] = keyset.Key[T]
)
