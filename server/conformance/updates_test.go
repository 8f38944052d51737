package conformance

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// checkUpdates checks updates of several apps: results have the order of the request, each update has its own fields and its own condition,
// and atomic writes all of them or none.
func (f *fixture) checkUpdates(t *testing.T, op *Operation) {
	t.Helper()
	app, other := storetest.AppID.String(), storetest.OtherAppID.String()
	target := "/v2/clients/" + storetest.ClientID.String() + "/apps/" + app
	f.Patch(t, target, `{"is_favorite":false,"license_count":7}`)
	failure := func(id, code, message string) string {
		return fmt.Sprintf(`{"id":%q,"code":%q,"error":%q}`, id, code, message)
	}
	missing := failure(unknownID, "not_found", "App not found")
	foreign := failure(other, "not_found", "App not found")
	stale := failure(app, "precondition_failed", "The app has changed since the entity tag in if_match")
	idle := failure(app, "not_attempted", "Not attempted because another update failed")
	update := func(id, members string) string { return fmt.Sprintf(`{"id":%q%s}`, id, members) }
	tag := quote(f.Get(t, target).Header.Get("ETag"))
	for _, step := range []struct {
		query, updates, succeeded, failed string
		changed                           bool
	}{
		{"", update(unknownID, "") + "," + update(app, "") + "," + update(other, `,"is_favorite":true`), quote(app), missing + "," + foreign, false},
		{"", update(app, `,"is_favorite":true,"if_match":"\"x\""`) + "," + update(unknownID, ""), "", stale + "," + missing, false},
		{"", update(app, `,"if_match":"\"x\""`), "", stale, false},
		{"", update(app, `,"if_match":"*"`) + "," + update(unknownID, `,"if_match":"*"`), quote(app), missing, false},
		{"?atomic=true", update(app, `,"is_favorite":true`) + "," + update(unknownID, ""), "", idle + "," + missing, false},
		{"?atomic=true", update(unknownID, "") + "," + update(app, `,"license_count":null,"if_match":"\"x\""`), "", missing + "," + stale, false},
		{"?dry_run=true", update(app, `,"is_favorite":true`) + "," + update(unknownID, ""), quote(app), missing, false},
		{"?atomic=true&dry_run=true", update(app, `,"is_favorite":true`), quote(app), "", false},
		{"", update(app, `,"is_favorite":true,"if_match":`+tag) + "," + update(unknownID, `,"license_count":1`), quote(app), missing, true},
		{"", update(strings.ToUpper(app), `,"is_favorite":true`), quote(app), "", false}, // as it is
		{"?atomic=true", update(app, `,"license_count":null`), quote(app), "", true},
		{"?atomic=false", update(app, `,"license_count":7`), quote(app), "", true},
	} {
		before := f.Get(t, target)
		r := f.Send(t, servertest.Request{Method: "PATCH", Target: op.Target(nil) + step.query, Body: `{"updates":[` + step.updates + `]}`})
		want := fmt.Sprintf(`{"succeeded":[%s],"failed":[%s]}`+"\n", step.succeeded, step.failed)
		if r.Status != http.StatusOK || r.Body != want {
			t.Errorf("%s%s %s: %d %s, want %s", op.ID, step.query, step.updates, r.Status, r.Body, want)
		}
		after := f.Get(t, target)
		if changed := after.Header.Get("ETag") != before.Header.Get("ETag"); changed != step.changed {
			t.Errorf("%s%s %s: the app was %s, and is %s", op.ID, step.query, step.updates, before.Body, after.Body)
		}
	}
	if r := f.Get(t, target); !strings.Contains(r.Body, `"is_favorite":true`) || !strings.Contains(r.Body, `"license_count":7`) {
		t.Errorf("after all of %s: %s", op.ID, r.Body)
	}
	r := f.Send(t, servertest.Request{Method: "PATCH", Target: op.Target(nil), Body: f.base(t, op).Body.String(), Header: []string{"If-Match: *"}})
	f.expect(t, r, 400, op.ID+" with If-Match")
}

var (
	writtenAt = regexp.MustCompile(`_at":"[^"]*"|"urn:request:[^"]*"`)
	anyID     = regexp.MustCompile(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)
)

// withoutGenerated returns a body without the ids and times that a write generates.
func withoutGenerated(body string) string {
	return anyID.ReplaceAllString(writtenAt.ReplaceAllString(body, ""), "ID")
}

// asDryRun returns the request as a dry run. ok is false if it already is one, or if the operation has none.
func asDryRun(op *Operation, r servertest.Request) (dryRun servertest.Request, ok bool) {
	if op.Param("dry_run") == nil || r.Method != op.Method || strings.Contains(r.Target, "dry_run") {
		return r, false
	}
	separator := "?"
	if strings.Contains(r.Target, "?") {
		separator = "&"
	}
	r.Target += separator + "dry_run=true"
	return r, true
}

// sendWithDryRun sends a request first as a dry run, if it can be one, and then as a write. The responses must be the same.
func (f *fixture) sendWithDryRun(t *testing.T, op *Operation, c Case) {
	t.Helper()
	request, ok := asDryRun(op, c.Request)
	if !ok {
		f.send(t, op, c)
		return
	}
	dryRun := f.clients[c.Client].Send(t, request)
	written := f.send(t, op, c)
	if dryRun.Status != written.Status || withoutGenerated(dryRun.Body) != withoutGenerated(written.Body) {
		t.Errorf("%s, %s: the dry run answers %d %s, the write %d %s", op.ID, c.Name, dryRun.Status, dryRun.Body, written.Status, written.Body)
	}
	if dryRun.Header.Get("Dry-Run") != "true" || dryRun.Header.Get("Cache-Control") != "no-store" || written.Header.Get("Dry-Run") != "" {
		t.Errorf("%s, %s: the dry run has %v, the write %v", op.ID, c.Name, dryRun.Header, written.Header)
	}
}

// checkDryRun sends the operation's request by a token with its scopes alone: first as a dry run, which writes nothing and has the entity
// tag of the object as it is.
func (f *fixture) checkDryRun(t *testing.T, op *Operation) {
	t.Helper()
	f.prepare(t, op)
	c := Case{"a token with these scopes alone", tokenName(op.Scopes), f.base(t, op).Request(), Want{Status: []int{op.Success}}}
	request, ok := asDryRun(op, c.Request)
	if !ok {
		f.send(t, op, c)
		return
	}
	tag := ""
	if op.Method == http.MethodPatch && op.Param("If-Match") != nil {
		tag = f.Patch(t, c.Request.Target, "{}").Header.Get("ETag")
	}
	before := f.content(t)
	r := f.clients[c.Client].Send(t, request)
	f.expect(t, r, op.Success, op.ID+" as a dry run")
	if after := f.content(t); after != before {
		t.Errorf("%s: a dry run wrote:\n%s\nbefore:\n%s", op.ID, after, before)
	}
	if got := r.Header.Get("ETag"); got != tag && op.Success != http.StatusNoContent {
		t.Errorf("%s: the dry run has the entity tag %s, the object %s", op.ID, got, tag)
	}
	f.sendWithDryRun(t, op, c)
	if after := f.content(t); after == before {
		t.Errorf("%s: its request writes nothing, so that a dry run is nothing special", op.ID)
	}
}
