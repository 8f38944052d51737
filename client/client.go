// Package client calls a clientapps server. Types and methods are generated from the contract, a method for each operation;
// New adds the token and makes Go errors of failures, Walk goes through all pages of a list.
//
// A field of a patch is absent, null or a value, and all three arrive as what they are: a nil pointer or a nil
// nullable.Nullable is absent, nullable.NewNullNullable clears, and nullable.NewNullableWithValue sets, zero included.
//
//	patch := client.AppPatch{IsFavorite: new(false), LicenseCount: nullable.NewNullNullable[int32]()}
//
// # Errors
//
// A method returns one of three kinds of errors:
//
//   - *StatusError: the server has refused the request, or failed. Go by its Code.
//   - *ForeignError: something else has answered, such as a proxy with a page of its own.
//   - any other error: no whole answer has come, or none that can be read. Mostly it is a *url.Error of net/http. After a
//     timeout errors.Is(err, context.DeadlineExceeded) holds.
//
// A caller tells them apart with errors.As:
//
//	var refused *client.StatusError
//	var foreign *client.ForeignError
//	switch {
//	case errors.As(err, &refused) && refused.Code == client.ErrorCodePreconditionFailed:
//		// somebody else has changed the app: read it again
//	case errors.As(err, &refused):
//		// refused.Code, refused.Message and refused.Details say why
//	case errors.As(err, &foreign):
//		// not the API: is baseURL right, is the server up?
//	case err != nil:
//		// no answer
//	}
//
// After a StatusError with a Status below 500, or 503, nothing was written. After any other error it is not known whether
// something was. Send the request again then, unless it creates something: look for that first.
package client

import (
	"context"
	"net/http"
	"time"
)

// DefaultTimeout is how long a request may take, its answer included, unless WithHTTPClient says otherwise. A context may end it
// sooner.
const DefaultTimeout = 30 * time.Second

// New makes a client of the server whose API is at baseURL, such as https://api.example.com/v2. Call its methods whose
// names end in WithResponse: without an error JSON200 or JSON201 is there, or the status is 204 or 304, which have no body.
// Options such as WithHTTPClient change how requests are sent.
func New(baseURL, token string, options ...ClientOption) (*ClientWithResponses, error) {
	byDefault := WithHTTPClient(&http.Client{Timeout: DefaultTimeout})
	c, err := NewClient(baseURL, append([]ClientOption{byDefault}, options...)...)
	if err != nil {
		return nil, err
	}
	c.Client = checked{c.Client}
	c.RequestEditors = append(c.RequestEditors, func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
	return &ClientWithResponses{c}, nil
}
