package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

func TestStatusErrors(t *testing.T) {
	t.Parallel()
	unknown := uuid.MustParse("0b6f7a52-8d1c-4a3e-9f20-1c2d3e4f5a6b")
	c, unauthorized := newClient(t, token), newClient(t, "unknown")
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
			update(unauthorized, slack, nil, client.AppPatch{}), 401,
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
			update(c, unknown, nil, client.AppPatch{}), 404,
			client.ErrorBody{
				Code: client.ErrorCodeNotFound, Message: "App not found", Details: &client.ErrorDetails{AppID: &unknown},
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

// An error that comes as problem details is the same StatusError.
func TestProblemDetails(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	asking := newClient(t, token, client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Accept", "application/problem+json")
		return nil
	}))
	for _, body := range []string{`{"license_count":-1}`, `{"license_count":-1,"is_favorite":1}`, `{"catalog_app":null}`, `{`} {
		var want, got *client.StatusError
		_, plain := c.UpdateAppWithBodyWithResponse(t.Context(), contoso, slack, nil, "application/json", strings.NewReader(body))
		_, problem := asking.UpdateAppWithBodyWithResponse(t.Context(), contoso, slack, nil, "application/json", strings.NewReader(body))
		if !errors.As(plain, &want) || !errors.As(problem, &got) {
			t.Errorf("%s: %v, as a problem %v", body, plain, problem)
			continue
		}
		if got.Status != want.Status || !reflect.DeepEqual(got.ErrorBody, want.ErrorBody) || got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %+v, as a problem %+v", body, want, got)
		}
	}
	if app, err := asking.GetAppWithResponse(t.Context(), contoso, slack, nil); err != nil || app.JSON200 == nil {
		t.Errorf("a success: %v", err)
	}
}

// Proxies and gateways answer in formats of their own.
func TestForeignAnswers(t *testing.T) {
	t.Parallel()
	for _, answer := range []struct {
		status     int
		kind, body string
	}{
		{200, "text/html", "<html>"},
		{200, "application/jsonp", "{}"},
		{200, "text/plain; a=application/json", "{}"},
		{302, "text/html", ""},
		{404, "application/json", `{"message":"no Route matched with those values"}`},
		{502, "text/html", "<html>"},
		{503, "application/json", `{"error":"unavailable"}`},
		{503, "application/json", `null`},
		{404, "application/problem+json", `{"type":"about:blank","title":"Not Found"}`},
		{404, "application/problem+json", `{"error":{"code":"not_found","message":"x"}}`},
		{504, "application/problem+json", `<html>`},
		{504, "application/json", `<html>`},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", answer.kind)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(answer.status)
			_, _ = w.Write([]byte(answer.body))
		}))
		t.Cleanup(server.Close)
		c, err := client.New(server.URL, "secret")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.UpdateAppWithResponse(t.Context(), contoso, slack, nil, client.AppPatch{})
		var foreign *client.ForeignError
		if !errors.As(err, &foreign) {
			t.Errorf("%v: got %v", answer, err)
			continue
		}
		if foreign.Status != answer.status || foreign.Header.Get("Content-Type") != answer.kind || foreign.Header.Get("Retry-After") != "7" {
			t.Errorf("%v: got %+v", answer, foreign)
		}
		if want := fmt.Sprintf("a response with status %d and type %q is not the API's", answer.status, answer.kind); err.Error() != want {
			t.Errorf("error text %q, want %q", err, want)
		}
	}
}

// A missing or incomplete answer is neither a StatusError nor a ForeignError.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	stopped := httptest.NewServer(http.NotFoundHandler())
	stopped.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.Method {
		case http.MethodGet:
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"id":`))
		case http.MethodPatch:
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusInternalServerError)
		case http.MethodDelete:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`<html>`))
		}
	}))
	t.Cleanup(broken.Close)
	toBroken, err := client.New(broken.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	toStopped, err := client.New(stopped.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, none := toStopped.GetAppWithResponse(t.Context(), contoso, slack, nil)
	_, canceled := newClient(t, token).GetAppWithResponse(ctx, contoso, slack, nil)
	_, reset := toBroken.RemoveAppWithResponse(t.Context(), contoso, slack, nil)
	_, half := toBroken.GetAppWithResponse(t.Context(), contoso, slack, nil)
	_, halfAnError := toBroken.UpdateAppWithResponse(t.Context(), contoso, slack, nil, client.AppPatch{})
	_, unreadable := toBroken.CreateClientWithResponse(t.Context(), client.ClientCreate{})
	for what, err := range map[string]error{
		"no server": none, "canceled": canceled, "reset": reset, "half an answer": half, "half an error": halfAnError, "no JSON": unreadable,
	} {
		var refused *client.StatusError
		var foreign *client.ForeignError
		if err == nil || errors.As(err, &refused) || errors.As(err, &foreign) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	var sent *url.Error
	if !errors.As(none, &sent) || !errors.As(reset, &sent) || !errors.Is(canceled, context.Canceled) || !errors.Is(half, io.ErrUnexpectedEOF) {
		t.Errorf("causes: %v, %v, %v, %v", none, reset, canceled, half)
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
