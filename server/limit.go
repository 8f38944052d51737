package server

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/ratelimit"
)

// limit counts a request, and refuses it with 429 when its token has made too many for this client. The answer has the RateLimit
// headers in either case.
func (s *Server) limit(c echo.Context, op *operation, token uuid.UUID) error {
	if s.limiter == nil {
		return nil
	}
	key := ratelimit.Key{Token: token}
	if op.perClient {
		key.Client, _ = uuid.Parse(c.Param("client_id")) // a malformed one is refused further on
	}
	q := s.limiter.Take(key)
	header := c.Response().Header()
	// By the names that net/http makes of RateLimit-Policy and RateLimit, so that it need not.
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
