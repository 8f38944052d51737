package client_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/client"
)

// walk lists the apps of a client organization with a page size, and returns their names and the number of pages.
func walk(t *testing.T, c *client.ClientWithResponses, organization uuid.UUID, size int32) (names []string, pages int) {
	t.Helper()
	apps := client.Walk(func(cursor *string) ([]client.App, *string, error) {
		pages++
		page, err := c.ListAppsWithResponse(t.Context(), organization, &client.ListAppsParams{PageSize: &size, Cursor: cursor})
		if err != nil {
			return nil, nil, err
		}
		if page.JSON200.TotalCount != 8 {
			t.Errorf("total_count %d, want 8", page.JSON200.TotalCount)
		}
		return page.JSON200.Data, page.JSON200.NextCursor, nil
	})
	for app, err := range apps {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, app.CatalogApp.CanonicalName)
	}
	return names, pages
}

func TestWalk(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	var want []string
	for range 8 {
		known := newCatalogApp(t, c, "Walk "+rand.Text())
		if _, err := c.AddAppWithResponse(t.Context(), organization, client.AppCreate{CatalogAppID: known.ID}); err != nil {
			t.Fatal(err)
		}
		want = append(want, known.CanonicalName)
	}
	slices.Sort(want)
	for size, wantPages := range map[int32]int{1: 8, 3: 3, 4: 2, 500: 1} {
		if names, pages := walk(t, c, organization, size); !slices.Equal(names, want) || pages != wantPages {
			t.Errorf("apps by %d: %v in %d pages, want %d", size, names, pages, wantPages)
		}
	}
}

func TestWalkStops(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	calls := 0
	walk := client.Walk(func(*string) ([]int, *string, error) {
		calls++
		if calls == 3 {
			return nil, nil, broken
		}
		return []int{calls, calls}, new("next"), nil
	})
	for row, err := range walk {
		if row != 1 || err != nil {
			t.Errorf("first pair: %d, %v", row, err)
		}
		break
	}
	if calls != 1 {
		t.Errorf("a walk that stops at its first row fetched %d pages", calls)
	}
	calls = 0
	var pairs []string
	for row, err := range walk {
		pairs = append(pairs, fmt.Sprint(row, " ", err))
	}
	if want := []string{"1 <nil>", "1 <nil>", "2 <nil>", "2 <nil>", "0 broken"}; !reflect.DeepEqual(pairs, want) {
		t.Errorf("pairs %q, want %q", pairs, want)
	}
}
