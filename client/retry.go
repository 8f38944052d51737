package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// A request that is answered with 429 or 503 and Retry-After is sent again by itself: at most MaxRetries times, and never after a wait
// of more than MaxRetryAfter, with which the answer is returned as it is.
const (
	MaxRetries    = 3
	MaxRetryAfter = 30 * time.Second

	// The waits of callers that were refused at the same moment differ: by up to half of this, twice as much after each refusal.
	firstRetryPause = 500 * time.Millisecond
)

// NoRetry makes a request return its first answer, also 429 and 503, when it is the last argument of a method. For all requests of a
// client:
//
//	client.New(baseURL, token, client.WithRequestEditorFn(client.NoRetry))
func NoRetry(_ context.Context, r *http.Request) error {
	*r = *r.WithContext(context.WithValue(r.Context(), noRetry{}, true))
	return nil
}

type noRetry struct{}

// retrying sends a request again when the answer asks for it.
type retrying struct{ once HttpRequestDoer }

func (d retrying) Do(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	for n, pause := 0, firstRetryPause; ; n, pause = n+1, 2*pause {
		response, err := d.once.Do(r)
		wait, refused := whetherToSendAgain(r, err)
		if !refused || n == MaxRetries || wait > MaxRetryAfter {
			return response, err
		}
		wait += pause/2 + rand.N(pause/2) //nolint:gosec // spreads the load, hides nothing
		end, bounded := ctx.Deadline()
		if bounded && time.Until(end) < wait { //nolint:forbidigo // a client has no other clock
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
		if r.GetBody != nil {
			body, bodyErr := r.GetBody()
			if bodyErr != nil {
				return nil, errors.Join(err, bodyErr)
			}
			r = r.WithContext(ctx) // a copy
			r.Body = body
		}
	}
}

// whetherToSendAgain reports whether the answer to a request lets it be sent again, and how long to wait at least. The API writes
// nothing before 429 and 503. Of anybody else's answer nobody knows that, so only reads are sent again after it.
func whetherToSendAgain(r *http.Request, err error) (wait time.Duration, refused bool) {
	var own *StatusError
	var foreign *ForeignError
	var status int
	var header http.Header
	switch {
	case r.Header.Get("Accept") == eventStream: // Follow connects again
	case r.Context().Value(noRetry{}) != nil:
	case r.Body != nil && r.Body != http.NoBody && r.GetBody == nil: // it can be read once
	case errors.As(err, &own):
		status, header = own.Status, own.Header
	case errors.As(err, &foreign) && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		status, header = foreign.Status, foreign.Header
	}
	refused = status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
	if !refused || header.Get("Retry-After") == "" {
		return 0, false
	}
	return retryAfter(header), true
}
