package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestListWalkedWhileOthersWrite reads lists of random size in pages of random size, in every order. Other goroutines insert, delete,
// rename and change rows between two pages and during a page. The rows that they do not change must appear exactly once, in order.
func TestListWalkedWhileOthersWrite(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		still, moving := 15+random.IntN(25), 20
		data := walkData(random, still, moving)
		s := openSeeded(t, url, data)
		writes := startWriters(t, s, seed, data.CatalogApps[still:])

		for _, by := range []store.Column{store.ColumnCanonicalName, store.ColumnCreatedAt, store.ColumnUpdatedAt} {
			for _, desc := range []bool{false, true} {
				what := fmt.Sprintf("by %s, descending %t", by, desc)

				catalog := data.CatalogApps[:still]
				sortRows(catalog, desc, by, func(a store.CatalogApp) walked {
					return walked{a.ID, casefold.Name(a.CanonicalName), a.CreatedAt, a.UpdatedAt}
				})
				got := walk(t, random, writes, by, desc, func(p store.Page) (store.List[*store.CatalogApp], error) {
					return s.ListCatalogApps(t.Context(), store.CatalogFilter{}, p)
				}, func(a *store.CatalogApp) uuid.UUID { return a.ID })
				wantStill(t, "catalog "+what, got, catalog, func(a store.CatalogApp) uuid.UUID { return a.ID })

				apps := data.Apps[:still]
				of := func(a store.App) walked { return walked{a.ID, a.NameKey, a.CreatedAt, a.UpdatedAt} }
				sortRows(apps, desc, by, of)
				var seen []store.App
				got = walk(t, random, writes, by, desc, func(p store.Page) (store.List[store.App], error) {
					list, err := s.ListApps(t.Context(), idOf("Contoso"), store.AppFilter{}, p)
					seen = append(seen, list.Rows...)
					return list, err
				}, func(a store.App) uuid.UUID { return a.ID })
				wantStill(t, "apps "+what, got, apps, func(a store.App) uuid.UUID { return a.ID })
				// Rows that move may appear again, but each page begins behind the last row of the previous page.
				for n := 1; n < len(seen); n++ {
					if compareWalked(of(seen[n-1]), of(seen[n]), desc, by) >= 0 {
						t.Errorf("apps %s: behind %s comes %s", what, asJSON(t, seen[n-1]), asJSON(t, seen[n]))
					}
				}
			}
		}
	})
}

// walkData returns the apps of one client: first those that do not change, then those that the writers move.
func walkData(random *rand.Rand, still, moving int) store.Dataset {
	data := store.Dataset{Clients: []store.Client{client("Contoso")}}
	for n := range still + moving {
		entry := catalogApp(randomName(random))
		mine := app("Contoso", entry.CanonicalName)
		for _, at := range []*time.Time{&entry.CreatedAt, &entry.UpdatedAt, &mine.CreatedAt, &mine.UpdatedAt} {
			*at = storetest.Now.Add(time.Duration(random.IntN(9)) * time.Hour) // many have the same time
		}
		data.CatalogApps = append(data.CatalogApps, entry)
		// Every second one of those that move exists from the start.
		if n < still || n%2 == 0 {
			data.Apps = append(data.Apps, mine)
		}
	}
	return data
}

// randomName returns a name that is unique regardless of case.
func randomName(random *rand.Rand) string {
	letters := []rune("aAbBzZ09 _%\\'éÉßıİσςΣ～😀中")
	name := make([]rune, random.IntN(4))
	for n := range name {
		name[n] = letters[random.IntN(len(letters))]
	}
	return fmt.Sprintf("%s%08x", string(name), random.Uint32())
}

// startWriters starts five writers, each for its own apps. Each write sends a value on the unbuffered channel, so that the reader decides
// how much is written.
func startWriters(t *testing.T, s *store.Store, seed uint64, moving []store.CatalogApp) <-chan struct{} {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	writes := make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	writer := func(n int, write func(random *rand.Rand, entry store.CatalogApp) error) {
		random := rand.New(rand.NewPCG(seed, uint64(n)+1))
		own := moving[n*len(moving)/5 : (n+1)*len(moving)/5]
		running.Go(func() {
			for ctx.Err() == nil {
				err := write(random, own[random.IntN(len(own))])
				if err != nil && ctx.Err() == nil {
					t.Errorf("writer %d: %v", n, err)
				}
				select {
				case writes <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	writer(0, func(random *rand.Rand, entry store.CatalogApp) error {
		_, err := s.UpdateCatalogApp(ctx, entry.ID, store.Fields{store.ColumnCanonicalName: randomName(random)}, nil, alice, nil)
		return err
	})
	writer(1, func(random *rand.Rand, entry store.CatalogApp) error {
		_, err := s.UpdateCatalogApp(ctx, entry.ID, store.Fields{store.ColumnDescription: randomName(random)}, nil, alice, nil)
		return err
	})
	var made []uuid.UUID
	writer(2, func(random *rand.Rand, _ store.CatalogApp) error {
		if len(made) > 0 && random.IntN(2) == 0 {
			err := s.DeleteCatalogApp(ctx, made[0], alice, nil)
			made = made[1:]
			return err
		}
		entry, err := s.CreateCatalogApp(ctx, store.Fields{store.ColumnCanonicalName: randomName(random)}, nil, alice)
		if err == nil {
			made = append(made, entry.ID)
		}
		return err
	})
	writer(3, func(_ *rand.Rand, entry store.CatalogApp) error {
		_, err := s.AddApp(ctx, idOf("Contoso"), entry.ID, nil, alice)
		if have := (*store.ConflictError)(nil); errors.As(err, &have) {
			return s.RemoveApp(ctx, store.AppKey{ClientID: idOf("Contoso"), ID: have.ID}, alice, nil)
		}
		return err
	})
	writer(4, func(random *rand.Rand, entry store.CatalogApp) error {
		key := appKey("Contoso", entry.CanonicalName)
		_, err := s.UpdateApp(ctx, key, store.Fields{store.ColumnLicenseCount: random.Int32()}, alice, nil)
		if missing := (*store.NotFoundError)(nil); errors.As(err, &missing) {
			return nil // one that did not exist at the start
		}
		return err
	})
	return writes
}

// walk reads a list from beginning to end and returns its ids.
func walk[T any](t *testing.T, random *rand.Rand, writes <-chan struct{}, by store.Column, desc bool,
	list func(store.Page) (store.List[T], error), id func(T) uuid.UUID,
) []uuid.UUID {
	t.Helper()
	var seen []uuid.UUID
	p := store.Page{SortBy: by, Desc: desc}
	for {
		p.Size = 1 + random.IntN(20)
		page, err := list(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Rows {
			seen = append(seen, id(row))
		}
		if len(page.Rows) > p.Size {
			t.Fatalf("a page of %d has %d rows", p.Size, len(page.Rows))
		}
		if page.Next == nil {
			return seen
		}
		p.After = page.Next
		for range 1 + random.IntN(3) {
			<-writes
		}
	}
}

// wantStill checks that the unchanged rows appear exactly once, in this order.
func wantStill[T any](t *testing.T, what string, seen []uuid.UUID, still []T, id func(T) uuid.UUID) {
	t.Helper()
	var want []uuid.UUID
	for _, row := range still {
		want = append(want, id(row))
	}
	got := slices.DeleteFunc(seen, func(id uuid.UUID) bool { return !slices.Contains(want, id) })
	if !slices.Equal(got, want) {
		t.Errorf("%s: the untouched rows came as\n%v\nwant\n%v", what, got, want)
	}
}

// walked has the sort keys of a row.
type walked struct {
	id               uuid.UUID
	nameKey          string
	created, updated time.Time
}

func sortRows[T any](rows []T, desc bool, by store.Column, of func(T) walked) {
	slices.SortFunc(rows, func(a, b T) int { return compareWalked(of(a), of(b), desc, by) })
}

func compareWalked(a, b walked, desc bool, by store.Column) int {
	order := cmp.Compare(a.id.String(), b.id.String())
	switch by {
	case store.ColumnCreatedAt:
		order = cmp.Or(a.created.Compare(b.created), order)
	case store.ColumnUpdatedAt:
		order = cmp.Or(a.updated.Compare(b.updated), order)
	default:
		order = cmp.Or(cmp.Compare(a.nameKey, b.nameKey), order)
	}
	if desc {
		return -order
	}
	return order
}
