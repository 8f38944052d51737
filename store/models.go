package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/changefeed"
	"github.com/clientapps/clientapps/store/keyset"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/sqlite"
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
	etag       string     // changes with anything shown
	encoded    *encodedOnce
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
	LicenseCount *int32    // nil when licenses are not tracked
	Version      int64     // 1, then one more with each change
	CreatedAt    time.Time `gorm:"autoCreateTime:false"`
	UpdatedAt    time.Time `gorm:"autoUpdateTime:false"`

	// Who wrote it last. Only the trigger that writes the history reads these columns.
	ActorID   uuid.UUID
	ActorName string
	RequestID string

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

// Dataset has rows as they are to be stored, ids and times included.
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

// grants returns a row for each client of each token.
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

// Column is a column that a patch may set, or that a list may be sorted by. Client text never becomes one: the constants
// below are all there are.
type Column string

// The columns of the catalog and of clients that a patch may set.
const (
	ColumnCanonicalName Column = "canonical_name"
	ColumnDescription   Column = "description"
	ColumnDisplayColour Column = "display_colour"
	ColumnLogo          Column = "logo"
	ColumnType          Column = "type"
	ColumnVendorID      Column = "vendor_id"
	ColumnName          Column = "name"
	ColumnURL           Column = "url"
	ColumnStatus        Column = "status"
	ColumnFields        Column = "fields"
)

// The columns that a list may be sorted by, beside the names above.
const (
	ColumnCreatedAt Column = "created_at"
	ColumnUpdatedAt Column = "updated_at"
	ColumnPattern   Column = "pattern"
	ColumnAlias     Column = "alias"
	ColumnVersion   Column = "version"

	ColumnAttemptedAt Column = "attempted_at"
)

// Fields is a patch: a column that is absent keeps its value, nil clears it, any other value sets it.
type Fields map[Column]any

// alreadyIn reports whether a row, given as the columns that a patch may set, has every value of the patch already.
func (f Fields) alreadyIn(row Fields) bool {
	for column, value := range f {
		if have, ok := row[column]; !ok || have != value {
			return false
		}
	}
	return true
}

// orNil returns the value of a nullable column in the form of Fields.
func orNil[T any](value *T) any {
	if value == nil {
		return nil
	}
	return *value
}

func (a CatalogApp) fields() Fields {
	return Fields{
		ColumnCanonicalName: a.CanonicalName, ColumnDescription: orNil(a.Description),
		ColumnDisplayColour: orNil(a.DisplayColour), ColumnLogo: orNil(a.Logo), ColumnType: orNil(a.Type),
		ColumnVendorID: orNil(a.VendorID),
	}
}

// set gives the catalog app the values of a patch. The key of its name is not touched.
func (a *CatalogApp) set(f Fields) {
	if name := f.text(ColumnCanonicalName); name != nil {
		a.CanonicalName = *name
	}
	for column, field := range map[Column]**string{
		ColumnDescription: &a.Description, ColumnDisplayColour: &a.DisplayColour, ColumnLogo: &a.Logo, ColumnType: &a.Type,
	} {
		if _, given := f[column]; given {
			*field = f.text(column)
		}
	}
	if _, given := f[ColumnVendorID]; given {
		a.VendorID = f.id(ColumnVendorID)
	}
}

func (v Vendor) fields() Fields { return Fields{ColumnName: v.Name, ColumnURL: orNil(v.URL)} }

func (c Category) fields() Fields { return Fields{ColumnName: c.Name} }

func (c Client) fields() Fields { return Fields{ColumnName: c.Name, ColumnStatus: c.Status} }

// text returns a text that the patch sets, or nil.
func (f Fields) text(column Column) *string {
	if v, ok := f[column].(string); ok {
		return &v
	}
	return nil
}

// id returns an id that the patch sets, or nil.
func (f Fields) id(column Column) *uuid.UUID {
	if v, ok := f[column].(uuid.UUID); ok {
		return &v
	}
	return nil
}

// nameKeyColumns returns the column with the folded form of a name that the patch sets, or no column.
func nameKeyColumns(f Fields, name Column) map[string]any {
	if v, ok := f[name].(string); ok {
		return map[string]any{"name_key": casefold.Name(v)}
	}
	return map[string]any{}
}

// whereIn selects rows whose column has one of the values, a slice. The slice is one parameter, so that the text of the statement
// does not depend on its length, and the database parses it once.
func whereIn(q *gorm.DB, column string, values any) *gorm.DB {
	if q.Name() == postgres.Name {
		return q.Where(column+" = ANY(?)", postgres.Array{Values: values})
	}
	element := "value"
	if _, ok := values.([][]byte); ok {
		element = "unhex(value)"
	}
	return q.Where(column+" IN (SELECT "+element+" FROM json_each(?))", sqlite.Array{Values: values})
}

// The columns of an app that a patch may set.
const (
	ColumnIsFavorite   Column = "is_favorite"
	ColumnIsApproved   Column = "is_approved"
	ColumnLicenseCount Column = "license_count"
)

// appField is a field of an app that a patch may set. These are derived from appFields: the statements of
// patches and their results, reading, comparing, the probe of a patch in doubt, imports.
type appField struct {
	column   Column
	pgType   string // its type in PostgreSQL
	nullable bool

	get    func(*App) any      // the value as Fields has it
	set    func(a *App, v any) // takes what get returns
	target func(*App) any      // a pointer, for rows and JSON to be read into

	scan func(a *App, v any) error // takes what the driver of SQLite returns
}

// appFields are the fields of an app that a patch may set.
var appFields = []appField{
	valueField(ColumnIsFavorite, "boolean", func(a *App) *bool { return &a.IsFavorite }),
	valueField(ColumnIsApproved, "boolean", func(a *App) *bool { return &a.IsApproved }),
	nullableField(ColumnLicenseCount, "integer", func(a *App) **int32 { return &a.LicenseCount }),
}

// AppFieldColumns lists the columns of an app that a patch may set.
func AppFieldColumns() []Column {
	columns := make([]Column, len(appFields))
	for i, f := range appFields {
		columns[i] = f.column
	}
	return columns
}

// appFieldNames lists the same columns as texts.
func appFieldNames() []string {
	var names []string
	for _, column := range AppFieldColumns() {
		names = append(names, string(column))
	}
	return names
}

func valueField[T any](column Column, pgType string, at func(*App) *T) appField {
	return appField{
		column: column, pgType: pgType,
		get:    func(a *App) any { return *at(a) },
		set:    func(a *App, v any) { *at(a), _ = v.(T) },
		target: func(a *App) any { return at(a) },
		scan: func(a *App, v any) error {
			var value sql.Null[T]
			err := value.Scan(v)
			*at(a) = value.V
			return err
		},
	}
}

func nullableField[T any](column Column, pgType string, at func(*App) **T) appField {
	return appField{
		column: column, pgType: pgType, nullable: true,
		get: func(a *App) any { return orNil(*at(a)) },
		set: func(a *App, v any) {
			*at(a) = nil
			if value, ok := v.(T); ok {
				*at(a) = &value
			}
		},
		target: func(a *App) any { return at(a) },
		scan: func(a *App, v any) error {
			var value sql.Null[T]
			err := value.Scan(v)
			if *at(a) = nil; value.Valid {
				*at(a) = &value.V
			}
			return err
		},
	}
}

func (a App) fields() Fields {
	fields := make(Fields, len(appFields))
	for _, f := range appFields {
		fields[f.column] = f.get(&a)
	}
	return fields
}

// set gives the app the values of a patch.
func (a *App) set(patch Fields) {
	for _, f := range appFields {
		if value, ok := patch[f.column]; ok {
			f.set(a, value)
		}
	}
}

// appendTargets appends what appFields are scanned into, in their order.
func (a *App) appendTargets(targets []any) []any {
	for _, f := range appFields {
		targets = append(targets, f.target(a))
	}
	return targets
}

// typedAppFields gives the values of a patch that was JSON the types that Fields has.
func typedAppFields(patch Fields) (Fields, error) {
	var app App
	typed := make(Fields, len(patch))
	for _, f := range appFields {
		value, ok := patch[f.column]
		if !ok {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, f.target(&app)); err != nil {
			return nil, fmt.Errorf("%s: %w", f.column, err)
		}
		typed[f.column] = f.get(&app)
	}
	return typed, nil
}
