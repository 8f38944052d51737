package store

import (
	"time"

	"github.com/google/uuid"
)

// Client is an organization whose apps are kept.
type Client struct {
	ID        uuid.UUID
	Name      string
	NameKey   string
	Status    string // "active" or "suspended"
	Version   int64
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

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

// AppChange is one field of an app that somebody changed. OldValue and NewValue are JSON texts.
type AppChange struct {
	ClientID  uuid.UUID
	AppID     uuid.UUID
	Version   int64 // of the app after the change: orders the changes of one app
	Field     string
	OldValue  string
	NewValue  string
	ActorID   uuid.UUID
	ActorName string
	RequestID string
	ChangedAt time.Time
}

// Actor is who writes, and under which request. The change history shows it.
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
