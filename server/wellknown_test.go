package server_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// wellKnown starts a server for these tests, whose documents do not use the database. Requests have no token.
func wellKnown(t *testing.T, configure ...func(*server.Config)) *servertest.Server {
	t.Helper()
	s := servertest.New(t, storetest.SQLite(t), configure...)
	s.Client.Token = ""
	return s
}

// withProvider configures an identity provider that no test asks for anything.
func withProvider(c *server.Config) {
	c.OIDC.Issuer, c.OIDC.Audience = "https://login.example.com/realms/msp", audience
}

// Everything that is configured is found without a token, by GET, HEAD and OPTIONS alone.
func TestWellKnownPaths(t *testing.T) {
	t.Parallel()
	s := wellKnown(t, withProvider, func(c *server.Config) { c.SecurityContact, c.MCP = "mailto:security@example.com", true })
	for path, mediaType := range map[string]string{
		"/":                         "",
		"/.well-known/api-catalog":  `application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"`,
		"/.well-known/security.txt": "text/plain; charset=utf-8",
		"/.well-known/oauth-protected-resource/v2":  "application/json",
		"/.well-known/oauth-protected-resource/mcp": "application/json",
	} {
		want := http.StatusOK
		if path == "/" {
			want = http.StatusFound
		}
		get := s.Get(t, path)
		head := s.Send(t, servertest.Request{Method: http.MethodHead, Target: path})
		if get.Status != want || head.Status != want || get.Header.Get("Content-Type") != mediaType || (get.Body == "") != (path == "/") {
			t.Errorf("%s: %d %v, HEAD %d", path, get.Status, get.Header, head.Status)
		}
		const allow = "GET, HEAD, OPTIONS"
		options := s.Send(t, servertest.Request{Method: http.MethodOptions, Target: path})
		if options.Status != http.StatusNoContent || options.Header.Get("Allow") != allow {
			t.Errorf("OPTIONS %s: %d %v", path, options.Status, options.Header)
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			got := s.Send(t, servertest.Request{Method: method, Target: path, Body: "{}"})
			if got.Status != http.StatusMethodNotAllowed || got.Header.Get("Allow") != allow {
				t.Errorf("%s %s: %d %v", method, path, got.Status, got.Header)
			}
		}
	}
}

// What is not configured is not there.
func TestWellKnownUnconfigured(t *testing.T) {
	t.Parallel()
	for name, missing := range map[string]struct {
		configure func(*server.Config)
		paths     []string
	}{
		"nothing": {func(*server.Config) {}, []string{"security.txt", "oauth-protected-resource/v2", "oauth-protected-resource/mcp"}},
		"mcp":     {func(c *server.Config) { c.MCP = true }, []string{"oauth-protected-resource/v2", "oauth-protected-resource/mcp"}},
		"oidc":    {withProvider, []string{"oauth-protected-resource/mcp", "oauth-protected-resource", "oauth-protected-resource/", "", "api-catalog/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := wellKnown(t, missing.configure)
			for _, path := range missing.paths {
				if got := s.Get(t, "/.well-known/"+path); got.Status != http.StatusNotFound {
					t.Errorf("%s: %d %s", path, got.Status, got.Body)
				}
			}
		})
	}
}

func TestRootLeadsToTheDocumentation(t *testing.T) {
	t.Parallel()
	s := wellKnown(t)
	got := s.Get(t, "/")
	link := "<" + s.URL + `/.well-known/api-catalog>; rel="api-catalog"`
	if got.Header.Get("Location") != "/docs" || got.Header.Get("Link") != link {
		t.Errorf("%d %v", got.Status, got.Header)
	}
}

type catalogLink struct{ Href, Type string }

// linkset is the catalog as RFC 9264 has it: an anchor, and a list of targets for each relation.
type linkset struct {
	Linkset []struct {
		Anchor      string
		Item        []catalogLink
		ServiceDesc []catalogLink `json:"service-desc"`
		ServiceDoc  []catalogLink `json:"service-doc"`
		ServiceMeta []catalogLink `json:"service-meta"`
		Status      []catalogLink
	}
}

// Whoever follows the catalog's links finds what they promise, and what the catalog calls an API is described by it.
func TestAPICatalog(t *testing.T) {
	t.Parallel()
	s := wellKnown(t, withProvider)
	answer := s.Get(t, "/.well-known/api-catalog")
	var catalog linkset
	decoder := json.NewDecoder(strings.NewReader(answer.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&catalog); err != nil || len(catalog.Linkset) != 2 {
		t.Fatalf("%v in %s", err, answer.Body)
	}
	index, api := catalog.Linkset[0], catalog.Linkset[1]
	if index.Anchor != s.URL+"/.well-known/api-catalog" || !reflect.DeepEqual(index.Item, []catalogLink{{Href: api.Anchor}}) || api.Anchor != s.URL+"/v2" {
		t.Errorf("%s", answer.Body)
	}
	if len(api.ServiceDesc) != 3 || len(api.ServiceDoc) != 1 || len(api.ServiceMeta) != 1 || len(api.Status) != 1 {
		t.Errorf("%s", answer.Body)
	}
	for _, link := range slices.Concat(api.ServiceDesc, api.ServiceDoc, api.ServiceMeta, api.Status) {
		path, ok := strings.CutPrefix(link.Href, s.URL)
		got := s.Get(t, path)
		mediaType, _, _ := strings.Cut(got.Header.Get("Content-Type"), ";")
		if !ok || got.Status != http.StatusOK || mediaType != link.Type {
			t.Errorf("%+v: %d %q", link, got.Status, got.Header.Get("Content-Type"))
		}
	}
	head := s.Send(t, servertest.Request{Method: http.MethodHead, Target: "/.well-known/api-catalog"})
	if want := "<" + index.Anchor + `>; rel="api-catalog"`; head.Header.Get("Link") != want {
		t.Errorf("HEAD has the link %q, want %q", head.Header.Get("Link"), want)
	}
}

// With MCP there are two APIs, and each has its metadata.
func TestAPICatalogWithMCP(t *testing.T) {
	t.Parallel()
	s := wellKnown(t, withProvider, func(c *server.Config) { c.MCP = true })
	var catalog linkset
	if err := json.Unmarshal([]byte(s.Get(t, "/.well-known/api-catalog").Body), &catalog); err != nil || len(catalog.Linkset) != 3 {
		t.Fatalf("%v, %+v", err, catalog)
	}
	if items := catalog.Linkset[0].Item; !reflect.DeepEqual(items, []catalogLink{{Href: s.URL + "/v2"}, {Href: s.URL + "/mcp"}}) {
		t.Errorf("%+v", items)
	}
	for _, api := range catalog.Linkset[1:] {
		for _, link := range api.ServiceMeta {
			var metadata struct{ Resource string }
			body := s.Get(t, strings.TrimPrefix(link.Href, s.URL)).Body
			if err := json.Unmarshal([]byte(body), &metadata); err != nil || metadata.Resource != api.Anchor {
				t.Errorf("%s: %v, %s", api.Anchor, err, body)
			}
		}
		if len(api.ServiceMeta) != 1 {
			t.Errorf("%+v", api)
		}
	}
}

// security.txt expires within a year, and not before somebody has read it. It says where it is only when that is configured.
func TestSecurityText(t *testing.T) {
	t.Parallel()
	contact := func(c *server.Config) { c.SecurityContact = "https://example.com/report" }
	s := wellKnown(t, contact)
	for _, at := range []time.Time{storetest.Now, storetest.Now.Add(400*24*time.Hour - time.Millisecond)} {
		s.SetTime(at)
		got := s.Get(t, "/.well-known/security.txt").Body
		fields := regexp.MustCompile(`^Contact: https://example\.com/report\nExpires: (\S+)\nPreferred-Languages: en\n$`).FindStringSubmatch(got)
		if fields == nil {
			t.Fatalf("%q", got)
		}
		expires, err := time.Parse(time.RFC3339, fields[1])
		if left := expires.Sub(at); err != nil || left < 180*24*time.Hour || left > 364*24*time.Hour {
			t.Errorf("%v: %s, %v", at, fields[1], err)
		}
	}
	s = wellKnown(t, contact, func(c *server.Config) { c.PublicURL = "https://apps.example.com" })
	if got := s.Get(t, "/.well-known/security.txt").Body; !strings.HasSuffix(got, "\nCanonical: https://apps.example.com/.well-known/security.txt\n") {
		t.Errorf("%q", got)
	}
}

// A 401 says where the metadata of the API is. They name the provider, and what its tokens can have.
func TestResourceMetadata(t *testing.T) {
	t.Parallel()
	s := wellKnown(t, withProvider)
	refused := s.Get(t, appPath)
	challenge := regexp.MustCompile(`^Bearer resource_metadata="([^"]+)"$`).FindStringSubmatch(refused.Header.Get("WWW-Authenticate"))
	if refused.Status != http.StatusUnauthorized || challenge == nil {
		t.Fatalf("%d %v", refused.Status, refused.Header)
	}
	path, ok := strings.CutPrefix(challenge[1], s.URL)
	if !ok {
		t.Fatalf("%s is elsewhere", challenge[1])
	}
	var metadata map[string]any
	if err := json.Unmarshal([]byte(s.Get(t, path).Body), &metadata); err != nil {
		t.Fatal(err)
	}
	var scopes []any
	for _, scope := range server.Scopes() {
		scopes = append(scopes, scope)
	}
	want := map[string]any{
		"resource": s.URL + "/v2", "authorization_servers": []any{"https://login.example.com/realms/msp"},
		"scopes_supported": scopes, "bearer_methods_supported": []any{"header"},
		"resource_name": "clientapps", "resource_documentation": s.URL + "/docs",
	}
	if !reflect.DeepEqual(metadata, want) {
		t.Errorf("%v\nwant\n%v", metadata, want)
	}
	// What a client inserts between the host and the path of a resource leads to the same place (RFC 9728, 3.1).
	if path != "/.well-known/oauth-protected-resource/v2" {
		t.Errorf("the metadata are at %s", path)
	}
}

// The URLs have the host that is configured, or else that of the request, but never one that a header other than Host says.
func TestPublicURL(t *testing.T) {
	t.Parallel()
	forged := []string{"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Forwarded: host=evil.example;proto=https"}
	anchor := func(s *servertest.Server, header ...string) string {
		var catalog linkset
		body := s.Send(t, servertest.Request{Method: http.MethodGet, Target: "/.well-known/api-catalog", Header: append(forged, header...)}).Body
		if err := json.Unmarshal([]byte(body), &catalog); err != nil || len(catalog.Linkset) != 2 {
			t.Fatalf("%v: %s", err, body)
		}
		return catalog.Linkset[1].Anchor
	}
	s := wellKnown(t)
	if got := anchor(s); got != s.URL+"/v2" {
		t.Errorf("%s", got)
	}
	fixed := wellKnown(t, func(c *server.Config) { c.PublicURL = "https://apps.example.com:8443" })
	if got := anchor(fixed); got != "https://apps.example.com:8443/v2" {
		t.Errorf("configured: %s", got)
	}
	for host, want := range map[string]string{
		"apps.example.com": "http://apps.example.com", "[2001:db8::1]:80": "http://[2001:db8::1]:80",
		"": "http://localhost", `a"b`: "http://localhost", "a>b": "http://localhost", "a/b": "http://localhost", "a:b": "http://localhost", "u@a": "http://localhost",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/api-catalog", http.NoBody)
		w := httptest.NewRecorder()
		r.Host = host
		s.Server.ServeHTTP(w, r)
		if link := w.Header().Get("Link"); link != "<"+want+`/.well-known/api-catalog>; rel="api-catalog"` {
			t.Errorf("Host %q: %s", host, link)
		}
	}
	secure := httptest.NewTLSServer(s.Server)
	defer secure.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, secure.URL+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := secure.Client().Transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if link := response.Header.Get("Link"); !strings.HasPrefix(link, "<"+secure.URL+"/") {
		t.Errorf("over TLS: %s", link)
	}
}

// A server does not start with a URL or a contact that its documents must not have.
func TestWellKnownIsConfiguredWell(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	for name, cfg := range map[string]server.Config{
		"a public URL with a path": {PublicURL: "https://apps.example.com/v2"},
		"a public URL with quotes": {PublicURL: `https://apps".example.com`},
		"a contact without scheme": {SecurityContact: "security@example.com"},
		"a contact of two lines":   {SecurityContact: "mailto:security@example.com\nExpires: 2099-01-01T00:00:00Z"},
	} {
		cfg.Store, cfg.Logger = db, slog.New(slog.DiscardHandler)
		if _, err := server.New(cfg); err == nil {
			t.Errorf("%s: a server was made", name)
		}
	}
}
