package store

import (
	"context"
	"errors"
	"regexp"
	"sync"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/tenant/tenanttest"
)

// Write is the store's pool for writing, for statements that the store itself does not make.
func Write(s *Store) *gorm.DB { return s.write }

// Read is the store's pool for reading.
func Read(s *Store) *gorm.DB { return s.read }

// PerClient are the tables that the guard covers.
func PerClient() []string { return perClient }

// Unguard removes the guard.
func Unguard(s *Store) error {
	err := tenantGuard.Unregister(s.write)
	if s.read != s.write {
		err = errors.Join(err, tenantGuard.Unregister(s.read))
	}
	return err
}

// AfterStatement has seen told of every statement that gorm sends, after it, with the connection that it went to.
func AfterStatement(s *Store, seen func(*gorm.Statement)) error {
	for _, db := range []*gorm.DB{s.write, s.read} {
		tell := func(tx *gorm.DB) {
			if tx.Statement.SQL.Len() > 0 && !tx.DryRun {
				seen(tx.Statement)
			}
		}
		on := db.Callback()
		for _, register := range []func(string, func(*gorm.DB)) error{
			on.Create().After("*").Register, on.Query().After("*").Register, on.Update().After("*").Register,
			on.Delete().After("*").Register, on.Row().After("*").Register, on.Raw().After("*").Register,
		} {
			if err := register("test:statement", tell); err != nil {
				return err
			}
		}
	}
	return nil
}

// SingleShard says why a statement would need more than one machine of a database that is distributed by client, or nil. It is
// the check of all tests' statements, with two differences: a list of values may be of many clients, and a client is a row of its own.
func SingleShard(text string) error {
	text = regexp.MustCompile(`(?i)\bunnest\b`).ReplaceAllString(text, "list")
	if _, err := tenanttest.Check(text, []string{"apps", "app_changes", "client_app_counts"}); err != nil {
		return err
	}
	_, err := tenanttest.Check(regexp.MustCompile(`(?i)\bid\b`).ReplaceAllString(text, "client_id"), []string{"clients"})
	return err
}

// MaxWriters is how many transactions with patches are under way at once.
const MaxWriters = maxWriters

// Share takes a connection of the client's share of the pool, and returns what gives it back.
func Share(ctx context.Context, s *Store, client uuid.UUID) (release func(), err error) {
	return s.acquire(ctx, clientShare(client))
}

// Shares is how many connections the writes of one client may hold, and how many those of all.
func Shares(s *Store) (each, all int) { return s.shares.Bounds() }

// SharesWaiting is how many writes wait for a share, and how many clients have one.
func SharesWaiting(s *Store) (waiting, holders int) {
	stats := s.shares.Stats()
	return stats.Waiting, stats.Keys
}

// HoldLoad keeps every load of the catalog waiting until the function that it returns is called.
func HoldLoad(s *Store) (release func()) { return sync.OnceFunc(s.catalog.Hold()) }
