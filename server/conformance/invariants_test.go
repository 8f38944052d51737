package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// checkInvariants checks what every operation of a kind promises.
func (f *fixture) checkInvariants(t *testing.T, op *Operation) {
	t.Helper()
	switch {
	case op.IsList():
		f.checkList(t, op)
	case op.IsFeed():
		f.checkFeed(t, op)
	case op.IsStream():
		get, head := f.Get(t, op.Target(nil)), f.Send(t, servertest.Request{Method: "HEAD", Target: op.Target(nil)})
		if get.Status != 200 || head.Status != 200 || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") || get.Body == "" {
			t.Errorf("%s: GET %d %s, HEAD %d %v", op.ID, get.Status, get.Body, head.Status, head.Header)
		}
	case op.IsExport():
		f.checkExport(t, op)
	case op.Method == http.MethodGet:
		f.checkRead(t, op, op.Target(nil))
	case op.ID == "updateApps":
		f.checkUpdates(t, op)
	case op.Method == http.MethodPatch:
		f.checkPatch(t, op)
	}
	if op.Body != nil && op.Body.Properties["app_ids"] != nil {
		f.checkBulk(t, op)
	}
	if op.Success == 201 {
		f.checkCreation(t, op)
	}
	switch op.ID {
	case "createToken":
		f.checkCoverage(t, op)
	case "createWebhook":
		f.checkWebhooks(t, op)
	}
}

func (f *fixture) expect(t *testing.T, r *servertest.Response, status int, what string) {
	t.Helper()
	if r.Status != status {
		t.Errorf("%s: %d %s", what, r.Status, r.Body)
	}
}

// checkRead checks an object: HEAD is GET without the body, and If-None-Match follows RFC 9110, 13.1.2.
func (f *fixture) checkRead(t *testing.T, op *Operation, target string) {
	t.Helper()
	get := f.Get(t, target)
	f.expect(t, get, 200, "GET "+target)
	head := f.Send(t, servertest.Request{Method: "HEAD", Target: target})
	tag := get.Header.Get("ETag")
	if head.Status != 200 || head.Header.Get("ETag") != tag || head.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD %s: %d %v", target, head.Status, head.Header)
	}
	kept := f.Send(t, servertest.Request{Method: "GET", Target: target, Header: []string{"X-Request-Id: kept-1"}})
	if kept.Header.Get("X-Request-Id") != "kept-1" || kept.Body != get.Body {
		t.Errorf("GET %s again: %v %s", target, kept.Header, kept.Body)
	}
	if op.Param("If-None-Match") == nil {
		return
	}
	for header, status := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200} {
		r := f.Send(t, servertest.Request{Method: "GET", Target: target, Header: []string{"If-None-Match: " + header}})
		f.expect(t, r, status, "GET "+target+" If-None-Match: "+header)
	}
}

// checkPatch checks a patch: an absent field keeps its value, null clears it, a value sets it. Setting the current value writes
// nothing. If-Match follows RFC 9110, 13.1.1.
func (f *fixture) checkPatch(t *testing.T, op *Operation) {
	t.Helper()
	target := op.Target(nil)
	send := func(body string, header ...string) *servertest.Response {
		return f.Send(t, servertest.Request{Method: "PATCH", Target: target, Body: body, Header: header})
	}
	for _, name := range slices.Sorted(maps.Keys(op.Body.Properties)) {
		if op.Result.Properties[name] == nil {
			continue
		}
		for _, text := range Values(op.Body.Properties[name].Value) {
			if !Valid(op.Body.Properties[name].Value, text) {
				continue
			}
			was := send("{}")
			f.Clock.Advance(time.Second)
			got := send(Object{{name, text}}.String(), "X-Request-Id: r-1")
			if got.Status == 409 || got.Status == 400 && beyondSchema(op, name) {
				continue
			}
			f.expect(t, got, 200, op.ID+" "+name)
			checkPatchedField(t, op, was, got, name, text)
			f.Clock.Advance(time.Second)
			again := send(Object{{name, text}}.String())
			if again.Body != got.Body || again.Header.Get("ETag") != got.Header.Get("ETag") {
				t.Errorf("%s %s=%s again: %s, before %s", op.ID, name, text, again.Body, got.Body)
			}
			if empty := send("{}"); empty.Body != got.Body {
				t.Errorf("%s {} after %s=%s: %s, before %s", op.ID, name, text, empty.Body, got.Body)
			}
			if slices.Contains(op.Methods, "GET") {
				if read := f.Get(t, target); read.Body != got.Body || read.Header.Get("ETag") != got.Header.Get("ETag") {
					t.Errorf("%s %s=%s reads as %s, was answered %s", op.ID, name, text, read.Body, got.Body)
				}
			}
		}
	}
	if op.Param("If-Match") == nil {
		return
	}
	body := f.base(t, op).Body.String()
	tag := send("{}").Header.Get("ETag")
	for header, status := range map[string]int{`"x"`: 412, "W/" + tag: 412, `"x", ` + tag: 200, "*": 200} {
		f.expect(t, send("{}", "If-Match: "+header), status, op.ID+" If-Match: "+header)
	}
	f.expect(t, send(body, `If-Match: "x"`), 412, op.ID+" with an old tag")
	if r := send("{}"); r.Header.Get("ETag") != tag {
		t.Errorf("%s wrote despite 412: %s", op.ID, r.Body)
	}
	f.expect(t, send(body, "If-Match: "+tag), 200, op.ID+" with the tag")
	if op.ID == "updateApp" {
		f.checkHistory(t, target)
	}
}

// checkPatchedField checks that a patch of one field changed only this field and the time of the change.
func checkPatchedField(t *testing.T, op *Operation, was, got *servertest.Response, name, text string) {
	t.Helper()
	var old, updated map[string]any
	var want any
	for _, err := range []error{
		json.Unmarshal([]byte(was.Body), &old), json.Unmarshal([]byte(got.Body), &updated), json.Unmarshal([]byte(text), &want),
	} {
		if err != nil {
			t.Errorf("%s %s=%s: %v", op.ID, name, text, err)
			return
		}
	}
	same := sameValue(old[name], want)
	text = truncate(text)
	if !sameValue(updated[name], want) {
		t.Errorf("%s %s=%s: answered %v", op.ID, name, text, updated[name])
	}
	if updated["updated_at"] != nil && same != (old["updated_at"] == updated["updated_at"]) {
		t.Errorf("%s %s=%s (already: %v): updated_at was %v and is %v", op.ID, name, text, same, old["updated_at"], updated["updated_at"])
	}
	if op.Param("If-Match") != nil && same != (was.Header.Get("ETag") == got.Header.Get("ETag")) {
		t.Errorf("%s %s=%s (already: %v): ETag was %s and is %s", op.ID, name, text, same, was.Header.Get("ETag"), got.Header.Get("ETag"))
	}
	for _, object := range []map[string]any{old, updated} {
		delete(object, name)
		delete(object, "updated_at")
		delete(object, "behind") // of a webhook: depends on its fields
	}
	if fmt.Sprint(old) != fmt.Sprint(updated) {
		t.Errorf("%s %s=%s changed more: %s, before %s", op.ID, name, text, got.Body, was.Body)
	}
}

// sameValue compares values of JSON. The order of a list does not matter: those that can be patched are sets.
func sameValue(a, b any) bool {
	left, ok := a.([]any)
	right, too := b.([]any)
	if !ok || !too {
		return reflect.DeepEqual(a, b)
	}
	sorted := func(list []any) []any {
		return slices.SortedFunc(slices.Values(list), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return reflect.DeepEqual(sorted(left), sorted(right))
}

// checkHistory checks that each change is recorded, newest first, with the id of its request.
func (f *fixture) checkHistory(t *testing.T, target string) {
	t.Helper()
	for _, step := range []struct{ body, row string }{
		{`{"license_count":7}`, `"field":"license_count","old_value":null,"new_value":7`},
		{`{"license_count":0}`, `"field":"license_count","old_value":7,"new_value":0`},
		{`{"license_count":null}`, `"field":"license_count","old_value":0,"new_value":null`},
		{`{"license_count":null}`, `"field":"license_count","old_value":0,"new_value":null`},
	} {
		f.Patch(t, target, `{"license_count":null}`)
		if strings.Contains(step.row, `"old_value":7`) {
			f.Patch(t, target, `{"license_count":7}`)
		} else if strings.Contains(step.row, `"old_value":0`) {
			f.Patch(t, target, `{"license_count":0}`)
		}
		f.Patch(t, target, step.body, "X-Request-Id: history-1")
		r := f.Get(t, target+"/changes?page_size=1")
		if !strings.Contains(r.Body, step.row) || !strings.Contains(r.Body, `"request_id":"history-1"`) {
			t.Errorf("after %s the newest change is %s, want %s", step.body, r.Body, step.row)
		}
	}
}

// checkBulk checks a bulk operation: results have the order of the request, a repeated id counts once, and apps of other clients
// are not found.
func (f *fixture) checkBulk(t *testing.T, op *Operation) {
	t.Helper()
	app, other := storetest.AppID.String(), storetest.OtherAppID.String()
	body := fmt.Sprintf(`{"app_ids":[%q,%q,%q,%q]}`, unknownID, app, strings.ToUpper(app), other)
	want := fmt.Sprintf(`{"succeeded":[%q],"failed":[{"id":%q,"code":"not_found","error":"App not found"},{"id":%q,"code":"not_found","error":"App not found"}]}`, app, unknownID, other) + "\n"
	for range 2 {
		r := f.Send(t, servertest.Request{Method: "POST", Target: op.Target(nil), Body: body})
		if r.Status != 200 || r.Body != want {
			t.Errorf("%s: %d %s, want %s", op.ID, r.Status, r.Body, want)
		}
		wanted := map[string]string{
			"addFavorites": `"is_favorite":true`, "removeFavorites": `"is_favorite":false`, "approveApps": `"is_approved":true`,
			"rejectApps": `"is_approved":false`, "removeAppApprovals": `"is_approved":false`,
		}[op.ID]
		target := "/v2/clients/" + storetest.ClientID.String() + "/apps/" + app
		if r := f.Get(t, target); wanted == "" || !strings.Contains(r.Body, wanted) {
			t.Errorf("after %s: %s", op.ID, r.Body)
		}
	}
}

// checkCoverage checks that a token gives nothing that it has not, and does not see the tokens of clients that it does not cover.
func (f *fixture) checkCoverage(t *testing.T, op *Operation) {
	t.Helper()
	body := f.base(t, op).Body
	own, foreign := fmt.Sprintf("[%q]", storetest.OtherClientID), fmt.Sprintf("[%q]", storetest.ClientID)
	for _, c := range []struct {
		client, what string
		body         Object
		status       int
	}{
		{"only tokens:write", "another scope", body.With("scopes", `["tokens:write","apps:read"]`), 403},
		{"other client", "its client", body.With("client_ids", own), 201},
		{"other client", "another client", body.With("client_ids", foreign), 403},
		{"other client", "all clients", body.Without("client_ids").With("all_clients", "true"), 403},
	} {
		r := f.clients[c.client].Send(t, servertest.Request{Method: "POST", Target: op.Target(nil), Body: c.body.String()})
		f.expect(t, r, c.status, op.ID+" by "+c.client+" for "+c.what)
	}
	target := op.Target(nil) + "/" + tokenIDs[0].String()
	f.expect(t, f.clients["other client"].Get(t, target), 404, "GET "+target+" by another client's token")
	if list := f.clients["other client"].Get(t, op.Target(nil)); strings.Contains(list.Body, tokenIDs[0].String()) {
		t.Errorf("the list for another client's token is %s", list.Body)
	}
}

// checkWebhooks checks that a webhook is there for tokens that cover its client, and that only who may read changes has them sent out.
func (f *fixture) checkWebhooks(t *testing.T, op *Operation) {
	t.Helper()
	body := f.base(t, op).Body
	blind := "only webhooks:write"
	for _, c := range []struct {
		client, method, target string
		body                   Object
		status                 int
	}{
		{"other client", "POST", op.Target(nil), body, 403},
		{"other client", "POST", op.Target(nil), body.With("client_id", "null"), 403},
		{"other client", "POST", op.Target(nil), body.With("client_id", quote(storetest.OtherClientID.String())), 201},
		{blind, "PATCH", op.Target(nil) + "/" + webhookIDs[0].String(), Object{{"url", `"https://hooks.example.com/"`}}, 403},
		{blind, "PATCH", op.Target(nil) + "/" + webhookIDs[0].String(), Object{{"fields", "[]"}}, 200},
	} {
		r := f.clients[c.client].Send(t, servertest.Request{Method: c.method, Target: c.target, Body: c.body.String()})
		f.expect(t, r, c.status, c.method+" "+c.target+" by "+c.client+": "+c.body.String())
	}
	target := f.Send(t, f.base(t, op).Request()).Header.Get("Location")
	f.expect(t, f.clients["other client"].Get(t, target), 404, "GET "+target+" by another client's token")
	id := target[strings.LastIndexByte(target, '/')+1:]
	if list := f.clients["other client"].Get(t, op.Target(nil)); strings.Contains(list.Body, id) {
		t.Errorf("the list for another client's token is %s", list.Body)
	}
}

var secretOf = regexp.MustCompile(`,"secret":"[^"]*"`)

// checkCreation checks that Location leads to the new object, and that GET returns what POST returned, if there is a GET.
func (f *fixture) checkCreation(t *testing.T, op *Operation) {
	t.Helper()
	b := f.base(t, op)
	r := f.Send(t, b.Request())
	f.expect(t, r, 201, op.ID)
	target := r.Header.Get("Location")
	read := f.Get(t, target)
	again := slices.Contains([]string{"createClient", "createToken", "createWebhook"}, op.ID)
	if strings.Contains(r.Body, `"secret":`) { // it is shown once
		r.Body = secretOf.ReplaceAllString(r.Body, "")
	}
	if read.Status != 405 && (read.Body != r.Body || read.Header.Get("ETag") != r.Header.Get("ETag")) {
		t.Errorf("%s: %s reads as %s, was answered %s", op.ID, target, read.Body, r.Body)
	}
	f.expect(t, f.Send(t, b.Request()), map[bool]int{true: 201, false: 409}[again], op.ID+" again")
	if op.ID == "addApp" {
		f.expect(t, f.Send(t, servertest.Request{Method: "DELETE", Target: target}), 204, "DELETE "+target)
		f.expect(t, f.Get(t, target), 404, "GET "+target+" after DELETE")
	}
}
