package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/docs"
)

// basePath is the prefix of the contract's paths.
const basePath = "/v2"

// router finds the handler of a request. The generated code registers its routes here.
type router struct {
	*echo.Echo

	methods     map[string][]string // by path
	allow       map[string]string   // the Allow header, by path
	acceptPatch map[string]string   // the Accept-Patch header, by path
	err         error
}

// newRouter registers every operation of the contract with its guard, HEAD for each GET, and OPTIONS for each path.
func (s *Server) newRouter() (*router, error) {
	r := &router{Echo: echo.New(), methods: map[string][]string{}, allow: map[string]string{}, acceptPatch: map[string]string{}}
	r.HTTPErrorHandler = s.writeError
	r.Binder = binder{}
	r.Use(recoverMiddleware)
	r.addPublic("/healthz", toEchoHandler(healthz))
	r.addPublic("/readyz", toEchoHandler(s.readyz))
	documents, err := docs.Handlers()
	if err != nil {
		return nil, err
	}
	maps.Copy(documents, s.wellKnown.Handlers())
	for path, h := range documents {
		r.addPublic(path, echo.WrapHandler(h))
	}
	if s.mcp != nil {
		r.Add(http.MethodPost, mcpPath, toEchoHandler(s.mcp.serve))
		r.finishPath(mcpPath, []string{http.MethodPost})
	}
	operations, err := readOperations()
	if err != nil {
		return nil, err
	}
	guards := map[string][]echo.MiddlewareFunc{}
	for id, op := range operations {
		op.observed = s.observer.Operation(id, op.method, op.route, op.statuses)
		guards[id] = []echo.MiddlewareFunc{s.guard(op)}
		if op.method == http.MethodPatch {
			r.acceptPatch[strings.NewReplacer("{", ":", "}", "").Replace(op.route)] = op.acceptPatch()
		}
	}
	h := &handlers{store: s.store, log: s.log, streams: s.streamSettings, webhooks: s.webhooks}
	gen.RegisterHandlersWithOptions(r, gen.NewStrictHandler(h, nil), gen.RegisterHandlersOptions{
		BaseURL: basePath, OperationMiddlewares: guards,
	})
	for path, methods := range r.methods {
		r.finishPath(path, methods)
	}
	return r, r.err
}

// toEchoHandler adapts a handler outside the API that does not depend on echo.
func toEchoHandler(h func(http.ResponseWriter, *http.Request) error) echo.HandlerFunc {
	return func(c echo.Context) error { return h(c.Response(), c.Request()) }
}

// addPublic registers a path outside the API, which needs no token.
func (r *router) addPublic(path string, h echo.HandlerFunc) {
	r.Echo.GET(path, h)
	r.HEAD(path, h)
	r.finishPath(path, []string{http.MethodGet, http.MethodHead})
}

// finishPath adds OPTIONS to a path, and 405 for its missing methods: otherwise echo would try the next matching path and take
// /catalog-apps/summary for a catalog app.
func (r *router) finishPath(path string, methods []string) {
	allowed := slices.Sorted(slices.Values(append(methods, http.MethodOptions)))
	r.allow[path] = strings.Join(allowed, ", ")
	r.OPTIONS(path, options(r.allow[path], r.acceptPatch[path]))
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		if !slices.Contains(allowed, method) {
			r.Add(method, path, methodNotAllowed)
		}
	}
}

func methodNotAllowed(echo.Context) error { return echo.ErrMethodNotAllowed }

// The headers of OPTIONS * (RFC 9110, 9.3.7): the methods of all paths, and the media types of all patches.
const (
	serverMethods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
	allPatchTypes = "application/json, application/merge-patch+json"
)

// isServerOptions reports whether a request is OPTIONS *, which no route matches.
func isServerOptions(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.RequestURI == "*"
}

// add registers a route of the contract. It refuses a route without a guard, which anybody could call.
func (r *router) add(method, path string, h echo.HandlerFunc, m []echo.MiddlewareFunc) *echo.Route {
	if len(m) != 1 {
		r.err = fmt.Errorf("%s %s has no guard: the embedded contract does not know its operation id", method, path)
		return nil
	}
	r.methods[path] = append(r.methods[path], method)
	return r.Add(method, path, m[0](h)) // as echo would do for each request
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
		if isServerOptions(c.Request()) {
			return options(serverMethods, allPatchTypes)(c)
		}
		if err := rejectExtraSegments(c); err != nil {
			return err
		}
		defer func() {
			if r := recover(); r != nil {
				if abort, ok := r.(error); ok && errors.Is(abort, http.ErrAbortHandler) {
					panic(abort) //nolint:forbidigo // net/http closes the connection
				}
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}

// rejectExtraSegments answers 404 if segments follow the last parameter of a path: echo would make them a part of its value.
func rejectExtraSegments(c echo.Context) error {
	if strings.Count(echo.GetPath(c.Request()), "/") > strings.Count(c.Path(), "/") {
		return errNoRoute()
	}
	return nil
}

// options answers 204 with the methods of a path and the media types of its patches. It needs no token: the contract is public.
func options(allow, acceptPatch string) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderAllow, allow)
		if acceptPatch != "" {
			c.Response().Header().Set("Accept-Patch", acceptPatch)
		}
		return c.NoContent(http.StatusNoContent)
	}
}

// healthz is the liveness probe. It depends on nothing but the process.
func healthz(w http.ResponseWriter, _ *http.Request) error { return writeText(w, "ok\n") }

// readyTimeout bounds the database check of the readiness probe. It is shorter than the usual timeout of probes.
const readyTimeout = 900 * time.Millisecond

// readyz is the readiness probe: the database answers, has the schema of this program, and the server is not shutting down.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return errUnavailable(causeStopping, errors.New("the server is stopping"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.store.Ready(ctx); err != nil {
		return errUnavailable(databaseCause(err), err)
	}
	return writeText(w, "ready\n")
}

func writeText(w http.ResponseWriter, text string) error {
	w.Header().Set(headerContentType, "text/plain; charset=UTF-8")
	_, err := io.WriteString(w, text)
	return err
}
