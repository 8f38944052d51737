package keyset_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store/keyset"
)

type column string

const (
	byName    column = "name"
	byCount   column = "count"
	byUpdated column = "updated"
)

type row struct {
	id      string
	name    string
	count   int64
	updated time.Time
}

func listing() keyset.Listing[column, row] {
	return keyset.Listing[column, row]{
		Keys: map[column]keyset.Key[row]{
			byName:    keyset.TextKey("name", func(r row) string { return r.name }),
			byCount:   keyset.IntKey("count", func(r row) int64 { return r.count }),
			byUpdated: keyset.TimeKey("updated", func(r row) time.Time { return r.updated }),
		},
		TieColumn: "id", TieBreaker: func(r row) string { return r.id }, ValidTieBreaker: keyset.IsID,
	}
}

// someRows returns rows of which many have equal keys.
func someRows(random *rand.Rand, n int) []row {
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{
			id: uuid.NewString(), name: fmt.Sprintf("name %d", random.IntN(5)), count: int64(random.IntN(7) - 3),
			updated: time.UnixMilli(int64(random.IntN(4))).UTC(),
		}
	}
	return rows
}

// sorted returns the rows in the order of a list.
func sorted(rows []row, by column, desc bool) []row {
	rows = slices.SortedFunc(slices.Values(rows), func(a, b row) int {
		compared := map[column]int{
			byName: strings.Compare(a.name, b.name), byCount: cmp.Compare(a.count, b.count), byUpdated: a.updated.Compare(b.updated),
		}
		return cmp.Or(compared[by], strings.Compare(a.id, b.id))
	})
	if desc {
		slices.Reverse(rows)
	}
	return rows
}

// TestPageInMemory pages through lists in every order, with pages of every size and with a filter.
func TestPageInMemory(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	rows := someRows(random, 50)
	l := listing()
	orders := l.Sorted(rows)
	few := func(r row) bool { return r.count == 2 }
	for by := range l.Keys {
		for _, desc := range []bool{false, true} {
			for _, match := range []func(row) bool{nil, few} {
				want := sorted(rows, by, desc)
				if match != nil {
					want = slices.DeleteFunc(want, func(r row) bool { return !match(r) })
				}
				for size := 1; size <= len(rows)+1; size++ {
					var got []row
					p := keyset.Page[column]{Size: size, SortBy: by, Desc: desc}
					for {
						list, err := l.PageInMemory(orders, p, match)
						if err != nil {
							t.Fatal(err)
						}
						if len(list.Rows) > size || len(list.Rows) == 0 || list.Total != int64(len(want)) {
							t.Fatalf("a page of at most %d rows has %d, of %d", size, len(list.Rows), list.Total)
						}
						got = append(got, list.Rows...)
						if p.After = list.Next; p.After == nil {
							break
						}
					}
					if !slices.Equal(got, want) {
						t.Fatalf("by %s, descending %t, in pages of %d: %v\nwant %v", by, desc, size, got, want)
					}
				}
			}
		}
	}
}

// TestPositionOutlivesItsRow removes the row of a position: the page begins with the row behind it.
func TestPositionOutlivesItsRow(t *testing.T) {
	t.Parallel()
	rows := sorted(someRows(rand.New(rand.NewPCG(3, 4)), 10), byName, false)
	l := listing()
	p := keyset.Page[column]{Size: 4, SortBy: byName}
	list, err := l.PageInMemory(l.Sorted(rows), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.After = list.Next
	list, err = l.PageInMemory(l.Sorted(slices.Delete(slices.Clone(rows), 3, 4)), p, nil)
	if err != nil || !slices.Equal(list.Rows, rows[4:8]) {
		t.Errorf("the page is %v, %v; want %v", list.Rows, err, rows[4:8])
	}
}

// TestReplace compares edited orders with those of the same rows sorted anew.
func TestReplace(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	l := listing()
	rows := someRows(random, 20)
	orders := l.Sorted(rows)
	for range 300 {
		removed := slices.Clone(rows[:random.IntN(min(4, len(rows)+1))])
		added := someRows(random, random.IntN(4))
		if len(removed) > 0 && random.IntN(2) == 0 { // a changed row
			changed := removed[0]
			changed.name, changed.count = fmt.Sprintf("name %d", random.IntN(5)), 9
			added = append(added, changed)
		}
		rows = append(slices.Clone(rows[len(removed):]), added...)
		random.Shuffle(len(rows), func(a, b int) { rows[a], rows[b] = rows[b], rows[a] })
		next := l.Replace(orders, removed, added)
		if want := l.Sorted(rows); !reflect.DeepEqual(next, want) && len(rows) > 0 {
			t.Fatalf("without %v and with %v the orders are\n%v\nwant\n%v", removed, added, next, want)
		}
		orders = next
	}
}

// TestCheck gives positions that no row can have.
func TestCheck(t *testing.T) {
	t.Parallel()
	l := listing()
	id := uuid.NewString()
	for _, c := range []struct {
		by       column
		key, tie string
		good     bool
	}{
		{byName, "any text", id, true},
		{byName, "", id, true},
		{byName, "\xff", id, false},
		{byName, "a\x00b", id, false},
		{byName, "name", "", false},
		{byName, "name", strings.ToUpper(id), false},
		{byName, "name", "{" + id + "}", false},
		{byCount, "-7", id, true},
		{byCount, "9223372036854775807", id, true},
		{byCount, "9223372036854775808", id, false},
		{byCount, "+7", id, false},
		{byCount, "07", id, false},
		{byCount, "-0", id, false},
		{byCount, "", id, false},
		{byUpdated, "1771945200000", id, true},
		{byUpdated, "253402300799999", id, true},
		{byUpdated, "253402300800000", id, false},
		{byUpdated, "-62135596800000", id, true},
		{byUpdated, "-62135596800001", id, false},
		{byUpdated, "2026-02-24T15:00:00Z", id, false},
	} {
		p := keyset.Page[column]{Size: 1, SortBy: c.by, After: &keyset.Position{SortKey: c.key, TieBreaker: c.tie}}
		checked := l.Check(p)
		_, picked := l.PageInMemory(l.Sorted(nil), p, nil)
		for _, err := range []error{checked, picked} {
			if (err == nil) != c.good || err != nil && !errors.Is(err, keyset.ErrPosition) {
				t.Errorf("%s, key %q, tie %q: %v", c.by, c.key, c.tie, err)
			}
		}
	}
	for _, p := range []keyset.Page[column]{{Size: 0, SortBy: byName}, {Size: 1, SortBy: "other"}} {
		if err := l.Check(p); err == nil || errors.Is(err, keyset.ErrPosition) {
			t.Errorf("%+v: error is %v, want another than ErrPosition", p, err)
		}
	}
}
