package egress_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/clientapps/clientapps/webhook/egress"
)

var (
	public   = netip.MustParseAddr("1.1.1.1")
	loopback = netip.MustParseAddr("127.0.0.1")
	discard  = log.New(io.Discard, "", 0)
)

// get sends a request through a transport of the policy and returns its answer's protocol and body.
func get(t *testing.T, policy egress.Policy, url string) (protocol, body string, err error) {
	t.Helper()
	transport := egress.NewTransport(policy)
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return response.Proto, string(read), err
}

// A name that is public when it is looked at, and leads to loopback when it is called.
func TestRebindingIsRefused(t *testing.T) {
	t.Parallel()
	for _, inside := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "168.63.129.16", "0.0.0.0"} {
		t.Run(inside, func(t *testing.T) {
			t.Parallel()
			resolver := newResolver(t, public, netip.MustParseAddr(inside))
			addrs, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.example.com")
			if err != nil || len(addrs) != 1 || addrs[0] != public {
				t.Fatalf("resolved to %v, %v", addrs, err)
			}
			_, _, err = get(t, egress.Policy{Resolver: resolver}, "https://rebind.example.com/")
			if !errors.Is(err, egress.ErrAddress) {
				t.Errorf("%v, want that the address is refused", err)
			}
		})
	}
}

func TestNoConnectionReachesLoopback(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(server.Close)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	resolver := newResolver(t, loopback)
	for _, url := range []string{
		server.URL, "http://localhost" + port, "http://[::ffff:127.0.0.1]" + port, "http://[::1]" + port, "http://0.0.0.0" + port,
		"http://name.example.com" + port,
	} {
		if _, _, err := get(t, egress.Policy{Resolver: resolver}, url); !errors.Is(err, egress.ErrAddress) {
			t.Errorf("%s: %v, want that the address is refused", url, err)
		}
	}
	if reached.Load() != 0 {
		t.Error("the server was reached")
	}
	if _, _, err := get(t, egress.Policy{AllowLoopback: true, Resolver: resolver}, "http://name.example.com"+port); err != nil || reached.Load() != 1 {
		t.Errorf("with loopback allowed: %v", err)
	}
}

func TestProxiesOfTheEnvironmentAreIgnored(t *testing.T) {
	// Not parallel: it sets variables. net/http ignores them for localhost, not for names.
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	for _, url := range []string{"http://name.example.com:1/", "https://name.example.com:1/"} {
		if _, _, err := get(t, egress.Policy{AllowLoopback: true, Resolver: newResolver(t, loopback)}, url); err == nil {
			t.Errorf("%s was answered", url)
		}
	}
	if egress.NewTransport(egress.Policy{}).Proxy != nil {
		t.Error("the transport has a proxy")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		newest  uint16
		trusted bool
		ok      bool
	}{
		"TLS 1.3":                {tls.VersionTLS13, true, true},
		"TLS 1.2":                {tls.VersionTLS12, true, true},
		"TLS 1.1":                {tls.VersionTLS11, true, false},
		"an unknown certificate": {tls.VersionTLS13, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.Header.Get("Accept-Encoding"))
			}))
			server.Config.ErrorLog = discard
			server.EnableHTTP2 = true
			server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: c.newest}
			server.StartTLS()
			t.Cleanup(server.Close)
			policy := egress.Policy{AllowLoopback: true, Resolver: newResolver(t, loopback)}
			if c.trusted {
				policy.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			}
			// The certificate of httptest is for example.com too.
			protocol, body, err := get(t, policy, "https://www.example.com"+server.URL[strings.LastIndex(server.URL, ":"):])
			if (err == nil) != c.ok {
				t.Fatalf("%v, want success: %v", err, c.ok)
			}
			if c.ok && (protocol != "HTTP/2.0" || body != "") {
				t.Errorf("%s with the encodings %q, want HTTP/2.0 without compression", protocol, body)
			}
		})
	}
}
