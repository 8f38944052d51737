package server

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/docs"
)

// basePath is where the contract's paths begin.
const basePath = "/v2"

// router finds the handler of a request. The generated code registers its routes here.
type router struct {
	*echo.Echo

	methods map[string][]string // by path
	allow   map[string]string   // what the Allow header says, by path
	err     error
}

// newRouter registers every operation of the contract with its guard, HEAD beside each GET, and OPTIONS on each path.
func (s *Server) newRouter() (*router, error) {
	r := &router{Echo: echo.New(), methods: map[string][]string{}, allow: map[string]string{}}
	r.HTTPErrorHandler = s.writeError
	r.Binder = binder{}
	r.Use(recoverMiddleware)
	r.open("/healthz", withoutEcho(healthz))
	r.open("/readyz", withoutEcho(s.readyz))
	documents, err := docs.Handlers()
	if err != nil {
		return nil, err
	}
	for path, h := range documents {
		r.open(path, echo.WrapHandler(h))
	}
	operations, err := contract()
	if err != nil {
		return nil, err
	}
	guards := map[string][]echo.MiddlewareFunc{}
	for id, op := range operations {
		op.observed = s.observer.Operation(id, op.route, op.statuses)
		guards[id] = []echo.MiddlewareFunc{s.guard(op)}
	}
	gen.RegisterHandlersWithOptions(r, gen.NewStrictHandler(&handlers{store: s.store}, nil), gen.RegisterHandlersOptions{
		BaseURL: basePath, OperationMiddlewares: guards,
	})
	for path, methods := range r.methods {
		r.finishPath(path, methods)
	}
	return r, r.err
}

// withoutEcho lets a handler outside the API be written without knowing which router calls it.
func withoutEcho(h func(http.ResponseWriter, *http.Request) error) echo.HandlerFunc {
	return func(c echo.Context) error { return h(c.Response(), c.Request()) }
}

// open registers what stands outside the API and needs no token.
func (r *router) open(path string, h echo.HandlerFunc) {
	r.Echo.GET(path, h)
	r.HEAD(path, h)
	r.finishPath(path, []string{http.MethodGet, http.MethodHead})
}

// finishPath adds OPTIONS to a path, and 405 for the methods that it has not: else echo would look for them further on,
// and take /catalog-apps/summary for a catalog app.
func (r *router) finishPath(path string, methods []string) {
	has := slices.Sorted(slices.Values(append(methods, http.MethodOptions)))
	r.allow[path] = strings.Join(has, ", ")
	r.OPTIONS(path, options(r.allow[path], slices.Contains(has, http.MethodPatch)))
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		if !slices.Contains(has, method) {
			r.Add(method, path, noSuchMethod)
		}
	}
}

func noSuchMethod(echo.Context) error { return echo.ErrMethodNotAllowed }

// serverMethods is what OPTIONS * answers (RFC 9110, 9.3.7): the methods that some path has.
const serverMethods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

// aboutServer says whether a request asks for the options of the server as a whole, which no path of the router has.
func aboutServer(r *http.Request) bool { return r.Method == http.MethodOptions && r.RequestURI == "*" }

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

// recoverMiddleware wraps every route, including 404s, and turns panics into errors.
func recoverMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		if aboutServer(c.Request()) {
			return options(serverMethods, true)(c)
		}
		if err := rejectExtraSegments(c); err != nil {
			return err
		}
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
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
