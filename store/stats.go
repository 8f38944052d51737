package store

import (
	"database/sql"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/groupcommit"
)

// Stats is what an operator wants to know of an open store: how it is at this moment, and what it has done since Open.
type Stats struct {
	Pools   []PoolStats
	Catalog CatalogStats
	Tokens  TokenStats
	Patches PatchStats
	Shares  ShareStats

	// LockTimeouts counts waits for locks that came to their bound, by what waited.
	LockTimeouts map[string]uint64
}

// PoolStats describes one pool of database connections.
type PoolStats struct {
	Name    string // write and read on SQLite, shared on PostgreSQL
	Max     int    // connections at most
	InUse   int
	Idle    int
	Waits   int64         // how often a statement had to wait for a connection
	Waiting time.Duration // for how long, altogether
}

// CatalogStats describes the snapshot of the catalog. Its first four fields are zero until somebody has asked for the catalog.
type CatalogStats struct {
	Apps     int
	Revision int64
	LoadedAt time.Time // when the snapshot was read or brought up to date
	Checked  time.Time // when it was last known to be the newest
	Loads    uint64    // how often that was done
	Failures uint64    // how often the database did not say whether there is a newer one
}

// TokenStats describes the cache of tokens.
type TokenStats struct {
	Entries int    // about
	Hits    uint64 // requests whose token was remembered, known or not
	Misses  uint64 // requests whose token had to be looked up

	Statements uint64 // that looked up tokens, each as many as waited
	Refused    uint64 // requests whose token found too many waiting
}

// PatchStats describes the patches of apps that share transactions.
type PatchStats = groupcommit.Stats

// ShareStats describes the writes that wait for their client's share of the connections.
type ShareStats struct {
	Waiting  int           // at this moment
	Waits    uint64        // how often one had to wait
	WaitTime time.Duration // for how long they waited, altogether
}

// Stats never asks the database.
func (s *Store) Stats() Stats {
	stats := Stats{
		Catalog: s.counts.catalog(), Patches: s.patches.Stats(), Shares: s.shares.stats(),
		LockTimeouts: s.counts.lockTimeouts.stats(),
	}
	if c := s.catalog.Load(); c != nil {
		stats.Catalog.Apps, stats.Catalog.Revision, stats.Catalog.LoadedAt = len(c.all()), c.revision, c.loadedAt
	}
	stats.Tokens = TokenStats{
		Entries: s.tokens.known.EstimatedSize() + s.tokens.unknown.EstimatedSize(),
		Hits:    s.counts.tokenHits.Load(), Misses: s.counts.tokenMisses.Load(),
	}
	stats.Tokens.Statements, stats.Tokens.Refused = s.lookups.counts()
	if s.read == s.write {
		stats.Pools = []PoolStats{poolStats("shared", s.write)}
	} else {
		stats.Pools = []PoolStats{poolStats("write", s.write), poolStats("read", s.read)}
	}
	return stats
}

// counts is what the store counts of its own doing.
type counts struct {
	tokenHits, tokenMisses atomic.Uint64
	catalogLoads           atomic.Uint64
	catalogFailures        atomic.Uint64
	catalogChecked         atomic.Pointer[time.Time]
	lockTimeouts           lockTimeouts
}

func (c *counts) catalog() CatalogStats {
	stats := CatalogStats{Loads: c.catalogLoads.Load(), Failures: c.catalogFailures.Load()}
	if at := c.catalogChecked.Load(); at != nil {
		stats.Checked = *at
	}
	return stats
}

func poolStats(name string, g *gorm.DB) PoolStats {
	var stats sql.DBStats
	if pool, err := g.DB(); err == nil { // it always has one
		stats = pool.Stats()
	}
	return PoolStats{
		Name: name, Max: stats.MaxOpenConnections, InUse: stats.InUse, Idle: stats.Idle,
		Waits: stats.WaitCount, Waiting: stats.WaitDuration,
	}
}
