package main

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// groupCommit lets writes that wait at the same moment share a statement and a commit. A single write is sent at once; writes that arrive
// meanwhile are sent together.
type groupCommit struct {
	db      *pgxpool.Pool
	mu      sync.Mutex
	waiting []*write
	busy    map[key]bool // apps with a write in flight: another write of the same app waits
	workers int
}

type write struct {
	key    key
	change change
	by     actor
	app    *app // the answer
	found  bool
	err    error
	done   chan struct{}
}

const (
	maxWorkers = 2
	maxBatch   = 64
)

func (c *groupCommit) do(w *write) (found bool, err error) {
	w.done = make(chan struct{})
	c.mu.Lock()
	c.waiting = append(c.waiting, w)
	if c.workers < maxWorkers {
		c.workers++
		go c.work()
	}
	c.mu.Unlock()
	<-w.done
	return w.found, w.err
}

func (c *groupCommit) work() {
	for batch := c.nextBatch(nil); batch != nil; batch = c.nextBatch(batch) {
		err := c.send(batch)
		for _, w := range batch {
			w.err = err
			close(w.done)
		}
	}
}

// nextBatch releases the written apps and returns the next batch. nil ends the worker.
func (c *groupCommit) nextBatch(written []*write) (batch []*write) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range written {
		delete(c.busy, w.key)
	}
	rest := c.waiting[:0]
	for _, w := range c.waiting {
		if len(batch) == maxBatch || c.busy[w.key] {
			rest = append(rest, w)
			continue
		}
		c.busy[w.key] = true
		batch = append(batch, w)
	}
	clear(c.waiting[len(rest):])
	c.waiting = rest
	if batch == nil {
		c.workers--
	}
	return batch
}

const batchUpdate = `
	UPDATE apps a SET
		is_favorite = CASE WHEN w.set & 1 <> 0 THEN w.favorite ELSE a.is_favorite END,
		is_approved = CASE WHEN w.set & 2 <> 0 THEN w.approved ELSE a.is_approved END,
		license_count = CASE WHEN w.set & 4 <> 0 THEN w.licenses ELSE a.license_count END,
		actor_id = w.actor_id, actor_name = w.actor_name, request_id = w.request_id, updated_at = $1, version = a.version + 1
	FROM unnest($2::uuid[], $3::uuid[], $4::int[], $5::bool[], $6::bool[], $7::int[], $8::uuid[], $9::text[], $10::text[])
		AS w (client_id, id, set, favorite, approved, licenses, actor_id, actor_name, request_id)
	WHERE a.client_id = w.client_id AND a.id = w.id AND (
		w.set & 1 <> 0 AND a.is_favorite <> w.favorite OR w.set & 2 <> 0 AND a.is_approved <> w.approved OR
		w.set & 4 <> 0 AND a.license_count IS DISTINCT FROM w.licenses)
	RETURNING a.client_id, ` + appColumns

const batchRead = `SELECT a.client_id, ` + appColumns + `
	FROM unnest($1::uuid[], $2::uuid[]) AS w (client_id, id) JOIN apps a ON a.client_id = w.client_id AND a.id = w.id`

// send writes a batch in the order of the keys, and reads the rows that it did not change.
func (c *groupCommit) send(batch []*write) error {
	slices.SortFunc(batch, func(x, y *write) int {
		if order := bytes.Compare(x.key.client[:], y.key.client[:]); order != 0 {
			return order
		}
		return bytes.Compare(x.key.app[:], y.key.app[:])
	})
	n := len(batch)
	clients, apps, actors := make([][16]byte, n), make([][16]byte, n), make([][16]byte, n)
	sets, licenses := make([]int32, n), make([]*int32, n)
	favorites, approvals := make([]bool, n), make([]bool, n)
	names, requests := make([]string, n), make([]string, n)
	byKey := make(map[key]*write, n)
	for i, w := range batch {
		clients[i], apps[i], actors[i] = w.key.client, w.key.app, w.by.id
		sets[i], licenses[i] = int32(w.change.set), w.change.licenses
		favorites[i], approvals[i] = w.change.favorite, w.change.approved
		names[i], requests[i] = w.by.name, w.by.requestID
		byKey[w.key] = w
	}
	// No request's context: a client that hangs up must not cancel the batch.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	rows, err := c.db.Query(ctx, batchUpdate, time.Now().UTC().Truncate(time.Millisecond),
		clients, apps, sets, favorites, approvals, licenses, actors, names, requests)
	if err != nil {
		return err
	}
	if err := deliver(rows, byKey); err != nil || len(byKey) == 0 {
		return err
	}
	clients, apps = clients[:0], apps[:0]
	for k := range byKey {
		clients, apps = append(clients, k.client), append(apps, k.app)
	}
	if rows, err = c.db.Query(ctx, batchRead, clients, apps); err != nil {
		return err
	}
	return deliver(rows, byKey)
}

// deliver passes the rows to the waiting writes.
func deliver(rows pgx.Rows, byKey map[key]*write) error {
	defer rows.Close()
	for rows.Next() {
		var client [16]byte
		var a app
		if err := rows.Scan(append([]any{&client}, a.targets(false)...)...); err != nil {
			return err
		}
		k := key{client, a.id}
		if w := byKey[k]; w != nil {
			*w.app, w.found = a, true
			delete(byKey, k)
		}
	}
	return rows.Err()
}
