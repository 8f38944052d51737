package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// Without a token, no operation of the contract does or reveals anything, whatever else is wrong with the request.
func TestEveryOperationWantsAToken(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	s := servertest.New(t, storetest.SQLite(t)) // no request reaches the database
	anonymous := &servertest.Client{URL: s.URL}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for _, id := range []string{clientID, nilID, "x"} {
				target := doc.Servers[0].URL
				for _, part := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
					if strings.HasPrefix(part, "{") {
						part = id
					}
					target += "/" + part
				}
				methods := []string{method}
				if method == http.MethodGet {
					methods = append(methods, http.MethodHead)
				}
				for _, method := range methods {
					for _, r := range []servertest.Request{
						{},
						{Target: "?x=%zz"},
						{Body: "{}"},
						{Body: "x", Header: []string{"Content-Type: text/plain", "Accept: text/html", "If-Match: x"}},
						{Body: strings.Repeat("x", 1<<20+1)},
					} {
						r.Method, r.Target = method, target+r.Target
						want := unauthorized + "\n"
						if method == http.MethodHead {
							want = ""
						}
						if got := anonymous.Send(t, r); got.Status != http.StatusUnauthorized || got.Body != want {
							t.Errorf("%s: %s %s answered %d %s", op.OperationID, method, r.Target, got.Status, got.Body)
						}
					}
				}
			}
		}
	}
}
