package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/capacity"
	"github.com/clientapps/clientapps/server/ratelimit"
	"github.com/clientapps/clientapps/server/transport"
	"github.com/clientapps/clientapps/store"
)

// guard returns the middleware of one operation: authenticate, authorize, limit, validate. It is added to the operation's route
// and not to the router, where it would also run before 405 and HEAD. The handler gets only valid requests.
func (s *Server) guard(op *operation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			state := requestStateOf(c.Request().Context())
			state.operation, state.observed.Operation = op, op.observed
			unescapePath(c)
			token, err := s.authenticate(c.Request())
			if err != nil {
				return err
			}
			state.token, state.observed.TokenID = token, token.ID
			if err := op.authorize(token, c.Param); err != nil {
				return err
			}
			requests, isStream := s.inFlight, op.stream && c.Request().Method == http.MethodGet
			switch {
			case isStream:
				requests = s.streams
			case op.isTransfer():
				requests = s.transfers
			}
			if err := requests.Acquire(token.ID); err != nil {
				return err
			}
			defer requests.Release(token.ID)
			if err := s.checkRateLimit(c, op, token.ID); err != nil {
				return err
			}
			memory := op.memoryFor(c.Request())
			if memory > 0 {
				if err := s.bodyMemory.Reserve(token.ID, memory); err != nil {
					transport.DiscardBody(c.Request(), maxBody)
					return err
				}
				defer func() { s.bodyMemory.Release(token.ID, memory) }()
			}
			body, err := op.readBody(c.Response(), c.Request())
			if err != nil {
				return err
			}
			if err := op.checkParams(c.Request(), c.Param); err != nil {
				return err
			}
			if op.dryRun(c.Request().URL) {
				state.dryRun = true
				c.SetRequest(c.Request().WithContext(store.DryRun(c.Request().Context())))
			}
			nodes, err := op.checkBody(c.Request(), body)
			if err != nil {
				return err
			}
			if memory > 0 { // the decoded body needs less than the reserved maximum
				needed := capacity.BodyMemory(int64(len(body)), nodes)
				s.bodyMemory.Release(token.ID, memory-needed)
				memory = needed
			}
			if isStream {
				state.reauthorize = func() error { return s.reauthorize(c, op) }
				s.observer.Stream(&state.observed)
				return next(c)
			}
			if op.isTransfer() {
				return s.transfer(c, op, next)
			}
			return withTimeout(c, s.databaseTimeout, next)
		}
	}
}

// transfer runs an export or an import, which may take longer than any other request.
func (s *Server) transfer(c echo.Context, op *operation, next echo.HandlerFunc) error {
	request, timeout := c.Request(), exportTimeout
	state := requestStateOf(request.Context())
	s.observer.Stream(&state.observed)
	state.headOnly = request.Method == http.MethodHead
	state.fileFormat = exportFormat(request.Header.Values("Accept"))
	if op.upload {
		var err error
		if request.Body, err = s.newImportBody(c.Response(), request); err != nil {
			return err
		}
		timeout = s.uploadTimeout + importTimeout
		state.fileFormat = fileFormat(request.Header.Get(headerContentType))
	}
	err := withTimeout(c, timeout, next)
	if err != nil && op.upload { // refused before it was read
		transport.DiscardBody(request, maxFile)
	}
	return err
}

// dryRun reports whether a valid request asks for a dry run.
func (op *operation) dryRun(u *url.URL) bool {
	return u.RawQuery != "" && op.queryNames["dry_run"] && u.Query().Get("dry_run") == "true"
}

// reauthorize authenticates and authorizes a stream again.
func (s *Server) reauthorize(c echo.Context, op *operation) error {
	token, err := s.authenticate(c.Request())
	if err != nil {
		return err
	}
	return op.authorize(token, c.Param)
}

// checkRateLimit counts a request, and returns 429 if its token has exceeded the rate limit for this client. The response has the
// RateLimit headers in both cases.
func (s *Server) checkRateLimit(c echo.Context, op *operation, token uuid.UUID) error {
	if s.limiter == nil {
		return nil
	}
	key := ratelimit.Key{Token: token}
	if op.perClient {
		key.Client, _ = uuid.Parse(c.Param("client_id")) // a malformed id gets 400 later
	}
	quota := s.limiter.Take(key)
	header := c.Response().Header()
	// These are the canonical names for net/http, so that it need not convert them.
	header["Ratelimit-Policy"] = s.limiter.Policy()
	header["Ratelimit"] = []string{quota.Field()}
	if quota.OK {
		return nil
	}
	return &Error{
		Status: http.StatusTooManyRequests, Code: gen.ErrorCodeRateLimited, Message: "Too many requests",
		Header: http.Header{"Retry-After": {strconv.FormatInt(ratelimit.Seconds(quota.Next), 10)}}, Cause: causeRateLimit,
	}
}

// withTimeout sets the timeout of the handler's database work. Reading the request has timeouts of its own.
func withTimeout(c echo.Context, timeout time.Duration, next echo.HandlerFunc) error {
	request := c.Request()
	ctx, cancel := context.WithTimeout(request.Context(), timeout)
	defer cancel()
	c.SetRequest(request.WithContext(ctx))
	defer c.SetRequest(request) // the original context still tells whether the client has disconnected
	return next(c)
}

// unescapePath unescapes path parameters, which echo does not do when a path is escaped in an unusual way. It keeps invalid
// escapes: no schema accepts a percent sign.
func unescapePath(c echo.Context) {
	if c.Request().URL.RawPath == "" {
		return
	}
	values := c.ParamValues()
	for i, value := range values {
		if plain, err := url.PathUnescape(value); err == nil {
			values[i] = plain
		}
	}
	c.SetParamValues(values...)
}

// binder passes the bodies that the guard has decoded to the generated code.
type binder struct{}

// Bind implements echo.Binder.
func (binder) Bind(target any, c echo.Context) error {
	body, ok := c.Request().Body.(*decodedBody)
	if !ok || reflect.TypeOf(body.target) != reflect.TypeOf(target) {
		return fmt.Errorf("the body of %s is a %T and not a %T", c.Path(), body.target, target)
	}
	reflect.ValueOf(target).Elem().Set(reflect.ValueOf(body.target).Elem())
	return nil
}
