// Package client calls a clientapps server. Types and methods are generated from the contract, one method for each operation.
// New adds the token, turns failures into Go errors, and sends a request again that the server had no time for. Walk iterates over all
// pages of a list, ExportApps and ExportCatalog over all rows at one moment, and Follow over the changes as they come. With DryRun a
// write is tried and not made, with IfUnchanged it overwrites only what was read. VerifyWebhook checks what a webhook delivers.
//
// A field of a patch can be absent, null or a value: a nil pointer or a nil nullable.Nullable is absent,
// nullable.NewNullNullable clears the field, and nullable.NewNullableWithValue sets it, also to zero.
//
//	patch := client.AppPatch{IsFavorite: new(false), LicenseCount: nullable.NewNullNullable[int32]()}
//
// # Errors
//
// A method returns one of three kinds of errors:
//
//   - *StatusError: the server refused the request, or failed. Look at its Code.
//   - *ForeignError: something else answered, such as a proxy with a page of its own.
//   - any other error: no complete answer arrived, or it cannot be read. Usually it is a *url.Error of net/http. After a
//     timeout errors.Is(err, context.DeadlineExceeded) is true.
//
// A caller tells them apart with errors.As:
//
//	var refused *client.StatusError
//	var foreign *client.ForeignError
//	switch {
//	case errors.As(err, &refused) && refused.Code == client.ErrorCodePreconditionFailed:
//		// another write changed the app: read it again
//	case errors.As(err, &refused):
//		// refused.Code, refused.Message and refused.Details say why
//	case errors.As(err, &foreign):
//		// not the API: check baseURL, and whether the server is up
//	case err != nil:
//		// no answer
//	}
//
// # Retries
//
// After 429 and 503 of the API nothing was written. So a request that is answered with one of them is sent again, up to MaxRetries times:
// after Retry-After, and up to half a second more by chance, then one, then two. So is a read when a proxy answers so. NoRetry turns this off.
// A context ends the wait; when its deadline comes before, or Retry-After is beyond MaxRetryAfter, there is none. A body of an io.Reader
// that can only be read once is sent once.
//
// # What else may have happened
//
// After a StatusError with a Status below 500, or 503, nothing was written. After any other error a write may have been made or
// not: send the request again, but if it creates something, look for that first.
package client

import (
	"context"
	"net/http"
	"time"
)

// DefaultTimeout bounds a request including its answer, each time that it is sent, unless WithHTTPClient sets another client. A context may end it sooner.
// Exports take longer: it does not bound them.
const DefaultTimeout = 30 * time.Second

// New creates a client of the API at baseURL, such as https://api.example.com/v2. Call the methods whose names end in
// WithResponse: when they return no error, JSON200 or JSON201 is set, or the status is 204 or 304, which have no body.
// Options such as WithHTTPClient change how requests are sent. Requests are retried by default: after 429 and 503 nothing was written, so
// every caller would write the same loop.
func New(baseURL, token string, options ...ClientOption) (*ClientWithResponses, error) {
	defaultClient := &http.Client{Timeout: DefaultTimeout}
	c, err := NewClient(baseURL, append([]ClientOption{WithHTTPClient(defaultClient)}, options...)...)
	if err != nil {
		return nil, err
	}
	exportClient := c.Client
	if exportClient == defaultClient {
		exportClient = &http.Client{} // with the same connections
	}
	c.Client = retryingDoer{checkingDoer{c.Client, exportClient}}
	c.RequestEditors = append(c.RequestEditors, func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
	return &ClientWithResponses{c}, nil
}
