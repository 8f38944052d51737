package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/capacity"
	"github.com/clientapps/clientapps/server/ratelimit"
	"github.com/clientapps/clientapps/server/transport"
)

// guard returns the middleware of one operation: authenticate, authorize, limit, validate. It is added to the operation's route
// and not to the router, where it would also run before 405 and HEAD. The handler gets only valid requests.
func (s *Server) guard(op *operation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			x := requestStateOf(c.Request().Context())
			x.operation, x.observed.Operation = op, op.observed
			unescapePath(c)
			token, err := s.authenticate(c.Request())
			if err != nil {
				return err
			}
			x.token, x.observed.TokenID = token, token.ID
			if err := op.authorize(token, c.Param); err != nil {
				return err
			}
			places, isStream := s.inFlight, op.stream && c.Request().Method == http.MethodGet
			if isStream {
				places = s.streams
			}
			if err := places.Acquire(token.ID); err != nil {
				return err
			}
			defer places.Release(token.ID)
			if err := s.limit(c, op, token.ID); err != nil {
				return err
			}
			memory := op.memoryFor(c.Request())
			if memory > 0 {
				if err := s.bodies.Reserve(token.ID, memory); err != nil {
					transport.DiscardBody(c.Request(), maxBody)
					return err
				}
				defer func() { s.bodies.Release(token.ID, memory) }()
			}
			body, err := op.readBody(c.Response(), c.Request())
			if err != nil {
				return err
			}
			if err := op.checkParams(c.Request(), c.Param); err != nil {
				return err
			}
			nodes, err := op.checkBody(c.Request(), body)
			if err != nil {
				return err
			}
			if memory > 0 { // the decoded body needs less than the reserved maximum
				needed := capacity.BodyMemory(int64(len(body)), nodes)
				s.bodies.Release(token.ID, memory-needed)
				memory = needed
			}
			if isStream {
				x.recheck = func() error { return s.recheck(c, op) }
				s.observer.Stream(&x.observed)
				return next(c)
			}
			return s.withDatabaseTimeout(c, next)
		}
	}
}

// recheck authenticates and authorizes a stream again.
func (s *Server) recheck(c echo.Context, op *operation) error {
	token, err := s.authenticate(c.Request())
	if err != nil {
		return err
	}
	return op.authorize(token, c.Param)
}

// limit counts a request, and returns 429 if its token has exceeded the rate limit for this client. The answer has the RateLimit
// headers in both cases.
func (s *Server) limit(c echo.Context, op *operation, token uuid.UUID) error {
	if s.limiter == nil {
		return nil
	}
	key := ratelimit.Key{Token: token}
	if op.perClient {
		key.Client, _ = uuid.Parse(c.Param("client_id")) // a malformed id gets 400 later
	}
	q := s.limiter.Take(key)
	header := c.Response().Header()
	// These are the canonical names for net/http, so that it need not convert them.
	header["Ratelimit-Policy"] = s.limiter.Policy()
	header["Ratelimit"] = []string{q.Field()}
	if q.OK {
		return nil
	}
	return &Error{
		Status: http.StatusTooManyRequests, Code: gen.ErrorCodeRateLimited, Message: "Too many requests",
		Header: http.Header{"Retry-After": {strconv.FormatInt(ratelimit.Seconds(q.Next), 10)}}, Cause: causeRate,
	}
}

// withDatabaseTimeout sets the timeout of the handler's database work. Reading the request has timeouts of its own.
func (s *Server) withDatabaseTimeout(c echo.Context, next echo.HandlerFunc) error {
	request := c.Request()
	ctx, cancel := context.WithTimeout(request.Context(), s.database)
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
	body, ok := c.Request().Body.(decodedBody)
	if !ok || reflect.TypeOf(body.target) != reflect.TypeOf(target) {
		return fmt.Errorf("the body of %s is a %T and not a %T", c.Path(), body.target, target)
	}
	reflect.ValueOf(target).Elem().Set(reflect.ValueOf(body.target).Elem())
	return nil
}
