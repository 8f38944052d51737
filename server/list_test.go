package server_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// members returns values of the rows of a list, separated by spaces. Several values of one row are separated by slashes.
func members(list map[string]any, names ...string) string {
	var rows []string
	for _, row := range list["data"].([]any) {
		var values []string
		for _, name := range names {
			value := row
			for part := range strings.SplitSeq(name, ".") {
				value = value.(map[string]any)[part]
			}
			values = append(values, fmt.Sprint(value))
		}
		rows = append(rows, strings.Join(values, "/"))
	}
	return strings.Join(rows, " ")
}

// walk follows next_cursor to the last page and checks that the Link header leads to the same page. It returns the ids.
func walk(t *testing.T, s flow, target string) []string {
	t.Helper()
	var ids []string
	for range 1000 {
		r := s.step(t, "GET", target, "", 200, "*")
		page := decodeObject(t, r)
		if got := members(page, "id"); got != "" {
			ids = append(ids, strings.Fields(got)...)
		}
		cursor, more := page["next_cursor"].(string)
		link := r.Header.Get("Link")
		if !more {
			if link != "" {
				t.Errorf("%s: the last page has a Link %s", target, link)
			}
			return ids
		}
		next := strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		parsed, err := url.Parse(next)
		if err != nil || parsed.Query().Get("cursor") != cursor {
			t.Fatalf("%s: Link %s, cursor %s", target, link, cursor)
		}
		target = next
	}
	t.Fatal("the list does not end")
	return nil
}

// withApps gives the reference page's client an app for each name.
func withApps(t *testing.T, s *servertest.Server, names ...string) {
	t.Helper()
	var data store.Dataset
	for i, name := range names {
		entry, kind := uuid.New(), []string{"web", "desktop"}[i%2]
		data.CatalogApps = append(data.CatalogApps, store.CatalogApp{
			ID: entry, CanonicalName: name, Type: &kind, CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		})
		data.Apps = append(data.Apps, store.App{
			ClientID: storetest.ClientID, ID: uuid.New(), CatalogAppID: entry, IsFavorite: i%3 == 0, IsApproved: i%2 == 0,
			ActorName: "seed", RequestID: "seed", CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		})
	}
	if err := s.Store.Seed(t.Context(), data); err != nil {
		t.Fatal(err)
	}
}

func TestListApps(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		withApps(t, s.Server, "äpfel", "Zebra", "100% Pure", "1000 Pure", "straße", "a_b", "axb", `back\slash`)
		apps := clientPath + "/apps"
		for query, want := range map[string]string{
			"":                 `100%·Pure 1000·Pure a_b axb back\slash Slack straße Zebra äpfel`,
			"?sort_order=desc": `äpfel Zebra straße Slack back\slash axb a_b 1000·Pure 100%·Pure`,
			"?q=%25":           "100%·Pure",
			"?q=a_b":           "a_b",
			"?q=%5C":           `back\slash`,
			"?q=STRASSE":       "straße",
			"?q=%C3%84PF":      "äpfel",
			"?q=pure&type=web": "100%·Pure",
			"?q=nothing":       "",
			"?vendor_id=F6A7B8C9-D0E1-2345-FABC-678901234567":                    "Slack",
			"?category_id=a7b8c9d0-e1f2-3456-abcd-789012345678":                  "Slack",
			"?category_id=a7b8c9d0-e1f2-3456-abcd-789012345678&is_favorite=true": "",
			"?vendor_id=" + nilID: "",
		} {
			page := decodeObject(t, s.step(t, "GET", apps+query, "", 200, "*"))
			got := ""
			if data := page["data"].([]any); len(data) > 0 {
				var names []string
				for _, row := range data {
					names = append(names, strings.ReplaceAll(row.(map[string]any)["catalog_app"].(map[string]any)["canonical_name"].(string), " ", "·"))
				}
				got = strings.Join(names, " ")
			}
			if got != want || page["total_count"] != float64(len(strings.Fields(want))) {
				t.Errorf("%s: %s (%v), want %s", query, got, page["total_count"], want)
			}
		}
		for _, mark := range []string{"is_favorite", "is_approved"} {
			yes := decodeObject(t, s.step(t, "GET", apps+"?"+mark+"=true", "", 200, "*"))
			no := decodeObject(t, s.step(t, "GET", apps+"?"+mark+"=false", "", 200, "*"))
			if strings.Contains(members(yes, mark), "false") || strings.Contains(members(no, mark), "true") ||
				yes["total_count"].(float64)+no["total_count"].(float64) != 9 || yes["total_count"].(float64) < 3 {
				t.Errorf("%s: %v, %v", mark, members(yes, mark), members(no, mark))
			}
		}
	})
}

func TestPages(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		var names []string
		for i := range 23 {
			names = append(names, fmt.Sprintf("App %02d", i))
		}
		withApps(t, s.Server, names...)
		apps := clientPath + "/apps"
		for _, order := range []string{"?", "?sort_by=created_at&", "?sort_by=updated_at&sort_order=desc&", "?q=App&", "?type=web&sort_order=desc&"} {
			whole := strings.Fields(members(decodeObject(t, s.step(t, "GET", apps+order+"page_size=500", "", 200, "*")), "id"))
			for _, size := range []string{"1", "5", "12", "23", "24", "100"} {
				if got := walk(t, s, apps+order+"page_size="+size); strings.Join(got, " ") != strings.Join(whole, " ") {
					t.Errorf("%s by %s: %v, want %v", order, size, got, whole)
				}
			}
		}
		for _, target := range []string{"/v2/catalog-apps", "/v2/catalog-vendors", "/v2/catalog-categories", "/v2/clients"} {
			walk(t, s, target+"?page_size=1")
		}
	})
}

func TestCursorIsBound(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		withApps(t, s.Server, "A", "B", "C")
		bad := invalidField("cursor", "cursor must be a next_cursor of the same list")
		apps := clientPath + "/apps"
		cursor := decodeObject(t, s.step(t, "GET", apps+"?page_size=1&q=a", "", 200, "*"))["next_cursor"].(string)
		s.step(t, "GET", apps+"?q=a&cursor="+cursor, "", 200, "*")
		s.step(t, "GET", apps+"?q=a&page_size=2&sort_by=canonical_name&sort_order=asc&cursor="+cursor, "", 200, "*") // the defaults, stated explicitly
		for _, target := range []string{
			apps + "?cursor=" + cursor, apps + "?q=b&cursor=" + cursor, apps + "?q=a&sort_order=desc&cursor=" + cursor,
			apps + "?q=a&sort_by=created_at&cursor=" + cursor, apps + "?q=a&type=web&cursor=" + cursor,
			"/v2/clients/bb7cf840-9ca9-46a3-9778-9015d6580d50/apps?q=a&cursor=" + cursor, "/v2/catalog-apps?q=a&cursor=" + cursor,
			apps + "?q=a&cursor=" + cursor + "A", apps + "?q=a&cursor=" + cursor[1:], apps + "?q=a&cursor=A", apps + "?q=a&cursor=x%20y",
			apps + "?q=a&cursor=" + cursor + "%3D",
		} {
			s.step(t, "GET", target, "", 400, bad)
		}
		for i := range cursor { // change every letter
			letter := "A"
			if cursor[i] == 'A' {
				letter = "B"
			}
			s.step(t, "GET", apps+"?q=a&cursor="+cursor[:i]+letter+cursor[i+1:], "", 400, bad)
		}
	})
}

func TestListParameters(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		for query, want := range map[string]string{
			"page_size=0":                   invalidField("page_size", "page_size must be between 1 and 500"),
			"page_size=501":                 invalidField("page_size", "page_size must be between 1 and 500"),
			"page_size=-1":                  invalidField("page_size", "page_size must be between 1 and 500"),
			"page_size=x":                   invalidField("page_size", "page_size must be an integer"),
			"page_size=":                    "*",
			"page_size=050":                 invalidField("page_size", "page_size must be an integer"),
			"page_size=01":                  invalidField("page_size", "page_size must be an integer"),
			"page_size=%2B50":               invalidField("page_size", "page_size must be an integer"),
			"page_size=+50":                 invalidField("page_size", "page_size must be an integer"),
			"page_size=50%20":               invalidField("page_size", "page_size must be an integer"),
			"page_size=5e1":                 invalidField("page_size", "page_size must be an integer"),
			"page_size=50.0":                invalidField("page_size", "page_size must be an integer"),
			"page_size=1&page_size=2":       invalidField("page_size", "page_size must be given once"),
			"is_favorite=1":                 invalidField("is_favorite", "is_favorite must be true or false"),
			"is_favorite=True":              invalidField("is_favorite", "is_favorite must be true or false"),
			"is_favorite=":                  invalidField("is_favorite", "is_favorite must be true or false"),
			"is_approved=t":                 invalidField("is_approved", "is_approved must be true or false"),
			"sort_by=name":                  invalidField("sort_by", "sort_by must be one of canonical_name, created_at, updated_at"),
			"sort_order=down":               invalidField("sort_order", "sort_order must be one of asc, desc"),
			"q=":                            "*",
			"q=a%00b":                       invalidField("q", "q must be 1 to 200 characters long, without control characters"),
			"q=" + strings.Repeat("x", 201): invalidField("q", "q must be 1 to 200 characters long, without control characters"),
			"type=Web":                      invalidField("type", "type must be a short lower-case word"),
			"vendor_id=x":                   invalidField("vendor_id", "vendor_id must be a UUID"),
			"category_id=" + appID + "0":    invalidField("category_id", "category_id must be a UUID"),
			"Q=x":                           invalidField("Q", "Unknown query parameter 'Q'"),
			"offset=1":                      invalidField("offset", "Unknown query parameter 'offset'"),
		} {
			s.step(t, "GET", clientPath+"/apps?"+query, "", 400, want)
		}
	})
}
