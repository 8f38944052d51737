package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

func TestStatusErrors(t *testing.T) {
	t.Parallel()
	nobody := uuid.MustParse("0b6f7a52-8d1c-4a3e-9f20-1c2d3e4f5a6b")
	c, stranger := newClient(t, token), newClient(t, "nobody")
	update := func(c *client.ClientWithResponses, app uuid.UUID, params *client.UpdateAppParams, patch client.AppPatch) error {
		_, err := c.UpdateAppWithResponse(t.Context(), contoso, app, params, patch)
		return err
	}
	raw := func(kind, body string) error {
		_, err := c.UpdateAppWithBodyWithResponse(t.Context(), contoso, slack, nil, kind, strings.NewReader(body))
		return err
	}
	_, taken := c.CreateCatalogAppWithResponse(t.Context(), client.CatalogAppCreate{CanonicalName: "slack"})
	_, badPage := c.ListAppsWithResponse(t.Context(), contoso, &client.ListAppsParams{PageSize: new(int32(501))})
	tests := []struct {
		err    error
		status int
		want   client.ErrorBody
	}{
		{
			update(stranger, slack, nil, client.AppPatch{}), 401,
			client.ErrorBody{Code: client.ErrorCodeUnauthorized, Message: "Authentication required"},
		},
		{
			update(c, slack, nil, client.AppPatch{LicenseCount: nullable.NewNullableWithValue[int32](-1)}), 400,
			client.ErrorBody{
				Code: client.ErrorCodeInvalidRequest, Message: "license_count must be between 0 and 2147483647",
			},
		},
		{
			raw("application/json", `{"catalog_app": null}`), 400,
			client.ErrorBody{
				Code: client.ErrorCodeInvalidRequest, Message: "Field 'catalog_app' cannot be updated via this endpoint",
				Details: &client.ErrorDetails{Field: new("catalog_app"), Reason: new("Managed through the Catalog Apps domain")},
			},
		},
		{
			badPage, 400,
			client.ErrorBody{
				Code: client.ErrorCodeInvalidRequest, Message: "page_size must be between 1 and 500",
				Details: &client.ErrorDetails{Field: new("page_size")},
			},
		},
		{
			update(c, nobody, nil, client.AppPatch{}), 404,
			client.ErrorBody{
				Code: client.ErrorCodeNotFound, Message: "App not found", Details: &client.ErrorDetails{AppID: &nobody},
			},
		},
		{
			taken, 409,
			client.ErrorBody{
				Code: client.ErrorCodeConflict, Message: "canonical_name is taken",
				Details: &client.ErrorDetails{Field: new("canonical_name")},
			},
		},
		{
			update(c, slack, &client.UpdateAppParams{IfMatch: new(`"stale"`)}, client.AppPatch{}), 412,
			client.ErrorBody{
				Code:    client.ErrorCodePreconditionFailed,
				Message: "The object has changed since the entity tag in If-Match",
			},
		},
		{
			raw("text/plain", `{}`), 415,
			client.ErrorBody{
				Code:    client.ErrorCodeUnsupportedMediaType,
				Message: "Content-Type must be application/json or application/merge-patch+json",
			},
		},
	}
	for _, test := range tests {
		var got *client.StatusError
		if !errors.As(test.err, &got) {
			t.Errorf("%d: got %v", test.status, test.err)
			continue
		}
		if got.Status != test.status || !reflect.DeepEqual(got.ErrorBody, test.want) {
			t.Errorf("got %v with %+v, want %d with %+v", got, got.Details, test.status, test.want)
		}
		if id := got.Header.Get("X-Request-Id"); id == "" || !strings.HasSuffix(got.Error(), test.want.Message+" (request "+id+")") {
			t.Errorf("error text %q, request id %q", got, id)
		}
	}
}

// What stands before the API answers in its own way.
func TestForeignAnswers(t *testing.T) {
	t.Parallel()
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.Method == http.MethodPatch {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write([]byte("<html>"))
	}))
	t.Cleanup(foreign.Close)
	c, err := client.New(foreign.URL, "secret")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.UpdateAppWithResponse(t.Context(), contoso, slack, nil, client.AppPatch{})
	var got *client.StatusError
	if !errors.As(err, &got) || got.Status != 502 || !reflect.DeepEqual(got.ErrorBody, client.ErrorBody{Message: "Bad Gateway"}) {
		t.Errorf("502: got %v", err)
	}
	_, err = c.GetAppWithResponse(t.Context(), contoso, slack, nil)
	if foreign := (*client.ForeignError)(nil); !errors.As(err, &foreign) || foreign.Status != 200 || foreign.ContentType != "text/html" {
		t.Errorf("200: got %v", err)
	}
	foreign.Close()
	if _, err = c.GetAppWithResponse(t.Context(), contoso, slack, nil); err == nil || errors.As(err, &got) {
		t.Errorf("no server: got %v", err)
	}
}

func TestEntityTags(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	app := newApp(t, c, organization)
	read, err := c.GetAppWithResponse(t.Context(), organization, app, nil)
	if err != nil {
		t.Fatal(err)
	}
	tag := read.Headers200.ETag
	again, err := c.GetAppWithResponse(t.Context(), organization, app, &client.GetAppParams{IfNoneMatch: &tag})
	if err != nil {
		t.Fatal(err)
	}
	if again.StatusCode() != http.StatusNotModified || again.JSON200 != nil || again.Headers304.ETag != tag {
		t.Errorf("If-None-Match %s: answered %s %s", tag, again.Status(), again.Body)
	}
	params := &client.UpdateAppParams{IfMatch: &tag}
	updated, err := c.UpdateAppWithResponse(t.Context(), organization, app, params, client.AppPatch{IsFavorite: new(true)})
	if err != nil {
		t.Fatal(err)
	}
	if next := updated.Headers200.ETag; next == tag || next == "" {
		t.Errorf("ETag %s after %s", next, tag)
	}
	_, err = c.UpdateAppWithResponse(t.Context(), organization, app, params, client.AppPatch{IsFavorite: new(false)})
	var refused *client.StatusError
	if !errors.As(err, &refused) || refused.Code != client.ErrorCodePreconditionFailed {
		t.Errorf("a stale tag: got %v", err)
	}
	params.IfMatch = &updated.Headers200.ETag
	removed, err := c.UpdateAppWithResponse(t.Context(), organization, app, params, client.AppPatch{IsFavorite: new(false)})
	if err != nil || removed.JSON200.IsFavorite {
		t.Errorf("a fresh tag: got %v", err)
	}
}
