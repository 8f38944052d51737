package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store/changefeed"
)

const (
	// changePollInterval is how often a server looks for changes while somebody follows them.
	changePollInterval = 250 * time.Millisecond
	// changeHubSize is how many of the newest changes a server remembers for those who follow.
	changeHubSize = 4096
	changeHubPage = 500
	// changeLagWarning is how long a transaction may hold the feed up before the log says so.
	changeLagWarning = time.Minute
	// changeCountInterval is how often a server asks how many changes are kept.
	changeCountInterval = time.Minute
)

// ChangeStream follows a feed from one place on.
type ChangeStream struct {
	s     *Store
	scope changeScope
	next  ChangeStart
	ended error // what Next returns from now on
	leave func()
}

// FollowChanges returns a stream of what ListChanges returns. Its errors come with the first Next. Close has to be called.
func (s *Store) FollowChanges(clientID uuid.UUID, f ChangeFilter, from ChangeStart) *ChangeStream {
	return &ChangeStream{s: s, scope: changeScope{client: &clientID, filter: f}, next: from, leave: s.changes.Join()}
}

// FollowAllChanges returns a stream of what ListAllChanges returns.
func (s *Store) FollowAllChanges(by *Token, f ChangeFilter, from ChangeStart) *ChangeStream {
	return &ChangeStream{s: s, scope: changeScope{by: by, filter: f}, next: from, leave: s.changes.Join()}
}

// Close ends the stream.
func (c *ChangeStream) Close() { c.leave() }

// Next returns at most size changes as soon as there are some, or none when the time is up. All streams of a server wait for one reader of
// the database: see readForStreams. It returns NotFoundError once the client of the stream is deleted.
func (c *ChangeStream) Next(ctx context.Context, wait time.Duration, size int) (ChangeList, error) {
	if c.ended != nil {
		return ChangeList{}, c.ended
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		list, more, err := c.read(ctx, size)
		if err != nil {
			return ChangeList{}, err
		}
		c.next = ChangeStart{After: &list.Next}
		if len(list.Rows) > 0 || c.ended != nil {
			c.s.changesSent.Add(uint64(len(list.Rows)))
			return list, nil
		}
		if list.More { // at once, but for no longer than there is time
			more = closedChan
		}
		select {
		case <-more:
		case <-timer.C:
			return list, nil
		case <-ctx.Done():
			return ChangeList{}, ctx.Err()
		}
	}
}

// closedChan is a channel that is closed.
var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// read returns what is next, from memory if that reaches back so far, and what is closed when there is more.
func (c *ChangeStream) read(ctx context.Context, size int) (list ChangeList, more <-chan struct{}, err error) {
	key, err := parseChangePosition(c.next.After)
	if err != nil {
		return ChangeList{}, nil, err
	}
	items, end, more, known := c.s.changes.After(key)
	if known && c.next.After != nil && c.next.After.SortKey == c.s.nonce() {
		list.Next = Position{SortKey: c.next.After.SortKey, TieBreaker: end.String()}
		for i := range items {
			change := &items[i].Value
			if id := c.scope.client; id != nil && *id == change.ClientID && change.deletesClient() { // whatever the filter
				c.ended = &NotFoundError{Kind: KindClient, ID: *id}
				break
			}
			if !c.scope.contains(change) {
				continue
			}
			if list.Rows = append(list.Rows, *change); len(list.Rows) == size {
				list.Next.TieBreaker, list.More = items[i].Key.String(), true
				break
			}
		}
		return list, more, nil
	}
	ctx, cancel := c.s.bounded(ctx)
	defer cancel()
	if c.scope.client != nil {
		list, err = c.s.ListChanges(ctx, *c.scope.client, c.scope.filter, c.next, size)
	} else {
		list, err = c.s.ListAllChanges(ctx, c.scope.by, c.scope.filter, c.next, size)
	}
	return list, more, err
}

func (s *Store) nonce() string {
	nonce, _ := s.changeNonce.Load().(string)
	return nonce
}

// readForStreams reads the feed for all streams of this server, until ctx ends, and watches how far the feed is behind and
// how many changes are kept. While there are no streams it checks once per idle interval.
func (s *Store) readForStreams(ctx context.Context, idle time.Duration) {
	var at ChangeStart
	var counted time.Time
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changes.Joined():
		case <-timer.C:
		}
		following := s.changes.Followers() > 0
		if !following {
			at = ChangeStart{}
			s.changes.Reset()
		}
		next, err := s.publishChanges(ctx, at, following)
		switch {
		case errors.Is(err, changefeed.ErrDistributed):
			return // there is nothing to follow
		case errors.Is(err, ErrCursorExpired):
			at = ChangeStart{} // the streams find out by themselves
			s.changes.Reset()
		case err != nil && ctx.Err() == nil:
			s.log.Warn("read changes", "error", err)
		case err == nil:
			at = next
		}
		if now := s.now(); s.changeLag.ShouldWarn(changeLagWarning, now) {
			s.log.Warn("the change feed waits for a transaction that has written and does not end", "lag", s.changeLag.At(now).Round(time.Second))
		}
		if err == nil && time.Since(counted) >= changeCountInterval {
			counted = time.Now()
			s.countChanges(ctx)
		}
		timer.Reset(changePollInterval)
		if !following {
			timer.Reset(idle)
		}
	}
}

// countChanges notes about how many changes are kept.
func (s *Store) countChanges(ctx context.Context) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n, err := changefeed.CountKept(s.reader.WithContext(ctx), s.db)
	if err != nil {
		s.log.Debug("count the changes that are kept", "error", err)
		return
	}
	s.changesKept.Store(n)
}

// publishChanges publishes what is new after a position, if there are followers, and returns the position after that.
func (s *Store) publishChanges(ctx context.Context, at ChangeStart, following bool) (ChangeStart, error) {
	for {
		ctx, cancel := s.bounded(ctx)
		list, err := s.readChanges(ctx, changeScope{}, orEndOfFeed(at, s.now()), changeHubPage)
		cancel()
		if err != nil || !following {
			return at, err
		}
		end, err := parseChangePosition(&list.Next)
		if err != nil {
			return at, err
		}
		begin := end
		if at.After != nil {
			if begin, err = parseChangePosition(at.After); err != nil {
				return at, err
			}
		}
		items := make([]changefeed.Item[AppChange], len(list.Rows))
		for i, change := range list.Rows {
			items[i] = changefeed.Item[AppChange]{Key: change.key(), Value: change}
		}
		s.changeNonce.Store(list.Next.SortKey)
		s.changes.Publish(begin, items, end)
		at = ChangeStart{After: &list.Next}
		if !list.More {
			return at, nil
		}
	}
}

// orEndOfFeed returns the position, or the end of the feed if there is none.
func orEndOfFeed(at ChangeStart, now time.Time) ChangeStart {
	if at.After == nil {
		future := now.Add(time.Hour)
		at.Since = &future
	}
	return at
}
