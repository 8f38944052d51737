package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// The memory of request bodies in progress is bounded, in total and for each token, whether the bodies arrive or not. Beyond the
// bound a request gets 503 and succeeds later, when memory is free. Requests without a body are still served.
func TestBodyMemory(t *testing.T) {
	t.Parallel()
	const full, chunked = "Content-Length: 1048576", "Transfer-Encoding: chunked"
	large := `{"is_favorite":true}` + strings.Repeat(" ", 1<<20-len(`{"is_favorite":true}`))
	storetest.EachParallel(t, func(t *testing.T, url string) {
		// Memory for five of the largest bodies, and for one of each token.
		s := servertest.New(t, url, func(c *server.Config) { c.BodyMemory = 32 << 20 })
		token := func() *servertest.Client {
			secret, _ := s.NewToken(t, store.Token{Name: "another", AllClients: true, Scopes: strings.Join(server.Scopes(), " ")})
			return &servertest.Client{URL: s.URL, Token: secret}
		}
		occupied := func(as *servertest.Client, length string) (leave func()) {
			t.Helper()
			conn, line := beginPatchBody(t, as, length)
			if line != "HTTP/1.1 100 Continue" {
				t.Fatal(line)
			}
			return func() { _ = conn.Close() }
		}
		refused := func(as *servertest.Client, cause string) {
			t.Helper()
			for _, sent := range []bool{true, false} { // with and without Content-Length
				got := as.Send(t, servertest.Request{Method: http.MethodPatch, Target: appPath, Body: large, Chunked: !sent})
				if got.Status != http.StatusServiceUnavailable || got.Body != unavailable+"\n" || got.Header.Get("Retry-After") != "1" {
					t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
				}
			}
			for _, length := range []string{full, chunked} { // the body is not read
				if _, line := beginPatchBody(t, as, length); line != "HTTP/1.1 503 Service Unavailable" {
					t.Error(line)
				}
			}
			requests := s.Log.Requests(t)
			if last := requests[len(requests)-1]; last["cause"] != cause {
				t.Errorf("the log says %v", last["cause"])
			}
		}
		served := func(as *servertest.Client) {
			t.Helper()
			if got := as.Get(t, appPath); got.Status != http.StatusOK {
				t.Errorf("%d %s", got.Status, got.Body)
			}
			if got := as.Patch(t, appPath, `{"is_favorite":true}`); got.Status != http.StatusOK {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		}
		takes := func(as *servertest.Client) bool { return as.Patch(t, appPath, large).Status == http.StatusOK }

		leave := occupied(s.Client, full)
		refused(s.Client, "token_bodies")
		served(s.Client)
		if second := token(); !takes(second) {
			t.Error("a request of another token was refused")
		}
		leave()
		eventually(t, func() bool { return takes(s.Client) })

		leave = occupied(s.Client, chunked)
		refused(s.Client, "token_bodies")
		for range 4 {
			defer occupied(token(), full)()
		}
		sixth := token()
		refused(sixth, "bodies")
		served(sixth)
		leave()
		eventually(t, func() bool { return takes(sixth) })
		for range 20 { // refused requests must not keep memory reserved
			if !takes(sixth) || !takes(s.Client) {
				t.Fatal("refused requests have kept memory reserved")
			}
		}
	})
}
