package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/docs"
)

// basePath is where the contract's paths begin.
const basePath = "/v2"

// routes registers every operation of the contract with its guard, HEAD beside each GET, and OPTIONS on each path.
func (s *Server) routes() error {
	s.open("/healthz", healthz)
	s.open("/readyz", s.readyz)
	documents, err := docs.Handlers()
	if err != nil {
		return err
	}
	for path, h := range documents {
		s.open(path, echo.WrapHandler(h))
	}
	operations, err := contract()
	if err != nil {
		return err
	}
	guards := map[string][]echo.MiddlewareFunc{}
	for id, op := range operations {
		op.observed = s.observer.Operation(id, op.route, op.statuses)
		guards[id] = []echo.MiddlewareFunc{s.guard(op)}
	}
	r := &router{Echo: s.echo, methods: map[string][]string{}}
	gen.RegisterHandlersWithOptions(r, gen.NewStrictHandler(&handlers{store: s.store}, nil), gen.RegisterHandlersOptions{
		BaseURL: basePath, OperationMiddlewares: guards,
	})
	for path, methods := range r.methods {
		s.finishPath(path, methods)
	}
	return r.err
}

// open registers what stands outside the API and needs no token.
func (s *Server) open(path string, h echo.HandlerFunc) {
	s.echo.GET(path, h)
	s.echo.HEAD(path, h)
	s.finishPath(path, []string{http.MethodGet, http.MethodHead})
}

// finishPath adds OPTIONS to a path, and 405 for the methods that it has not: else echo would look for them further on,
// and take /catalog-apps/summary for a catalog app.
func (s *Server) finishPath(path string, methods []string) {
	has := slices.Sorted(slices.Values(append(methods, http.MethodOptions)))
	s.allow[path] = strings.Join(has, ", ")
	s.echo.OPTIONS(path, options(s.allow[path], slices.Contains(has, http.MethodPatch)))
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		if !slices.Contains(has, method) {
			s.echo.Add(method, path, noSuchMethod)
		}
	}
}

func noSuchMethod(echo.Context) error { return echo.ErrMethodNotAllowed }

// serverMethods is what OPTIONS * answers (RFC 9110, 9.3.7): the methods that some path has.
const serverMethods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

// aboutServer says whether a request asks for the options of the server as a whole, which no path of the router has.
func aboutServer(r *http.Request) bool { return r.Method == http.MethodOptions && r.RequestURI == "*" }

// router is where the generated code registers its routes.
type router struct {
	*echo.Echo

	methods map[string][]string // by path
	err     error
}

// add refuses a route without a guard: it would be open to anybody.
func (r *router) add(method, path string, h echo.HandlerFunc, m []echo.MiddlewareFunc) *echo.Route {
	if len(m) != 1 {
		r.err = fmt.Errorf("%s %s has no guard: the embedded contract does not know its operation id", method, path)
		return nil
	}
	r.methods[path] = append(r.methods[path], method)
	return r.Add(method, path, m[0](h)) // as echo would, but once and not with every request
}

func (r *router) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	r.add(http.MethodHead, path, h, m)
	return r.add(http.MethodGet, path, h, m)
}

func (r *router) PATCH(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodPatch, path, h, m)
}

func (r *router) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodPost, path, h, m)
}

func (r *router) PUT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodPut, path, h, m)
}

func (r *router) DELETE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.add(http.MethodDelete, path, h, m)
}

// rejectExtraSegments answers 404 when segments follow the last parameter of a path: echo takes them for a part of its value.
func rejectExtraSegments(c echo.Context) error {
	if strings.Count(echo.GetPath(c.Request()), "/") > strings.Count(c.Path(), "/") {
		return errNoRoute()
	}
	return nil
}

// options answers 204 with what the path can do. It needs no token: it shows nothing that the contract does not.
func options(allow string, patch bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderAllow, allow)
		if patch {
			c.Response().Header().Set("Accept-Patch", acceptPatch)
		}
		return c.NoContent(http.StatusNoContent)
	}
}
