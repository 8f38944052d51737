package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/etag"
	"github.com/clientapps/clientapps/store/keyset"
	"github.com/clientapps/clientapps/store/tenant"
)

// ColumnClientID is the field of a ConflictError that speaks of a client's id.
const ColumnClientID Column = tenant.Column

// ETag is an opaque text that changes with anything the client shows.
func (c Client) ETag() string { return etag.OfVersion(c.Version) }

// GetClient returns one client, or NotFoundError, also while it is being deleted.
func (s *Store) GetClient(ctx context.Context, id uuid.UUID) (Client, error) {
	client, err := takeClient(s.reader.WithContext(ctx).Where("deleting_since IS NULL"), id)
	if missing := (*NotFoundError)(nil); errors.As(err, &missing) {
		return Client{}, missing
	}
	return client, s.translate("get client", err)
}

// takeClient reads a client, also one that is being deleted, unless q leaves it out.
func takeClient(q *gorm.DB, id uuid.UUID) (client Client, err error) {
	err = q.Where("id = ?", id).Take(&client).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = &NotFoundError{Kind: KindClient, ID: id}
	}
	return client, err
}

// checkActive returns NotFoundError or ClientSuspendedError when the apps of the client cannot be written.
func (s *Store) checkActive(ctx context.Context, id uuid.UUID) error {
	client, err := s.GetClient(ctx, id)
	if err == nil && client.Status != StatusActive {
		err = &ClientSuspendedError{ID: id}
	}
	return err
}

// whereActive adds the condition that the client, an id or what stands for it in SQL, is active. Clients that are not have an index
// of their own, so that this costs little. A statement that began before its client was suspended may still write:
// see UpdateClient.
func whereActive(q *gorm.DB, client any) *gorm.DB {
	return q.Where(clientIsActive, client)
}

const clientIsActive = "NOT EXISTS (SELECT 1 FROM clients WHERE clients.id = ? AND clients.status <> 'active')"

var clientListing = listing[Client]{
	Keys: map[Column]sortKey[Client]{
		ColumnName:      keyset.TextKey("name_key", func(c Client) string { return c.NameKey }),
		ColumnCreatedAt: keyset.TimeKey("created_at", func(c Client) time.Time { return c.CreatedAt }),
		ColumnUpdatedAt: keyset.TimeKey("updated_at", func(c Client) time.Time { return c.UpdatedAt }),
	},
	TieColumn:       "id",
	TieBreaker:      func(c Client) string { return c.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

// ListClients returns one page of the clients that the token covers and whose name has the query in it.
func (s *Store) ListClients(ctx context.Context, token *Token, query string, p Page) (List[Client], error) {
	q := s.contains(s.reader.Where("deleting_since IS NULL"), query)
	if !token.AllClients {
		q = whereIn(q, "id", token.ClientIDs)
	}
	list, err := clientListing.Page(ctx, q, p, nil)
	return list, s.translate("list clients", err)
}

// CreateClient adds an active client with this id. Names need not be unique. ConflictError says that a client has the id, or had it
// before it was deleted.
func (s *Store) CreateClient(ctx context.Context, id uuid.UUID, name string, by Actor) (Client, error) {
	now := s.now()
	client := Client{
		ID: id, Name: name, NameKey: casefold.Name(name), Status: StatusActive, Version: 1,
		ActorID: by.ID, ActorName: by.Name, RequestID: by.RequestID, CreatedAt: now, UpdatedAt: now,
	}
	made := func(db *gorm.DB) (bool, error) {
		var n int64
		own := tenant.Of(db, id).Model(&AppChange{}).Where("app_id = ? AND version = 1", uuid.Nil)
		err := own.Where("actor_id = ? AND request_id = ? AND changed_at = ?", by.ID, by.RequestID, now).Count(&n).Error
		return n > 0, err
	}
	err := s.inTx(ctx, clientShare(id), made, func(tx *gorm.DB) error {
		err := tx.Create(&client).Error
		if uniqueViolation(err) {
			return &ConflictError{Field: ColumnClientID, ID: id}
		}
		if err != nil {
			return err
		}
		// Looked up after the row is there: until then, the transaction that erases a client of this id may not have ended.
		deleted, err := deletionBegan(tx, id)
		if deleted {
			return &ConflictError{Field: ColumnClientID, ID: id}
		}
		return err
	})
	if err != nil {
		return Client{}, s.translate("create client", err)
	}
	return client, nil
}

// UpdateClient sets fields of a client, as UpdateApp does of an app.
//
// When it returns a suspended client, no write to the client's apps is under way on any server, and each that begins later fails
// with ClientSuspendedError. InDoubtError says that the client is suspended, but that a write may still be under way.
func (s *Store) UpdateClient(ctx context.Context, id uuid.UUID, fields Fields, by Actor, match *IfMatch) (Client, error) {
	client, err := s.setClient(ctx, id, fields, by, match)
	if err == nil && fields[ColumnStatus] == StatusSuspended && !isDryRun(ctx) {
		err = s.translate("suspend client", s.finishAfterCommit(ctx, s.awaitWriters))
	}
	return client, err
}

// awaitWriters returns when the writes to apps that are under way have ended, on all servers. Those that begin later see the
// clients' status as it is now.
func (s *Store) awaitWriters(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.db.AwaitWriters(ctx, "apps", "clients")
}

func (s *Store) setClient(ctx context.Context, id uuid.UUID, fields Fields, by Actor, match *IfMatch) (Client, error) {
	for range 10 {
		seen, err := s.GetClient(ctx, id)
		if err != nil {
			return Client{}, err
		}
		if err := match.Check(seen.ETag()); err != nil {
			return Client{}, err
		}
		if fields.alreadyIn(seen.fields()) {
			return seen, nil
		}
		client, changed, err := s.updateClient(ctx, seen, fields, by)
		if isDryRun(ctx) {
			client.Version = seen.Version
		}
		if changed || err != nil {
			return client, err
		}
	}
	return Client{}, &UnavailableError{reason: ReasonConflict, cause: fmt.Errorf("client %s changes too often", id)}
}

// updateClient changes a client if it still has the version that was seen.
func (s *Store) updateClient(ctx context.Context, seen Client, fields Fields, by Actor) (client Client, changed bool, err error) {
	now := maxTime(s.now(), seen.UpdatedAt)
	extra := nameKeyColumns(fields, ColumnName)
	maps.Copy(extra, s.auditColumns(by, gorm.Expr("?", now)))
	committed := func(db *gorm.DB) (bool, error) {
		err := db.Where("id = ?", seen.ID).Take(&client).Error
		changed = client.UpdatedAt.Equal(now) && fields.alreadyIn(client.fields())
		if err == nil && client.Version > seen.Version+1 {
			err = errCannotTell
		}
		return client.Version == seen.Version+1 && changed, err
	}
	err = s.inTx(ctx, clientShare(seen.ID), committed, func(tx *gorm.DB) error {
		key := tx.Clauses(clause.Returning{}).Where("id = ? AND deleting_since IS NULL", seen.ID)
		res := fields.patch(key, &client, extra, seen.Version)
		changed = res.RowsAffected == 1
		return res.Error
	})
	return client, changed, s.translate("update client", err)
}

// AllClients returns every client, by folded name and id.
func (s *Store) AllClients(ctx context.Context) ([]Client, error) {
	var clients []Client
	err := s.reader.WithContext(ctx).Order("name_key, id").Find(&clients).Error
	return clients, s.translate("list clients", err)
}

// lockClient locks a client whose apps are to be written: "UPDATE" for an import, which excludes all other writes that add apps; "KEY
// SHARE" for adding one app; "SHARE" keeps the client's status as it is. NotFoundError says that there is no such client,
// ClientSuspendedError that it is suspended.
func lockClient(tx *gorm.DB, id uuid.UUID, strength string) error {
	client, err := takeClient(tx.Clauses(clause.Locking{Strength: strength}).Where("deleting_since IS NULL"), id)
	if err == nil && client.Status != StatusActive {
		err = &ClientSuspendedError{ID: id}
	}
	return err
}
