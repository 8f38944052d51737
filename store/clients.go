package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/etag"
	"github.com/clientapps/clientapps/store/keyset"
)

// ETag is an opaque text that changes with anything the client shows.
func (c Client) ETag() string { return etag.OfVersion(c.Version) }

// GetClient returns one client, or NotFoundError.
func (s *Store) GetClient(ctx context.Context, id uuid.UUID) (Client, error) {
	var client Client
	err := s.read.WithContext(ctx).Where("id = ?", id).Take(&client).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Client{}, &NotFoundError{Kind: KindClient, ID: id}
	}
	return client, s.translate("get client", err)
}

var clientListing = listing[Client]{
	Keys: map[Column]sortKey[Client]{
		ColumnName:      keyset.TextKey("name_key", func(c Client) string { return c.NameKey }),
		ColumnCreatedAt: keyset.TimeKey("created_at", func(c Client) time.Time { return c.CreatedAt }),
		ColumnUpdatedAt: keyset.TimeKey("updated_at", func(c Client) time.Time { return c.UpdatedAt }),
	},
	Tie:  "id",
	Of:   func(c Client) string { return c.ID.String() },
	Tied: keyset.IsID,
}

// ListClients returns one page of the clients that the token covers and whose name has the query in it.
func (s *Store) ListClients(ctx context.Context, token *Token, query string, p Page) (List[Client], error) {
	q := s.contains(s.read, query)
	if !token.AllClients {
		q = whereIn(q, "id", token.ClientIDs)
	}
	list, err := clientListing.Page(ctx, q, p, nil)
	return list, s.translate("list clients", err)
}

// CreateClient adds an active client with a new id. Names need not be unique.
func (s *Store) CreateClient(ctx context.Context, name string) (Client, error) {
	now := s.now()
	client := Client{
		ID: uuid.New(), Name: name, NameKey: casefold.Name(name), Status: "active", Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	err := s.inTx(ctx, clientShare(client.ID), exists(&Client{}, client.ID), func(tx *gorm.DB) error { return tx.Create(&client).Error })
	if err != nil {
		return Client{}, s.translate("create client", err)
	}
	return client, nil
}

// UpdateClient sets fields of a client, as UpdateApp does of an app.
func (s *Store) UpdateClient(ctx context.Context, id uuid.UUID, fields Fields, match *IfMatch) (Client, error) {
	for range 10 {
		seen, err := s.GetClient(ctx, id)
		if err != nil {
			return Client{}, err
		}
		if err := match.Check(seen.ETag()); err != nil {
			return Client{}, err
		}
		if fields.in(seen.fields()) {
			return seen, nil
		}
		client, changed, err := s.updateClient(ctx, seen, fields)
		if changed || err != nil {
			return client, err
		}
	}
	return Client{}, &UnavailableError{reason: ReasonConflict, cause: fmt.Errorf("client %s changes too often", id)}
}

// updateClient changes a client if it still has the version that was seen.
func (s *Store) updateClient(ctx context.Context, seen Client, fields Fields) (client Client, changed bool, err error) {
	now := later(s.now(), seen.UpdatedAt)
	also := nameKey(fields, ColumnName)
	also["updated_at"] = now
	wrote := func(db *gorm.DB) (bool, error) {
		err := db.Where("id = ?", seen.ID).Take(&client).Error
		changed = client.UpdatedAt.Equal(now) && fields.in(client.fields())
		if err == nil && client.Version > seen.Version+1 {
			err = errCannotTell
		}
		return client.Version == seen.Version+1 && changed, err
	}
	err = s.inTx(ctx, clientShare(seen.ID), wrote, func(tx *gorm.DB) error {
		res := fields.patch(tx.Clauses(clause.Returning{}).Where("id = ?", seen.ID), &client, also, seen.Version)
		changed = res.RowsAffected == 1
		return res.Error
	})
	return client, changed, s.translate("update client", err)
}

// AllClients returns every client, by folded name and id.
func (s *Store) AllClients(ctx context.Context) ([]Client, error) {
	var clients []Client
	err := s.read.WithContext(ctx).Order("name_key, id").Find(&clients).Error
	return clients, s.translate("list clients", err)
}

// lockClient locks a client: "UPDATE" for an import, which excludes all other writes that add apps; "KEY SHARE" for adding one app.
// NotFoundError says that there is no such client.
func lockClient(tx *gorm.DB, id uuid.UUID, strength string) error {
	err := tx.Clauses(clause.Locking{Strength: strength}).Where("id = ?", id).Take(&Client{}).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return &NotFoundError{Kind: KindClient, ID: id}
	}
	return err
}
