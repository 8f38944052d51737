package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/capacity"
	"github.com/clientapps/clientapps/server/docs"
	"github.com/clientapps/clientapps/server/oidc"
	"github.com/clientapps/clientapps/server/ratelimit"
	"github.com/clientapps/clientapps/store"
)

// Error is an error response: what the client may see, and the underlying error, which is only logged.
type Error struct {
	Status  int
	Code    gen.ErrorCode
	Message string
	Details *gen.ErrorDetails
	Header  http.Header
	Cause   string // the reason of a 503 or 429, for the log and the metrics; "" otherwise
	err     error  // the underlying error, for the log; nil if there is none
}

func (e *Error) Error() string {
	if e.err != nil {
		return e.Message + ": " + e.err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.err }

// The causes of 503 and 429 for valid requests. The packages capacity, oidc and store have the other causes.
const (
	causeRateLimit = "rate"     // the token has exceeded the rate limit for this client
	causeStopping  = "stopping" // the server shuts down
	causeImport    = "import"   // an import would have kept others from writing for too long
)

// databaseCause returns the store's reason, or "database".
func databaseCause(err error) string {
	if unavailable := (*store.UnavailableError)(nil); errors.As(err, &unavailable) {
		return string(unavailable.Reason())
	}
	return string(store.ReasonDatabase)
}

// causes returns every cause, so that each has a metric from the start.
func causes() []string {
	all := append(capacity.Reasons(), causeRateLimit, causeStopping, causeImport, oidc.ReasonProvider, oidc.ReasonSignatures)
	for _, reason := range store.UnavailableReasons() {
		all = append(all, string(reason))
	}
	return all
}

// statusClientClosedRequest is the log's status for a client that has disconnected, the same as in nginx. It is never sent.
const statusClientClosedRequest = 499

func invalidRequest(message string, details *gen.ErrorDetails) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: gen.ErrorCodeInvalidRequest, Message: message, Details: details,
	}
}

func errUnauthorized() *Error {
	return &Error{
		Status: http.StatusUnauthorized, Code: gen.ErrorCodeUnauthorized, Message: "Authentication required",
		Header: http.Header{"Www-Authenticate": {"Bearer"}},
	}
}

// errForbidden is the same whether or not the object exists, so that it does not reveal that.
func errForbidden() *Error {
	return &Error{
		Status: http.StatusForbidden, Code: gen.ErrorCodeForbidden, Message: "Insufficient permissions for this client",
	}
}

// errNotFuture refuses a time that must be in the future.
func errNotFuture(field string) *Error {
	return invalidRequest(field+" must be a timestamp in the future or null", &gen.ErrorDetails{Field: &field})
}

func errNoRoute() *Error {
	return &Error{Status: http.StatusNotFound, Code: gen.ErrorCodeNotFound, Message: "No such path"}
}

// errUnavailable is a 503 with the smallest Retry-After.
func errUnavailable(cause string, err error) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: gen.ErrorCodeUnavailable,
		Message: "Service temporarily unavailable", Header: http.Header{"Retry-After": {"1"}}, Cause: cause, err: err,
	}
}

// providerUnavailable is a 503 for a token that cannot be verified while the identity provider is unavailable.
func providerUnavailable(err *oidc.UnavailableError) *Error {
	e := errUnavailable(err.Reason, err)
	e.Header.Set("Retry-After", strconv.FormatInt(ratelimit.Seconds(err.RetryAfter), 10))
	return e
}

// toError maps any error to the answer for the client.
func toError(err error) *Error {
	var (
		apiErr       *Error
		notFound     *store.NotFoundError
		conflict     *store.ConflictError
		inUse        *store.InUseError
		suspended    *store.ClientSuspendedError
		notSuspended *store.ClientNotSuspendedError
		reference    *store.ReferenceError
		past         *store.PastError
		ended        *store.EndedTokenError
		precondition *store.PreconditionError
		unavailable  *store.UnavailableError
		inDoubt      *store.InDoubtError
		provider     *oidc.UnavailableError
		full         *capacity.FullError
		badRows      *store.ImportError
		tooSlow      *store.ImportTimeError
		routing      *echo.HTTPError
	)
	switch {
	case errors.As(err, &apiErr):
		return apiErr
	case errors.As(err, &provider):
		return providerUnavailable(provider)
	case errors.As(err, &full):
		e := errUnavailable(full.Reason, err)
		if full.Reason == capacity.ReasonStreamsOfToken { // the client can close its other streams
			e.Status, e.Code, e.Message = http.StatusTooManyRequests, gen.ErrorCodeRateLimited, "Too many streams"
		}
		return e
	case errors.As(err, &notFound):
		return &Error{
			Status: http.StatusNotFound, Code: gen.ErrorCodeNotFound, Message: string(notFound.Kind) + " not found",
			Details: notFoundDetails(notFound),
		}
	case errors.As(err, &conflict):
		return conflictError(conflict)
	case errors.As(err, &inUse):
		by := "catalog apps"
		if inUse.Kind == store.KindCatalogApp {
			by = "clients"
		}
		return errConflict(string(inUse.Kind)+" is used by "+by, nil)
	case errors.As(err, &suspended):
		return errConflict("Client is suspended", &gen.ErrorDetails{ClientID: &suspended.ID})
	case errors.As(err, &notSuspended):
		return errConflict("Client is not suspended", &gen.ErrorDetails{ClientID: &notSuspended.ID})
	case errors.As(err, &reference):
		return invalidRequest(reference.Field+" does not exist", &gen.ErrorDetails{Field: &reference.Field})
	case errors.As(err, &past):
		return errNotFuture(past.Field)
	case errors.As(err, &ended):
		return errConflict("The token is "+ended.State(), &gen.ErrorDetails{TokenID: &ended.ID})
	case errors.Is(err, store.ErrExceedsToken):
		return errForbidden()
	case webhookError(err) != nil:
		return webhookError(err)
	case errors.Is(err, store.ErrUnknownToken): // the token was revoked or has expired during the request
		return errUnauthorized()
	case errors.Is(err, store.ErrCursorExpired):
		field := "cursor"
		return &Error{
			Status: http.StatusGone, Code: gen.ErrorCodeCursorExpired,
			Message: "The cursor has expired. Take a new one at the end of the feed, and list anew",
			Details: &gen.ErrorDetails{Field: &field},
		}
	case errors.Is(err, store.ErrPosition):
		return errCursor("cursor")
	case errors.As(err, &precondition):
		message := "The object has changed since the entity tag in If-Match"
		if precondition.NoneMatch {
			message = "The object is there, with an entity tag that If-None-Match rules out"
		}
		return &Error{Status: http.StatusPreconditionFailed, Code: gen.ErrorCodePreconditionFailed, Message: message}
	case errors.As(err, &inDoubt): // checked before 503, which promises that nothing was written
		return &Error{
			Status: http.StatusInternalServerError, Code: gen.ErrorCodeOutcomeUnknown,
			Message: "It is not known whether the change was made. Repeat the request where the operation is idempotent",
			err:     err,
		}
	case errors.As(err, &badRows):
		return importError(badRows)
	case errors.As(err, &tooSlow):
		return errUnavailable(causeImport, err)
	case errors.As(err, &unavailable), errors.Is(err, context.DeadlineExceeded):
		return errUnavailable(databaseCause(err), err)
	case errors.As(err, &routing):
		return routingError(routing)
	}
	return &Error{
		Status: http.StatusInternalServerError, Code: gen.ErrorCodeInternalError, Message: "Internal server error", err: err,
	}
}

func errConflict(message string, details *gen.ErrorDetails) *Error {
	return &Error{Status: http.StatusConflict, Code: gen.ErrorCodeConflict, Message: message, Details: details}
}

// conflictError names the conflicting field, and the object that has the value if the client may see it.
func conflictError(e *store.ConflictError) *Error {
	field := string(e.Field)
	switch {
	case e.Field == store.ColumnClientID:
		return errConflict("The id belongs to another client, or to one that was deleted", &gen.ErrorDetails{ClientID: &e.ID})
	case e.ID != uuid.Nil:
		return errConflict("The client has this app already", &gen.ErrorDetails{Field: &field, AppID: &e.ID})
	}
	return errConflict(field+" is taken", &gen.ErrorDetails{Field: &field})
}

func notFoundDetails(e *store.NotFoundError) *gen.ErrorDetails {
	switch e.Kind {
	case store.KindClient:
		return &gen.ErrorDetails{ClientID: &e.ID}
	case store.KindApp:
		return &gen.ErrorDetails{AppID: &e.ID}
	case store.KindCatalogApp:
		return &gen.ErrorDetails{CatalogAppID: &e.ID}
	case store.KindVendor:
		return &gen.ErrorDetails{VendorID: &e.ID}
	case store.KindCategory:
		return &gen.ErrorDetails{CategoryID: &e.ID}
	case store.KindToken:
		return &gen.ErrorDetails{TokenID: &e.ID}
	case store.KindWebhook:
		return &gen.ErrorDetails{WebhookID: &e.ID}
	}
	return nil
}

// routingError maps the errors of echo's router. An error of the generated binder or of echo after validation still means an
// invalid request, but its text is not for clients.
func routingError(e *echo.HTTPError) *Error {
	switch e.Code {
	case http.StatusNotFound:
		return errNoRoute()
	case http.StatusMethodNotAllowed:
		return &Error{
			Status: e.Code, Code: gen.ErrorCodeMethodNotAllowed, Message: "Method not allowed",
		}
	}
	refused := invalidRequest("Invalid request", nil)
	refused.err = e
	return refused
}

// writeError is echo's HTTPErrorHandler. Only it writes the bodies of answers that are not 2xx.
func (s *Server) writeError(err error, c echo.Context) {
	state := requestStateOf(c.Request().Context())
	state.observed.Err = err
	if c.Response().Committed {
		return
	}
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		state.observed.Status = statusClientClosedRequest
		return
	}
	e := toError(err)
	state.observed.Cause = e.Cause
	mediaType, encode := mediaTypeJSON, encodeError
	if wantsProblem(c.Request().Header.Values("Accept")) {
		mediaType, encode = mediaTypeProblem, state.encodeProblem
	}
	body, err := encode(e)
	if err != nil {
		state.observed.Err = errors.Join(state.observed.Err, err)
	}
	header := c.Response().Header()
	for name, values := range e.Header {
		header[name] = values
	}
	varyByAccept(header)
	if challenge := s.wellKnown.Challenge(c.Request()); challenge != "" && e.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", challenge)
	}
	if e.Status == http.StatusMethodNotAllowed {
		header.Set(echo.HeaderAllow, s.router.allow[c.Path()]) // replaces echo's Allow, which lists the routes that answer 405
	}
	header.Set(echo.HeaderContentType, mediaType)
	c.Response().WriteHeader(e.Status)
	_, _ = c.Response().Write(body) // fails only if the client has disconnected
}

// varyByAccept adds Accept to Vary, in addition to the values of compression and CORS.
func varyByAccept(header http.Header) {
	for _, list := range header["Vary"] {
		for name := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(name), "Accept") {
				return
			}
		}
	}
	header.Add("Vary", "Accept")
}

// encodeError returns the body of an error.
func encodeError(e *Error) ([]byte, error) {
	return encodeJSON(gen.Error{Error: gen.ErrorBody{Code: e.Code, Message: e.Message, Details: e.Details}})
}

const mediaTypeProblem = "application/problem+json"

// problem is an error as problem details (RFC 9457), in the order of the contract.
type problem struct {
	Type     string            `json:"type"`
	Title    string            `json:"title"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail"`
	Instance string            `json:"instance"`
	Code     gen.ErrorCode     `json:"code"`
	Errors   *[]gen.FieldError `json:"errors,omitempty"`
	Details  *gen.ErrorDetails `json:"details,omitempty"`
}

// encodeProblem returns the body of an error as problem details.
func (state *requestState) encodeProblem(e *Error) ([]byte, error) {
	p := problem{
		Type: docs.ProblemsPath + string(e.Code), Title: docs.ProblemTitle(string(e.Code)), Status: e.Status, Detail: e.Message,
		Instance: "urn:request:" + state.requestID[0], Code: e.Code,
	}
	if e.Details != nil {
		rest := *e.Details
		p.Errors, rest.Errors = rest.Errors, nil
		if rest != (gen.ErrorDetails{}) {
			p.Details = &rest
		}
	}
	return encodeJSON(p)
}

// encodeJSON returns a line of JSON, without HTML escapes.
func encodeJSON(value any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return body.Bytes(), err
}

// refuseMalformed returns the API's answer to a malformed HTTP request, which no handler sees.
func (s *Server) refuseMalformed(status int, from net.Addr) (id string, body []byte) {
	e := invalidRequest("Malformed HTTP request", nil)
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		e = &Error{Status: status, Code: gen.ErrorCodeHeaderFieldsTooLarge, Message: "Request header is too large"}
	case http.StatusExpectationFailed:
		e = &Error{Status: status, Code: gen.ErrorCodeExpectationFailed, Message: "Expect must be 100-continue"}
	}
	id = requestID("")
	s.log.Info("malformed request", "status", status, "remote_addr", from.String(), "request_id", id)
	body, err := encodeError(e)
	if err != nil {
		s.log.Error("encode error", "error", err)
	}
	return id, body
}
