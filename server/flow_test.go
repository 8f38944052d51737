package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
)

// flow is a sequence of requests on one fixture.
type flow struct{ *fixture }

// runFlow runs a flow on both databases.
func runFlow(t *testing.T, of func(t *testing.T, s flow)) {
	t.Helper()
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		withNewEntry(t, s)
		of(t, flow{f})
	})
}

// madeID matches ids that the server has generated (UUID version 4).
var madeID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

// step sends a request and compares the status and the whole body: "" is no body, "*" any. It returns the response.
func (s flow) step(t *testing.T, method, target, body string, status int, want string, header ...string) *servertest.Response {
	t.Helper()
	got := s.Send(t, servertest.Request{Method: method, Target: target, Body: body, Header: header})
	if want != "" && want != "*" {
		want += "\n"
	}
	if got.Status != status || want != "*" && got.Body != want {
		t.Errorf("%s %s %s: %d\n%swant %d\n%s", method, target, body, got.Status, got.Body, status, want)
	}
	return got
}

// stepWithoutWrite is step for a request that must not change the database.
func (s flow) stepWithoutWrite(t *testing.T, method, target, body string, status int, want string, header ...string) *servertest.Response {
	t.Helper()
	before := s.content(t)
	got := s.step(t, method, target, body, status, want, header...)
	if after := s.content(t); after != before {
		t.Errorf("%s %s %s wrote:\n%s\nbefore:\n%s", method, target, body, after, before)
	}
	return got
}

// createdID returns the id of a new object from its Location, and checks that the body has the same id.
func createdID(t *testing.T, r *servertest.Response) string {
	t.Helper()
	location := r.Header.Get("Location")
	id := location[strings.LastIndex(location, "/")+1:]
	if !madeID.MatchString(id) || !strings.Contains(r.Body, `{"id":"`+id+`"`) {
		t.Fatalf("Location %q, body %s", location, r.Body)
	}
	return id
}

// decodeObject decodes a body that is a JSON object.
func decodeObject(t *testing.T, r *servertest.Response) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
		t.Fatalf("%s: %v", r.Body, err)
	}
	return body
}

func conflict(field, message string) string {
	return `{"error":{"code":"conflict","message":` + quote(message) + `,"details":{"field":` + quote(field) + `}}}`
}

func missing(kind, param, id string) string {
	return `{"error":{"code":"not_found","message":"` + kind + ` not found","details":{"` + param + `":"` + id + `"}}}`
}

// singlePage returns the body of a list with a single page.
func singlePage(total int, rows ...string) string {
	return fmt.Sprintf(`{"data":[%s],"total_count":%d,"next_cursor":null}`, strings.Join(rows, ","), total)
}

// checkConditions checks If-Match and If-None-Match of one object: a stale ETag gets 412 and writes nothing, and the ETag changes
// with a write and only then.
func (s flow) checkConditions(t *testing.T, target, body string) {
	t.Helper()
	tag := s.step(t, http.MethodPatch, target, "{}", http.StatusOK, "*").Header.Get("ETag")
	s.stepWithoutWrite(t, http.MethodPatch, target, body, http.StatusPreconditionFailed, stale, `If-Match: "x"`)
	s.stepWithoutWrite(t, http.MethodPatch, target, body, http.StatusPreconditionFailed, stale, "If-Match: W/"+tag)
	written := s.step(t, http.MethodPatch, target, body, http.StatusOK, "*", `If-Match: "x", `+tag)
	if written.Header.Get("ETag") == tag {
		t.Errorf("%s: the ETag is unchanged after %s", target, body)
	}
	s.stepWithoutWrite(t, http.MethodPatch, target, body, http.StatusPreconditionFailed, stale, "If-Match: "+tag)
	s.stepWithoutWrite(t, http.MethodPatch, target, body, http.StatusOK, strings.TrimSuffix(written.Body, "\n"), "If-Match: "+written.Header.Get("ETag"))
	s.stepWithoutWrite(t, http.MethodPatch, target, "{}", http.StatusOK, strings.TrimSuffix(written.Body, "\n"))
}
