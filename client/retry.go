package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// A request that is answered with 429 or 503 and Retry-After is sent again automatically: at most MaxRetries times, and never after a wait
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

// retryingDoer sends a request again when the answer asks for it.
type retryingDoer struct{ doer HttpRequestDoer }

func (d retryingDoer) Do(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	for retries, pause := 0, firstRetryPause; ; retries, pause = retries+1, 2*pause {
		response, err := d.doer.Do(r)
		wait, retry := shouldRetry(r, err)
		if !retry || retries == MaxRetries || wait > MaxRetryAfter {
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

// shouldRetry reports whether to send a request again after its answer, and the minimum wait. The API has written nothing when it
// answers 429 or 503. A proxy that answers so may have passed the request on, so only reads are sent again then.
func shouldRetry(r *http.Request, err error) (wait time.Duration, retry bool) {
	var refused *StatusError
	var foreign *ForeignError
	var status int
	var header http.Header
	switch {
	case r.Header.Get("Accept") == eventStream: // Follow connects again
	case r.Context().Value(noRetry{}) != nil:
	case r.Body != nil && r.Body != http.NoBody && r.GetBody == nil: // it can be read once
	case errors.As(err, &refused):
		status, header = refused.Status, refused.Header
	case errors.As(err, &foreign) && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		status, header = foreign.Status, foreign.Header
	}
	retry = status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
	if !retry || header.Get("Retry-After") == "" {
		return 0, false
	}
	return retryAfter(header), true
}
