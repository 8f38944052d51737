package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// beginPatch sends the head of a patch and the first byte of its body. It returns the connection and the status line of the
// response: "100 Continue" if the server goes on to read the body.
func beginPatch(t *testing.T, as *servertest.Client) (net.Conn, string) {
	t.Helper()
	return beginPatchBody(t, as, "Content-Length: 2")
}

// beginPatchBody is beginPatch for a body of another length, which the header states.
func beginPatchBody(t *testing.T, as *servertest.Client, length string) (net.Conn, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(as.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"%s\r\nExpect: 100-continue\r\n\r\n%s", appPath, as.Token, length, firstByte(length))
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return conn, strings.TrimSpace(line)
}

// firstByte is the first byte of a body on the wire.
func firstByte(length string) string {
	if strings.HasPrefix(length, "Transfer-Encoding") {
		return "1\r\n{\r\n"
	}
	return "{"
}

// occupy keeps a request in flight until the returned function ends it, by not sending the rest of its body.
func occupy(t *testing.T, as *servertest.Client) (leave func()) {
	t.Helper()
	conn, line := beginPatch(t, as)
	if line != "HTTP/1.1 100 Continue" {
		t.Fatal(line)
	}
	return func() {
		if _, err := io.WriteString(conn, "}"); err != nil {
			t.Error(err)
		}
		_, _ = io.ReadFull(conn, make([]byte, len("\r\nH"))) // the rest of the 100 and the first byte of the answer
	}
}

// A request beyond the maximum in flight gets 503 before its body is read. One token can take at most half of the places. Health
// checks are always answered.
func TestMaxInFlight(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := servertest.New(t, url, func(c *server.Config) { c.MaxInFlight = 4 })
		secret, _ := s.NewToken(t, store.Token{Name: "second", AllClients: true, Scopes: strings.Join(server.Scopes(), " ")})
		second := &servertest.Client{URL: s.URL, Token: secret}
		shed := func(as *servertest.Client) {
			t.Helper()
			got := as.Get(t, appPath)
			if got.Status != http.StatusServiceUnavailable || got.Body != unavailable+"\n" || got.Header.Get("Retry-After") != "1" {
				t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
			}
			if _, line := beginPatch(t, as); line != "HTTP/1.1 503 Service Unavailable" {
				t.Errorf("a patch: %s", line)
			}
		}
		served := func(as *servertest.Client, target string) {
			t.Helper()
			if got := as.Get(t, target); got.Status != http.StatusOK {
				t.Errorf("%s: %d %s", target, got.Status, got.Body)
			}
		}
		leave := []func(){occupy(t, s.Client), occupy(t, s.Client)}
		shed(s.Client)
		served(second, appPath)
		leave = append(leave, occupy(t, second), occupy(t, second))
		shed(s.Client)
		shed(second)
		unknown, err := apitoken.New()
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{"", unknown} { // a request without a valid token takes no place
			if got := (&servertest.Client{URL: s.URL, Token: token}).Get(t, appPath); got.Status != http.StatusUnauthorized {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		}
		for _, target := range []string{"/healthz", "/readyz", "/openapi.yaml", "/docs"} {
			served(second, target)
		}
		for _, f := range leave {
			f()
			served(s.Client, appPath)
		}
		for range 20 { // refused requests must not keep their places
			served(s.Client, appPath)
			served(second, appPath)
		}
	})
}

// Every operation is limited in the same way, but for streams, exports and imports: TestMaxStreams and TestMaxTransfers.
func TestEveryOperationIsShed(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t), func(c *server.Config) { c.MaxInFlight = 1 })
	leave := occupy(t, s.Client)
	for name, r := range requests {
		if strings.HasPrefix(name, "stream") || strings.HasPrefix(name, "export") || strings.HasPrefix(name, "import") {
			continue
		}
		got := s.SendBoth(t, servertest.Request{Method: r.method, Target: r.target, Body: r.body})
		if got.Status != http.StatusServiceUnavailable || got.Body != unavailable+"\n" || got.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	leave()
}
