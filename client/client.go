// Package client calls a clientapps server. Types and methods are generated from the contract, a method for each operation;
// New adds the token and makes Go errors of failures, Walk goes through all pages of a list.
//
// A field of a patch is absent, null or a value, and all three arrive as what they are: a nil pointer or a nil
// nullable.Nullable is absent, nullable.NewNullNullable clears, and nullable.NewNullableWithValue sets, zero included.
//
//	patch := client.AppPatch{IsFavorite: new(false), LicenseCount: nullable.NewNullNullable[int32]()}
package client

import (
	"context"
	"net/http"
)

// New makes a client of the server whose API is at baseURL, such as https://api.example.com/v2. Call its methods whose
// names end in WithResponse. They return a *StatusError for a response that is neither 2xx nor 304, so without an error
// JSON200 or JSON201 is there, or the status is 204 or 304, which have no body. Requests have no timeout but that of their
// context; options such as WithHTTPClient change how they are sent.
func New(baseURL, token string, options ...ClientOption) (*ClientWithResponses, error) {
	c, err := NewClient(baseURL, options...)
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
