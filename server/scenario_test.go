package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// scenario is one request and its expected effects. The defaults are: a PATCH of the reference page's app as seeded, by a token
// for everything, answered without a body and writing nothing.
type scenario struct {
	name    string
	given   string // a patch that is sent one hour before
	as      string // the name of a token of the fixture; "anonymous" sends none
	method  string
	target  string
	header  []string // "Name: value"; {etag} is replaced by the app's ETag, {NAME} by the secret of a token
	body    string
	chunked bool // sends no Content-Length

	status  int
	want    string   // the whole body
	headers []string // "Name: value", {etag} as above; "Name:" must be absent
	writes  []string // "field: old -> new" for each field of the reference page's app that changes
}

// scenarios runs the scenarios on both databases, each with the seeded data.
func scenarios(t *testing.T, all []scenario) {
	t.Helper()
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		withFormerClient(t, s)
		f := newFixture(t, s)
		for _, sc := range all {
			t.Run(sc.name, func(t *testing.T) { f.run(t, sc) })
		}
	})
}

func (f *fixture) run(t *testing.T, sc scenario) {
	t.Helper()
	before := f.snapshot(t)
	if len(f.fresh.diff(before)) > 0 {
		f.reset(t)
		before = f.snapshot(t)
	}
	if sc.given != "" {
		f.SetTime(storetest.Now.Add(-time.Hour))
		if r := f.Patch(t, appPath, sc.given); r.Status != http.StatusOK {
			t.Fatalf("given %s: %d %s", sc.given, r.Status, r.Body)
		}
		f.SetTime(storetest.Now)
		before = f.snapshot(t)
	}
	tag := ""
	if strings.Contains(strings.Join(append(sc.header, sc.headers...), ""), "{etag}") {
		tag = f.etag(t)
	}
	header := []string{"X-Request-Id: scenario"}
	for _, line := range sc.header {
		line = strings.ReplaceAll(line, "{etag}", tag)
		for name, client := range f.clients {
			line = strings.ReplaceAll(line, "{"+name+"}", client.Token)
		}
		header = append(header, line)
	}
	client, ok := f.clients[or(sc.as, "everything")]
	if !ok {
		t.Fatalf("no token %s", sc.as)
	}
	got := client.SendBoth(t, servertest.Request{
		Method: or(sc.method, http.MethodPatch), Target: or(sc.target, appPath),
		Header: header, Body: sc.body, Chunked: sc.chunked,
	})
	if got.Status != sc.status {
		t.Errorf("status %d, want %d", got.Status, sc.status)
	}
	want := sc.want
	if want != "" {
		want += "\n"
	}
	if got.Body != want {
		t.Errorf("body\n%s\nwant\n%s", got.Body, want)
	}
	for _, line := range sc.headers {
		name, value, _ := strings.Cut(strings.ReplaceAll(line, "{etag}", tag), ":")
		if have := strings.Join(got.Header.Values(name), " | "); have != strings.TrimPrefix(value, " ") {
			t.Errorf("header %s: %q, want %q", name, have, strings.TrimPrefix(value, " "))
		}
	}
	actor := row{"actor_id": f.Actor.ID.String(), "actor_name": f.Actor.Name, "request_id": "scenario"}
	if sc.as != "" && len(sc.writes) > 0 {
		actor["actor_name"], actor["actor_id"] = sc.as, f.tokenID(t, sc.as)
	}
	for _, line := range before.afterWrites(t, sc.writes, actor).diff(f.snapshot(t)) {
		t.Errorf("database: %s", line)
	}
}

func (f *fixture) tokenID(t *testing.T, name string) string {
	t.Helper()
	for _, token := range f.rows(t, "SELECT id, name FROM tokens") {
		if token["name"] == name {
			return token["id"]
		}
	}
	t.Fatalf("no token %s", name)
	return ""
}

// afterWrites returns the tables after one patch of the reference page's app has changed these fields.
func (b tables) afterWrites(t *testing.T, fields []string, actor row) tables {
	t.Helper()
	if len(fields) == 0 {
		return b
	}
	after := tables{changes: b.changes}
	for _, app := range b.apps {
		if app["id"] == storetest.AppID.String() {
			app = maps.Clone(app)
			maps.Copy(app, actor)
			version, err := strconv.Atoi(app["version"])
			if err != nil {
				t.Fatal(err)
			}
			app["version"], app["updated_at"] = strconv.Itoa(version+1), shortTime(now)
			for _, field := range fields {
				name, values, _ := strings.Cut(field, ": ")
				old, value, _ := strings.Cut(values, " -> ")
				if app[name] != old {
					t.Fatalf("%s is %s before the request, not %s", name, app[name], old)
				}
				app[name] = value
				change := row{
					"client_id": app["client_id"], "app_id": app["id"], "version": app["version"],
					"field": name, "old_value": old, "new_value": value, "changed_at": app["updated_at"],
				}
				maps.Copy(change, actor)
				after.changes = append(after.changes[:len(after.changes):len(after.changes)], change)
			}
		}
		after.apps = append(after.apps, app)
	}
	return after
}

// shortTime formats a time of the API like the text function.
func shortTime(of string) string {
	return strings.TrimSuffix(strings.TrimRight(strings.TrimSuffix(of, "Z"), "0"), ".") + "Z"
}

// diff returns the rows that only one of the two has.
func (b tables) diff(after tables) []string {
	count := map[string]int{}
	for sign, t := range map[int]tables{-1: b, 1: after} {
		for _, r := range t.apps {
			count[fmt.Sprint("apps ", r)] += sign
		}
		for _, r := range t.changes {
			count[fmt.Sprint("app_changes ", r)] += sign
		}
	}
	var diff []string
	for line, n := range count {
		switch {
		case n > 0:
			diff = append(diff, "unexpected "+line)
		case n < 0:
			diff = append(diff, "missing "+line)
		}
	}
	return diff
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
