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

// story is a sequence of requests on one fixture.
type story struct{ *world }

// tell runs a flow on both databases.
func tell(t *testing.T, of func(t *testing.T, s story)) {
	t.Helper()
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		w := newWorld(t, s)
		withNewEntry(t, s)
		of(t, story{w})
	})
}

// madeID matches ids that the server has generated (UUID version 4).
var madeID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

// sends sends a request and compares the status and the whole body: "" is no body, "*" any. It returns the response.
func (s story) sends(t *testing.T, method, target, body string, status int, want string, header ...string) *servertest.Response {
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

// writesNothing is sends for a request that must not change the database.
func (s story) writesNothing(t *testing.T, method, target, body string, status int, want string, header ...string) {
	t.Helper()
	before := s.content(t)
	s.sends(t, method, target, body, status, want, header...)
	if after := s.content(t); after != before {
		t.Errorf("%s %s %s wrote:\n%s\nbefore:\n%s", method, target, body, after, before)
	}
}

// made returns the id of a new object from its Location, and checks that the body has the same id.
func made(t *testing.T, r *servertest.Response) string {
	t.Helper()
	location := r.Header.Get("Location")
	id := location[strings.LastIndex(location, "/")+1:]
	if !madeID.MatchString(id) || !strings.Contains(r.Body, `{"id":"`+id+`"`) {
		t.Fatalf("Location %q, body %s", location, r.Body)
	}
	return id
}

// object decodes a body that is a JSON object.
func object(t *testing.T, r *servertest.Response) map[string]any {
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

// onlyPage returns the body of a list with a single page.
func onlyPage(total int, rows ...string) string {
	return fmt.Sprintf(`{"data":[%s],"total_count":%d,"next_cursor":null}`, strings.Join(rows, ","), total)
}

// conditions checks If-Match and If-None-Match of one object: a stale ETag gets 412 and writes nothing, and the ETag changes with
// a write and only then.
func (s story) conditions(t *testing.T, target, body string) {
	t.Helper()
	tag := s.sends(t, http.MethodPatch, target, "{}", http.StatusOK, "*").Header.Get("ETag")
	s.writesNothing(t, http.MethodPatch, target, body, http.StatusPreconditionFailed, stale, `If-Match: "x"`)
	s.writesNothing(t, http.MethodPatch, target, body, http.StatusPreconditionFailed, stale, "If-Match: W/"+tag)
	written := s.sends(t, http.MethodPatch, target, body, http.StatusOK, "*", `If-Match: "x", `+tag)
	if written.Header.Get("ETag") == tag {
		t.Errorf("%s keeps its tag over %s", target, body)
	}
	s.writesNothing(t, http.MethodPatch, target, body, http.StatusPreconditionFailed, stale, "If-Match: "+tag)
	s.writesNothing(t, http.MethodPatch, target, body, http.StatusOK, strings.TrimSuffix(written.Body, "\n"), "If-Match: "+written.Header.Get("ETag"))
	s.writesNothing(t, http.MethodPatch, target, "{}", http.StatusOK, strings.TrimSuffix(written.Body, "\n"))
}
