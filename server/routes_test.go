package server

import (
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/store"
)

func newServer(t *testing.T) *Server {
	t.Helper()
	db, err := store.Open(store.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := New(Config{Store: db, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The routes below the base path are exactly the operations of the contract, HEAD for each GET, and OPTIONS.
func TestRoutesAreTheContract(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	parameter := regexp.MustCompile(`\{(\w+)\}`)
	for path, item := range doc.Paths.Map() {
		path = basePath + parameter.ReplaceAllString(path, ":$1")
		want = append(want, "OPTIONS "+path)
		for method := range item.Operations() {
			want = append(want, method+" "+path)
			if method == http.MethodGet {
				want = append(want, "HEAD "+path)
			}
		}
	}
	var have []string
	for _, route := range newServer(t).router.Routes() {
		if strings.HasPrefix(route.Path, basePath+"/") && !strings.HasSuffix(route.Name, ".methodNotAllowed") {
			have = append(have, route.Method+" "+route.Path)
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("routes\n%s\ncontract\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// A route needs exactly one guard, or the server does not start.
func TestRouteNeedsOneGuard(t *testing.T) {
	t.Parallel()
	guard := func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	handler := func(echo.Context) error { return nil }
	for name, add := range map[string]func(*router, ...echo.MiddlewareFunc){
		http.MethodGet:    func(r *router, m ...echo.MiddlewareFunc) { r.GET("/x", handler, m...) },
		http.MethodPatch:  func(r *router, m ...echo.MiddlewareFunc) { r.PATCH("/x", handler, m...) },
		http.MethodPost:   func(r *router, m ...echo.MiddlewareFunc) { r.POST("/x", handler, m...) },
		http.MethodPut:    func(r *router, m ...echo.MiddlewareFunc) { r.PUT("/x", handler, m...) },
		http.MethodDelete: func(r *router, m ...echo.MiddlewareFunc) { r.DELETE("/x", handler, m...) },
	} {
		for guards, refused := range map[int]bool{0: true, 1: false, 2: true} {
			r := &router{Echo: echo.New(), methods: map[string][]string{}}
			add(r, slices.Repeat([]echo.MiddlewareFunc{guard}, guards)...)
			if (r.err != nil) != refused {
				t.Errorf("%s with %d guards: %v", name, guards, r.err)
			}
		}
	}
}

// The generated code finds the guards by operation id. If the ids of the embedded contract were spelled differently, no operation
// would have a guard; the server must not start then.
func TestGeneratedRoutesTakeTheirGuards(t *testing.T) {
	t.Parallel()
	operations, err := readOperations()
	if err != nil {
		t.Fatal(err)
	}
	register := func(spell func(string) string) (called []string, err error) {
		r := &router{Echo: echo.New(), methods: map[string][]string{}}
		guards := map[string][]echo.MiddlewareFunc{}
		for id := range operations {
			guards[spell(id)] = []echo.MiddlewareFunc{func(echo.HandlerFunc) echo.HandlerFunc {
				return func(echo.Context) error {
					called = append(called, id)
					return nil
				}
			}}
		}
		gen.RegisterHandlersWithOptions(r, gen.NewStrictHandler(&handlers{}, nil), gen.RegisterHandlersOptions{
			BaseURL: basePath, OperationMiddlewares: guards,
		})
		for _, route := range r.Routes() {
			if r.err == nil && route.Method != http.MethodHead {
				r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), route.Method, route.Path, nil))
			}
		}
		return called, r.err
	}
	called, err := register(func(id string) string { return id })
	if slices.Sort(called); err != nil || !slices.Equal(called, slices.Sorted(maps.Keys(operations))) {
		t.Errorf("guards of %v were called: %v", called, err)
	}
	if _, err := register(func(id string) string { return strings.ToUpper(id[:1]) + id[1:] }); err == nil {
		t.Error("operations without a guard were registered")
	}
}

// Every operation's scopes are ones that a token can have. There may be scopes without an operation.
func TestScopes(t *testing.T) {
	t.Parallel()
	operations, err := readOperations()
	if err != nil {
		t.Fatal(err)
	}
	scopes := Scopes()
	for id, op := range operations {
		for _, scope := range op.scopes {
			if !slices.Contains(scopes, scope) {
				t.Errorf("%s asks for %q, which no token can have", id, scope)
			}
		}
		kind := "write"
		if op.method == http.MethodGet {
			kind = "read"
		}
		if !strings.HasSuffix(op.scopes[0], ":"+kind) {
			t.Errorf("%s is a %s and asks for %q", id, op.method, op.scopes)
		}
	}
	if !slices.IsSorted(scopes) || len(slices.Compact(slices.Clone(scopes))) != len(scopes) {
		t.Errorf("not in order, or with one twice: %v", scopes)
	}
}

// New refuses a configuration without a required field.
func TestNewNeedsItsConfig(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, cfg := range map[string]Config{"store": {Logger: s.log}, "logger": {Store: s.store}, "both": {}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("a server without %s was made", name)
		}
	}
}
