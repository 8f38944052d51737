package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// A commit in doubt is answered with 500, and the connection stays open.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.SQLite(t))
	s.Server.Handle("/unknown", func(echo.Context) error { return fmt.Errorf("update: %w", &store.InDoubtError{}) })
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	for i, coding := range []string{"identity", "gzip", "identity"} {
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
		})
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/unknown", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept-Encoding", coding)
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusInternalServerError || string(body) != unknown+"\n" {
			t.Errorf("%s: %d %s %v", coding, response.StatusCode, body, err)
		}
		if i > 0 && !reused {
			t.Errorf("%s: the connection was closed", coding)
		}
	}
	for _, line := range s.Log.Requests(t) {
		if line["status"] != 500.0 || line["level"] != "ERROR" || line["error"] == nil {
			t.Errorf("log: %v", line)
		}
	}
}

// TestCommitInDoubtIsAnswered lets PostgreSQL execute a write and loses its answer. The database stays unreachable until the
// request ends, so the answer is 500. The next request is served.
func TestCommitInDoubtIsAnswered(t *testing.T) {
	t.Parallel()
	const client = "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50"
	for name, write := range map[string]struct {
		trigger string // a part of the statement that commits the write
		request servertest.Request
	}{
		"patch":         {"the-lost-one", servertest.Request{Method: "PATCH", Target: appPath, Body: `{"license_count":5}`}},
		"bulk":          {"the-lost-one", servertest.Request{Method: "POST", Target: client + "/apps/approval", Body: `{"app_ids":["` + appID + `"]}`}},
		"all or none":   {"commit", servertest.Request{Method: "PATCH", Target: client + "/apps?atomic=true", Body: `{"updates":[{"id":"` + appID + `","is_favorite":true}]}`}},
		"remove":        {"commit", servertest.Request{Method: "DELETE", Target: appPath}},
		"create client": {"commit", servertest.Request{Method: "POST", Target: "/v2/clients", Body: `{"name":"Fabrikam"}`}},
		"catalog":       {"commit", servertest.Request{Method: "POST", Target: "/v2/catalog-apps", Body: `{"canonical_name":"Zoom"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newFaultProxy(t, storetest.Postgres(t))
			s := servertest.New(t, p.url, func(c *server.Config) { c.DatabaseTimeout = 5 * time.Second })
			if got := s.Get(t, appPath); got.Status != http.StatusOK {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			p.arm(write.trigger)
			write.request.Header = append(write.request.Header, "X-Request-Id: the-lost-one")
			if got := s.Send(t, write.request); got.Status != http.StatusInternalServerError || got.Body != unknown+"\n" {
				t.Errorf("%d %s", got.Status, got.Body)
			}
			p.heal()
			if got := s.Send(t, servertest.Request{Method: "GET", Target: "/v2/clients"}); got.Status != http.StatusOK {
				t.Errorf("afterwards: %d %s", got.Status, got.Body)
			}
		})
	}
}

// faultProxy is a proxy in front of PostgreSQL. Once armed it passes on the statement that contains the trigger, drops the answer
// and refuses connections until it is healed.
type faultProxy struct {
	url    string // of the database, through the proxy
	target string

	mu      sync.Mutex
	trigger []byte
	down    bool
	open    map[net.Conn]bool
}

func newFaultProxy(t *testing.T, databaseURL string) *faultProxy {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	p := &faultProxy{target: u.Host, open: map[net.Conn]bool{}}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Host = listener.Addr().String()
	p.url = u.String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); p.closeClients(); serving.Wait() })
	return p
}

func (p *faultProxy) arm(trigger string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trigger = []byte(trigger)
}

func (p *faultProxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// closeClients closes all client connections.
func (p *faultProxy) closeClients() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		_ = conn.Close()
	}
}

// triggered reports whether this chunk contains the trigger. From then on connections are refused.
func (p *faultProxy) triggered(chunk []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trigger == nil || !bytes.Contains(chunk, p.trigger) {
		return false
	}
	p.trigger, p.down = nil, true
	return true
}

func (p *faultProxy) register(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.down {
		p.open[conn] = true
	}
	return !p.down
}

func (p *faultProxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	if !p.register(client) {
		return
	}
	server, err := net.Dial("tcp", p.target) //nolint:noctx // connects to a local server
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		defer func() { _ = client.Close() }()
		_, _ = io.Copy(client, server)
	}()
	defer func() { <-answers }()
	defer func() { _ = server.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if p.triggered(buf[:n]) {
			p.closeClients()
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}
