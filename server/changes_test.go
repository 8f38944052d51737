package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

const otherClientPath = "/v2/clients/" + otherClientID

const feedEnd = "since=2099-12-31T23:59:59Z"

// follow reads a feed from a cursor, or from the query's start, to its end, in pages of two.
func follow(t *testing.T, c *servertest.Client, path, query string) (changes []gen.Change, cursor string) {
	t.Helper()
	for {
		target := path + "?page_size=2&" + query
		if cursor != "" {
			target = path + "?page_size=2&" + withoutStart(query) + "&cursor=" + cursor
		}
		got := c.Get(t, target)
		if got.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", target, got.Status, got.Body)
		}
		var page gen.ChangeFeed
		decodeJSON(t, got.Body, &page)
		changes, cursor = append(changes, page.Data...), page.NextCursor
		if !page.HasMore {
			return changes, cursor
		}
	}
}

// withoutStart removes what says where a feed begins.
func withoutStart(query string) string {
	values, _ := url.ParseQuery(query)
	values.Del("cursor")
	values.Del("since")
	return values.Encode()
}

// awaitChanges follows a feed until it has this many changes: transactions of other tests hold it up.
func awaitChanges(t *testing.T, c *servertest.Client, path, query string, n int) []gen.Change {
	t.Helper()
	var all []gen.Change
	storetest.Poll(func() bool {
		changes, cursor := follow(t, c, path, query)
		all, query = append(all, changes...), withoutStart(query)+"&cursor="+cursor
		return len(all) >= n
	})
	if len(all) != n {
		t.Fatalf("%s?%s has %d changes, want %d: %+v", path, query, len(all), n, all)
	}
	return all
}

// summary is a change in a line.
func summary(c gen.Change) string {
	app, entry := "-", "-"
	if c.AppID != nil {
		app, entry = c.AppID.String()[:4], c.CatalogAppID.String()[:4]
	}
	return fmt.Sprintf("%s %s %s %s %s %s by %s", c.ClientID.String()[:4], app, entry, c.Field, value(c.OldValue), value(c.NewValue), c.Actor.Name)
}

// value is the JSON of a value: decoding makes null a nil pointer.
func value(v *json.RawMessage) string {
	if v == nil {
		return "null"
	}
	return string(*v)
}

func wantChanges(t *testing.T, got []gen.Change, want ...string) {
	t.Helper()
	var lines []string
	for _, c := range got {
		lines = append(lines, summary(c))
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the changes are\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// withToken returns a client with a new token.
func withToken(t *testing.T, s *servertest.Server, token store.Token) *servertest.Client {
	t.Helper()
	secret, _ := s.NewToken(t, token)
	return &servertest.Client{URL: s.URL, Token: secret}
}

func TestChangeFeed(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		feed := clientPath + "/changes"
		_, end := follow(t, s.Client, feed, feedEnd)
		if got := s.Patch(t, appPath, `{"is_approved":true,"license_count":7}`); got.Status != http.StatusOK {
			t.Fatal(got.Body)
		}
		s.Patch(t, appPath, `{"is_approved":true}`) // changes nothing
		s.Send(t, servertest.Request{Method: "DELETE", Target: appPath})
		s.Patch(t, clientPath, `{"name":"Contoso Group","status":"suspended"}`)
		want := []string{
			`aa7c f1a2 a1b2 is_approved false true by everything`,
			`aa7c f1a2 a1b2 license_count null 7 by everything`,
			`aa7c f1a2 a1b2 app "a1b2c3d4-e5f6-7890-abcd-ef1234567890" null by everything`,
			`aa7c - - client_name "Contoso Ltd." "Contoso Group" by everything`,
			`aa7c - - client_status "active" "suspended" by everything`,
		}
		changes := awaitChanges(t, s.Client, feed, "cursor="+end, len(want))
		wantChanges(t, changes, want...)
		// The same again, from everywhere where one has been, and in the other feed.
		wantChanges(t, awaitChanges(t, s.Client, feed, "cursor="+end, len(want)), want...)
		since := "since=" + url.QueryEscape(changes[0].ChangedAt)
		wantChanges(t, awaitChanges(t, s.Client, "/v2/changes", since+"&client_id="+clientID+"&field=license_count", 1), want[1])
		wantChanges(t, awaitChanges(t, s.Client, feed, "app_id="+changes[0].AppID.String()+"&field=is_approved", 1), want[0])
		// The oldest that is kept comes first.
		all := awaitChanges(t, s.Client, feed, "", 3+len(want))
		wantChanges(t, all[:3], `aa7c - - client null "aa7cf840-9ca9-46a3-9778-9015d6580d50" by clientapps`,
			`aa7c - - client_name null "Contoso Ltd." by clientapps`,
			`aa7c f1a2 a1b2 app null "a1b2c3d4-e5f6-7890-abcd-ef1234567890" by seed`)
		// A change is the same as in the history of its app.
		var history gen.AppChangeList
		decodeJSON(t, s.Get(t, appPath+"/changes").Body, &history)
		if history.Data[0].ID != changes[2].ID || history.Data[0].RequestID != changes[2].RequestID {
			t.Errorf("%+v is %+v in the history of the app", changes[2], history.Data[0])
		}
	})
}

// A token sees the changes of the clients that it covers.
func TestChangesByToken(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		s.Patch(t, appPath, `{"is_favorite":true}`)
		s.Patch(t, otherClientPath+"/apps/b2a2b3c4-d5e6-7890-abcd-ef1234567890", `{"is_favorite":true}`)
		for client, other := range map[string]string{clientID: otherClientID, otherClientID: clientID} {
			one := withToken(t, s, store.Token{Name: "one", Scopes: "apps:read", ClientIDs: []uuid.UUID{id(client)}})
			for _, c := range awaitChanges(t, one, "/v2/changes", "", 4) {
				if c.ClientID.String() != client {
					t.Errorf("the token of %s sees %s", client, summary(c))
				}
			}
			for _, target := range []string{"/v2/changes?client_id=" + other, "/v2/clients/" + other + "/changes"} {
				if got := one.Get(t, target); got.Status != http.StatusForbidden || got.Body != forbidden+"\n" {
					t.Errorf("%s: %d %s", target, got.Status, got.Body)
				}
			}
		}
		none := withToken(t, s, store.Token{Name: "none", Scopes: "apps:read"})
		awaitChanges(t, none, "/v2/changes", "", 0)
		all := awaitChanges(t, s.Client, "/v2/changes", "", 8)
		if len(all) != 8 {
			t.Errorf("%d changes", len(all))
		}
	})
}

// Of a deleted client one change stays, and its own feed is gone.
func TestChangesOfADeletedClient(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		_, end := follow(t, s.Client, "/v2/changes", feedEnd)
		s.Patch(t, appPath, `{"is_favorite":true}`)
		s.Patch(t, clientPath, `{"status":"suspended"}`)
		if got := s.Send(t, servertest.Request{Method: "DELETE", Target: clientPath}); got.Status != http.StatusNoContent {
			t.Fatal(got.Status, got.Body)
		}
		wantChanges(t, awaitChanges(t, s.Client, "/v2/changes", "cursor="+end, 1), `aa7c - - client "`+clientID+`" null by everything`)
		if got := s.Get(t, clientPath+"/changes"); got.Status != http.StatusNotFound {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}

// feedCursor makes a cursor as the server does. The encoding is not secret.
func feedCursor(scope, nonce, key string) string {
	position := nonce + "\x00" + key
	sum := sha256.Sum256([]byte(scope + "\x00" + position))
	return base64.RawURLEncoding.EncodeToString(append(sum[:8], position...))
}

// A cursor of another feed, or one that no server has made, is 400; one of another database, or of a later state of this one, is 410.
func TestForgedFeedCursors(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		path := clientPath + "/changes"
		scope := "changes\n" + path + "\n"
		_, end := follow(t, s.Client, path, feedEnd)
		raw, err := base64.RawURLEncoding.DecodeString(end)
		if err != nil {
			t.Fatal(err)
		}
		nonce, key, _ := strings.Cut(string(raw[8:]), "\x00")
		if got := feedCursor(scope, nonce, key); got != end {
			t.Fatalf("the server's cursor is %s, not %s", end, got)
		}
		bad := invalidField("cursor", "cursor must be a next_cursor of the same list") + "\n"
		for _, key := range []string{
			"", "x", "-1", "01", "+1", "1:", "1:2", "1:2:3:4:5", "1:" + nilID + ":" + nilID + ":1:Field", "1:" + nilID + ":{" + nilID + "}:1:app",
			"-1:" + nilID + ":" + nilID + ":1:app", "1:" + nilID + ":" + nilID + ":01:app", "1:1:" + nilID + ":" + nilID + ":1:app",
			"9223372036854775808", "1:" + nilID + ":" + nilID + ":1:app:", "1\x00", "\xff",
		} {
			if got := s.Get(t, path+"?cursor="+feedCursor(scope, nonce, key)); got.Status != 400 || got.Body != bad {
				t.Errorf("%q: %d %s", key, got.Status, got.Body)
			}
		}
		for target, status := range map[string]int{
			"/v2/changes?cursor=" + feedCursor("changes\n/v2/changes\n", "0123456789abcdef", key): 410,
			path + "?field=app&cursor=" + end:                                   400, // other filters
			path + "?cursor=" + end[1:]:                                         400,
			otherClientPath + "/changes?cursor=" + end:                          400,
			"/v2/changes?cursor=" + end:                                         400,
			path + "?page_size=1&cursor=" + end:                                 200,
			path + "?cursor=" + feedCursor(scope, "0123456789abcdef", key):      410,
			path + "?cursor=" + feedCursor(scope, nonce, "9223372036854775807"): 410,
			path + "?cursor=" + end + "&since=2026-01-01T00:00:00Z":             400,
		} {
			if got := s.Get(t, target); got.Status != status {
				t.Errorf("%s: %d %s, want %d", target, got.Status, got.Body, status)
			}
		}
	})
}

const catalogFeed = "/v2/catalog-changes"

// followCatalog reads the feed of the catalog from where the query says to its end, in pages of two.
func followCatalog(t *testing.T, c *servertest.Client, query string) (changes []gen.CatalogChange, cursor string) {
	t.Helper()
	for {
		got := c.Get(t, catalogFeed+"?page_size=2&"+query)
		if got.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", query, got.Status, got.Body)
		}
		var page gen.CatalogChangeFeed
		decodeJSON(t, got.Body, &page)
		changes, cursor = append(changes, page.Data...), page.NextCursor
		if query = "cursor=" + cursor; !page.HasMore {
			return changes, cursor
		}
	}
}

// The feed of the catalog has what requests change in it, with their authors, once and in order.
func TestCatalogChangeFeed(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		seeded, _ := followCatalog(t, s.Client, "")
		if len(seeded) != 13 || seeded[0].Actor.Name != "clientapps" || seeded[0].RequestID != "none" {
			t.Errorf("%d changes of the example data: %+v", len(seeded), seeded)
		}
		_, end := followCatalog(t, s.Client, feedEnd)
		var want []string
		send := func(method, target, body string, changes ...string) (id string) {
			t.Helper()
			got := s.Send(t, servertest.Request{Method: method, Target: target, Body: body})
			if got.Status >= 300 {
				t.Fatalf("%s %s: %d %s", method, target, got.Status, got.Body)
			}
			if got.Body != "" {
				var made struct{ ID string }
				decodeJSON(t, got.Body, &made)
				id = made.ID
			}
			if id == "" {
				id = target[strings.LastIndex(target, "/")+1:]
			}
			for _, change := range changes {
				want = append(want, strings.ReplaceAll(change, "ID", id)+" by everything in "+got.Header.Get("X-Request-Id"))
			}
			return id
		}
		vendor := send("POST", "/v2/catalog-vendors", `{"name":"Zoom, Inc.","url":"https://zoom.us"}`,
			`vendor ID name null "Zoom, Inc."`, `vendor ID url null "https://zoom.us"`, `vendor ID vendor null "ID"`)
		category := send("POST", "/v2/catalog-categories", `{"name":"Video"}`,
			`category ID category null "ID"`, `category ID name null "Video"`)
		app := send("POST", "/v2/catalog-apps", `{"canonical_name":"Zoom","category_ids":["`+category+`"]}`,
			`catalog_app ID canonical_name null "Zoom"`, `catalog_app ID catalog_app null "ID"`, `catalog_app ID category_ids [] ["`+category+`"]`)
		send("PATCH", "/v2/catalog-apps/"+app, `{"vendor_id":"`+vendor+`","category_ids":[],"canonical_name":"Zoom \"5\""}`,
			`catalog_app ID canonical_name "Zoom" "Zoom \"5\""`, `catalog_app ID category_ids ["`+category+`"] []`, `catalog_app ID vendor_id null "`+vendor+`"`)
		send("PATCH", "/v2/catalog-apps/"+app, `{"vendor_id":null}`, `catalog_app ID vendor_id "`+vendor+`" null`)
		send("PATCH", "/v2/catalog-vendors/"+vendor, `{"url":null}`, `vendor ID url "https://zoom.us" null`)
		send("PATCH", "/v2/catalog-categories/"+category, `{"name":"Video calls"}`, `category ID name "Video" "Video calls"`)
		send("PATCH", "/v2/catalog-categories/"+category, `{"name":"Video calls"}`) // changes nothing
		send("DELETE", "/v2/catalog-apps/"+app, "", `catalog_app ID catalog_app "ID" null`)
		send("DELETE", "/v2/catalog-vendors/"+vendor, "", `vendor ID vendor "ID" null`)
		send("DELETE", "/v2/catalog-categories/"+category, "", `category ID category "ID" null`)
		changes, last := followCatalog(t, s.Client, "cursor="+end)
		var got []string
		ids := map[gen.UUID]bool{}
		for _, c := range changes {
			got = append(got, fmt.Sprintf("%s %s %s %s %s by %s in %s", c.Entity, c.EntityID, c.Field, value(c.OldValue), value(c.NewValue), c.Actor.Name, c.RequestID))
			ids[c.ID] = true
		}
		if !slices.Equal(got, want) || len(ids) != len(got) {
			t.Errorf("the changes are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		all, end := followCatalog(t, s.Client, "since="+url.QueryEscape(changes[0].ChangedAt))
		if len(all) < len(changes) || all[len(all)-1].ID != changes[len(changes)-1].ID || end != last {
			t.Errorf("since the first of %d changes: %+v", len(changes), all)
		}
		reader := withToken(t, s, store.Token{Name: "reader", Scopes: "apps:read", AllClients: true})
		if got := reader.Get(t, catalogFeed); got.Status != http.StatusForbidden {
			t.Errorf("without the scope: %d %s", got.Status, got.Body)
		}
	})
}

// Cursors of the feed of the catalog are refused and expire as those of the other feeds do.
func TestForgedCatalogFeedCursors(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		scope := "changes\n" + catalogFeed + "\n"
		_, end := followCatalog(t, s.Client, feedEnd)
		raw, err := base64.RawURLEncoding.DecodeString(end)
		if err != nil {
			t.Fatal(err)
		}
		nonce, key, _ := strings.Cut(string(raw[8:]), "\x00")
		if got := feedCursor(scope, nonce, key); got != end {
			t.Fatalf("the server's cursor is %s, not %s", end, got)
		}
		bad := invalidField("cursor", "cursor must be a next_cursor of the same list") + "\n"
		for _, key := range []string{
			"", "x", "-1", "01", "+1", "1:", "1:vendor", "1:vendor:" + nilID, "1::" + nilID + ":name", "1:vendor:" + nilID + ":", "1:Vendor:" + nilID + ":name",
			"1:vendor:" + nilID + ":n\xffme", "1:vendor:{" + nilID + "}:name", "1:vendor:" + nilID + ":name:", "1:vendor:" + strings.ToUpper(newEntry) + ":name",
			"9223372036854775808", "1:1:" + nilID + ":" + nilID + ":1:app", "1\x00",
		} {
			if got := s.Get(t, catalogFeed+"?cursor="+feedCursor(scope, nonce, key)); got.Status != 400 || got.Body != bad {
				t.Errorf("%q: %d %s", key, got.Status, got.Body)
			}
		}
		for target, status := range map[string]int{
			catalogFeed + "?cursor=" + end[1:]:                                                400,
			"/v2/changes?cursor=" + end:                                                       400,
			catalogFeed + "?page_size=1&cursor=" + end:                                        200,
			catalogFeed + "?cursor=" + feedCursor(scope, nonce, "1:vendor:"+nilID+":name"):    200,
			catalogFeed + "?cursor=" + feedCursor(scope, "0123456789abcdef", key):             410,
			catalogFeed + "?cursor=" + feedCursor(scope, nonce, key+":vendor:"+nilID+":name"): 410,
			catalogFeed + "?cursor=" + feedCursor(scope, nonce, "9223372036854775807"):        410,
			catalogFeed + "?cursor=" + end + "&since=2026-01-01T00:00:00Z":                    400,
			catalogFeed + "?field=name":                                                       400,
			catalogFeed + "?since=2026-01-01T00:00:00":                                        400,
			catalogFeed + "?since=" + url.QueryEscape("0001-01-01T00:00:00+14:00"):            200,
		} {
			if got := s.Get(t, target); got.Status != status {
				t.Errorf("%s: %d %s, want %d", target, got.Status, got.Body, status)
			}
		}
	})
}
