package store

import (
	"context"
	"errors"
	"regexp"
	"sync"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/changefeed"
	"github.com/clientapps/clientapps/store/tenant/tenanttest"
)

// Write returns the store's pool for writing, for statements that the store does not send.
func Write(s *Store) *gorm.DB { return s.writer }

// Read returns the store's pool for reading.
func Read(s *Store) *gorm.DB { return s.reader }

// PerClient returns the tables that the guard covers.
func PerClient() []string { return tenantTables }

// Unguard removes the guard.
func Unguard(s *Store) error {
	err := tenantGuard.Unregister(s.writer)
	if s.reader != s.writer {
		err = errors.Join(err, tenantGuard.Unregister(s.reader))
	}
	return err
}

// AfterStatement calls seen after every statement that gorm sends. The statement has its connection.
func AfterStatement(s *Store, seen func(*gorm.Statement)) error {
	for _, db := range []*gorm.DB{s.writer, s.reader} {
		callback := func(tx *gorm.DB) {
			if tx.Statement.SQL.Len() > 0 && !tx.DryRun {
				seen(tx.Statement)
			}
		}
		on := db.Callback()
		for _, register := range []func(string, func(*gorm.DB)) error{
			on.Create().After("*").Register, on.Query().After("*").Register, on.Update().After("*").Register,
			on.Delete().After("*").Register, on.Row().After("*").Register, on.Raw().After("*").Register,
		} {
			if err := register("test:statement", callback); err != nil {
				return err
			}
		}
	}
	return nil
}

// SingleShard returns an error for a statement that needs more than one shard of a database that is distributed by client. It is the
// check of all statements of tests, with two differences: unnest may list values of many clients, and clients is a table of one row for
// each client.
func SingleShard(text string) error {
	text = regexp.MustCompile(`(?i)\bunnest\b`).ReplaceAllString(text, "list")
	if _, err := tenanttest.Check(text, []string{"apps", "app_changes", "client_app_counts"}); err != nil {
		return err
	}
	_, err := tenanttest.Check(regexp.MustCompile(`(?i)\bid\b`).ReplaceAllString(text, "client_id"), []string{"clients"})
	return err
}

// MaxWriters bounds the transactions with patches that are in flight.
const MaxWriters = maxWriters

// Share acquires a connection from the client's share of the pool.
func Share(ctx context.Context, s *Store, client uuid.UUID) (release func(), err error) {
	return s.acquire(ctx, clientShare(client))
}

// ShareOfClient returns how many connections the writes of one client may hold.
func ShareOfClient(s *Store) int {
	each, _ := s.shares.Bounds()
	return each
}

// SharesWaiting returns how many writes wait for a share.
func SharesWaiting(s *Store) int { return s.shares.Stats().Waiting }

// HoldLoad blocks every load of the catalog until release is called.
func HoldLoad(s *Store) (release func()) { return sync.OnceFunc(s.catalog.Hold()) }

// FeedRange returns the horizon and the end of the change feed.
func FeedRange(ctx context.Context, s *Store) (horizon, end int64, err error) {
	err = s.readFeed(ctx, func(_ *gorm.DB, state changefeed.State) error {
		horizon, end = state.Horizon, state.End
		return nil
	})
	return horizon, end, err
}
