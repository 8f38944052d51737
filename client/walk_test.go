package client_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/clientapps/clientapps/client"
	"github.com/clientapps/clientapps/server/servertest"
)

// apps and catalogApps walk with the page size given.
func apps(t *testing.T, c *client.ClientWithResponses, size int32) (names []string, pages int) {
	t.Helper()
	walk := client.Walk(func(cursor *string) ([]client.App, *string, error) {
		pages++
		page, err := c.ListAppsWithResponse(t.Context(), contoso, &client.ListAppsParams{PageSize: &size, Cursor: cursor})
		if err != nil {
			return nil, nil, err
		}
		if page.JSON200.TotalCount != 8 {
			t.Errorf("total_count %d, want 8", page.JSON200.TotalCount)
		}
		return page.JSON200.Data, page.JSON200.NextCursor, nil
	})
	for app, err := range walk {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, app.CatalogApp.CanonicalName)
	}
	return names, pages
}

func catalogApps(t *testing.T, c *client.ClientWithResponses, size int32) (names []string, pages int) {
	t.Helper()
	walk := client.Walk(func(cursor *string) ([]client.CatalogApp, *string, error) {
		pages++
		page, err := c.ListCatalogAppsWithResponse(t.Context(), &client.ListCatalogAppsParams{PageSize: &size, Cursor: cursor})
		if err != nil {
			return nil, nil, err
		}
		return page.JSON200.Data, page.JSON200.NextCursor, nil
	})
	for app, err := range walk {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, app.CanonicalName)
	}
	return names, pages
}

func TestWalk(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *client.ClientWithResponses, _ *servertest.Server) {
		want := []string{"App 1", "App 2", "App 3", "App 4", "App 5", "App 6", "App 7", "Slack"}
		for n := range 7 {
			known := createCatalogApp(t, c, fmt.Sprintf("App %d", 7-n))
			if _, err := c.AddAppWithResponse(t.Context(), contoso, client.AppCreate{CatalogAppID: known.ID}); err != nil {
				t.Fatal(err)
			}
		}
		for size, wantPages := range map[int32]int{1: 8, 3: 3, 4: 2, 500: 1} {
			if names, pages := apps(t, c, size); !reflect.DeepEqual(names, want) || pages != wantPages {
				t.Errorf("apps by %d: %v in %d pages, want %d", size, names, pages, wantPages)
			}
			if names, pages := catalogApps(t, c, size); !reflect.DeepEqual(names, want) || pages != wantPages {
				t.Errorf("catalog apps by %d: %v in %d pages, want %d", size, names, pages, wantPages)
			}
		}
	})
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
		t.Errorf("a walk that stops at its first row took %d pages", calls)
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
