// Package ogenclient checks real responses against the contract with the client of a second generator: ogen's decoders refuse unknown and
// missing properties, wrong types, values out of bounds and undocumented statuses. It is not part of the product.
package ogenclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/tools/ogen-client/api"
)

// Ids in the demo data.
var (
	contoso = api.UUID(uuid.MustParse("aa7cf840-9ca9-46a3-9778-9015d6580d50"))
	slack   = api.UUID(uuid.MustParse("f1a2b3c4-d5e6-7890-abcd-ef1234567890"))
	unknown = api.UUID(uuid.MustParse("0b6f7a52-8d1c-4a3e-9f20-1c2d3e4f5a6b"))
)

// token authenticates, and records which operations were called.
type token struct {
	secret string

	mu     sync.Mutex
	called map[string]bool
}

func (s *token) BearerAuth(_ context.Context, operation api.OperationName) (api.BearerAuth, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called[operation] = true
	return api.BearerAuth{Token: s.secret}, nil
}

func newClient(t *testing.T, secret string, options ...api.ClientOption) (*api.Client, *token) {
	t.Helper()
	url := os.Getenv("CLIENTAPPS_URL")
	if url == "" {
		t.Fatal("CLIENTAPPS_URL is not set: run the test through tools/with-demo, as make ogen-client does")
	}
	s := &token{secret: secret, called: map[string]bool{}}
	c, err := api.NewClient(url+"/v2", s, options...)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// body returns a function that checks a decoded response and returns its body of type T.
func body[T any](t *testing.T) func(response any, err error) T {
	t.Helper()
	return func(response any, err error) T {
		t.Helper()
		return must[interface{ GetResponse() T }](t)(response, err).GetResponse()
	}
}

// must returns a function that checks that a response was decoded as type T, and returns it.
func must[T any](t *testing.T) func(response any, err error) T {
	t.Helper()
	return func(response any, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("the client refuses a response: %v", err)
		}
		got, ok := response.(T)
		if !ok {
			t.Fatalf("got %T %+v, want %v", response, response, reflect.TypeFor[T]())
		}
		return got
	}
}

func TestEveryOperation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, s := newClient(t, "demo-token")

	vendor := body[api.CatalogVendor](t)(c.CreateCatalogVendor(ctx, &api.CatalogVendorCreate{Name: "Ogen Inc."}))
	category := body[api.CatalogCategory](t)(c.CreateCatalogCategory(ctx, &api.CatalogCategoryCreate{Name: "Testing"}))
	body[api.CatalogVendor](t)(c.UpdateCatalogVendor(ctx,
		&api.UpdateCatalogVendorApplicationMergePatchJSON{Name: api.NewOptString("Ogen Ltd.")}, api.UpdateCatalogVendorParams{VendorID: vendor.ID}))
	body[api.CatalogCategory](t)(c.UpdateCatalogCategory(ctx,
		&api.UpdateCatalogCategoryApplicationJSON{Name: api.NewOptString("Tests")}, api.UpdateCatalogCategoryParams{CategoryID: category.ID}))
	known := body[api.CatalogApp](t)(c.CreateCatalogApp(ctx, &api.CatalogAppCreate{
		CanonicalName: "Ogen", VendorID: api.NewOptNilUUID(uuid.UUID(vendor.ID)), CategoryIds: []api.UUID{category.ID},
	}))
	body[api.CatalogApp](t)(c.UpdateCatalogApp(ctx,
		&api.UpdateCatalogAppApplicationJSON{Type: api.NewOptNilString("web")}, api.UpdateCatalogAppParams{CatalogAppID: known.ID}))
	body[api.CatalogApp](t)(c.GetCatalogApp(ctx, api.GetCatalogAppParams{CatalogAppID: known.ID}))
	must[*api.NoContent](t)(c.ReplaceUrlPatterns(ctx,
		&api.UrlPatternsReplace{Patterns: []string{"https://ogen.example.com/*"}}, api.ReplaceUrlPatternsParams{CatalogAppID: known.ID}))
	must[*api.NoContent](t)(c.ReplaceDesktopAliases(ctx,
		&api.DesktopAliasesReplace{Aliases: []string{"ogen.exe"}}, api.ReplaceDesktopAliasesParams{CatalogAppID: known.ID}))

	client := must[*api.ClientCreatedHeaders](t)(c.CreateClient(ctx, &api.ClientCreate{Name: "Ogen"})).Response.ID
	must[*api.ClientOrganizationHeaders](t)(c.UpdateClient(ctx,
		&api.UpdateClientApplicationJSON{Name: api.NewOptString("Ogen 2")}, api.UpdateClientParams{ClientID: client}))
	must[*api.ClientOrganizationHeaders](t)(c.GetClient(ctx, api.GetClientParams{ClientID: client}))
	added := body[api.App](t)(c.AddApp(ctx, &api.AppCreate{CatalogAppID: known.ID}, api.AddAppParams{ClientID: client}))
	if added.IsFavorite || added.IsApproved || !added.LicenseCount.Null {
		t.Errorf("added %+v", added)
	}
	want := added.LicenseCount
	for _, licenses := range []api.OptNilInt32{api.NewOptNilInt32(0), {}, api.NewOptNilInt32(2147483647), {Set: true, Null: true}} {
		patch := &api.UpdateAppApplicationMergePatchJSON{IsFavorite: api.NewOptBool(false), LicenseCount: licenses}
		got := body[api.App](t)(c.UpdateApp(ctx, patch, api.UpdateAppParams{ClientID: client, AppID: added.ID}))
		if licenses.Set {
			want = api.NilInt32{Value: licenses.Value, Null: licenses.Null}
		}
		if got.LicenseCount != want || got.IsFavorite {
			t.Errorf("patched with %+v: got %+v", licenses, got)
		}
	}
	body[api.App](t)(c.GetApp(ctx, api.GetAppParams{ClientID: client, AppID: added.ID}))
	history := body[api.AppChangeList](t)(c.ListAppChanges(ctx, api.ListAppChangesParams{ClientID: client, AppID: added.ID}))
	if history.TotalCount != 4 {
		t.Errorf("%d changes, want 4", history.TotalCount)
	}

	ids := &api.AppIDs{AppIds: []api.UUID{added.ID, unknown}}
	bulk := body[api.BulkResult](t)
	for _, result := range []api.BulkResult{
		bulk(c.AddFavorites(ctx, ids, api.AddFavoritesParams{ClientID: client})),
		bulk(c.RemoveFavorites(ctx, ids, api.RemoveFavoritesParams{ClientID: client})),
		bulk(c.ApproveApps(ctx, ids, api.ApproveAppsParams{ClientID: client})),
		bulk(c.RejectApps(ctx, ids, api.RejectAppsParams{ClientID: client})),
		bulk(c.RemoveAppApprovals(ctx, ids, api.RemoveAppApprovalsParams{ClientID: client})),
	} {
		if len(result.Succeeded) != 1 || len(result.Failed) != 1 {
			t.Errorf("bulk result %+v", result)
		}
	}

	apps := must[*api.AppListHeaders](t)(c.ListApps(ctx, api.ListAppsParams{ClientID: contoso, PageSize: api.NewOptInt32(2)}))
	if !apps.Link.Set || len(apps.Response.Data) != 2 {
		t.Errorf("a first page has Link %+v and %d rows", apps.Link, len(apps.Response.Data))
	}
	body[api.CatalogAppList](t)(c.ListCatalogApps(ctx, api.ListCatalogAppsParams{PageSize: api.NewOptInt32(500)}))
	body[api.CatalogVendorList](t)(c.ListCatalogVendors(ctx, api.ListCatalogVendorsParams{}))
	body[api.CatalogCategoryList](t)(c.ListCatalogCategories(ctx, api.ListCatalogCategoriesParams{}))
	body[api.UrlPatternList](t)(c.ListUrlPatterns(ctx, api.ListUrlPatternsParams{CatalogAppID: known.ID}))
	body[api.DesktopAliasList](t)(c.ListDesktopAliases(ctx, api.ListDesktopAliasesParams{CatalogAppID: known.ID}))
	body[api.ClientList](t)(c.ListClients(ctx, api.ListClientsParams{}))
	body[api.CatalogSummary](t)(c.GetCatalogSummary(ctx, api.GetCatalogSummaryParams{}))

	body[api.Error](t)(c.DeleteCatalogApp(ctx, api.DeleteCatalogAppParams{CatalogAppID: known.ID}))
	must[*api.NoContent](t)(c.RemoveApp(ctx, api.RemoveAppParams{ClientID: client, AppID: added.ID}))
	must[*api.NoContent](t)(c.DeleteCatalogApp(ctx, api.DeleteCatalogAppParams{CatalogAppID: known.ID}))

	for method := range reflect.TypeFor[*api.Client]().Methods() {
		if !s.called[method.Name] {
			t.Errorf("%s was not called", method.Name)
		}
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, _ := newClient(t, "demo-token")
	unauthorized, _ := newClient(t, "unknown")
	key := api.UpdateAppParams{ClientID: contoso, AppID: slack}
	stale := key
	stale.IfMatch = api.NewOptEntityTags(`"stale"`)
	for want, got := range map[api.ErrorCode]api.Error{
		api.ErrorCodeUnauthorized:       body[api.Error](t)(unauthorized.UpdateApp(ctx, &api.UpdateAppApplicationJSON{}, key)),
		api.ErrorCodeInvalidRequest:     body[api.Error](t)(c.UpdateApp(ctx, &api.UpdateAppApplicationJSON{LicenseCount: api.NewOptNilInt32(-1)}, key)),
		api.ErrorCodeNotFound:           body[api.Error](t)(c.GetApp(ctx, api.GetAppParams{ClientID: contoso, AppID: unknown})),
		api.ErrorCodeConflict:           body[api.Error](t)(c.CreateCatalogApp(ctx, &api.CatalogAppCreate{CanonicalName: "SLACK"})),
		api.ErrorCodePreconditionFailed: body[api.Error](t)(c.UpdateApp(ctx, &api.UpdateAppApplicationJSON{}, stale)),
	} {
		if got.Error.Code != want {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
	cursor := body[api.Error](t)(c.ListApps(ctx, api.ListAppsParams{ClientID: contoso, Cursor: api.NewOptString("garbled")}))
	if got := cursor.Error.Details.Value.Field.Value; got != "cursor" {
		t.Errorf("details.field of a garbled cursor is %q", got)
	}
	read := must[interface{ GetETag() string }](t)(c.GetApp(ctx, api.GetAppParams{ClientID: contoso, AppID: slack}))
	must[*api.NotModified](t)(c.GetApp(ctx, api.GetAppParams{
		ClientID: contoso, AppID: slack, IfNoneMatch: api.NewOptEntityTags(api.EntityTags(read.GetETag())),
	}))
}

// forger changes responses before the client reads them.
type forger func(*http.Response, string) string

func (forge forger) Do(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(strings.NewReader(forge(response, string(body))))
	return response, nil
}

func replace(old, by string) forger {
	return func(_ *http.Response, body string) string { return strings.Replace(body, old, by, 1) }
}

// The client must refuse invalid responses, or the other tests show nothing.
func TestForgeriesAreRefused(t *testing.T) {
	t.Parallel()
	forgeries := map[string]forger{
		"an unknown property":    replace(`{"id"`, `{"colour":"red","id"`),
		"a missing property":     replace(`"is_approved"`, `"is_approve"`),
		"null for a boolean":     replace(`"is_approved":false`, `"is_approved":null`),
		"text for an integer":    replace(`"license_count":null`, `"license_count":"50"`),
		"a count below 0":        replace(`"license_count":null`, `"license_count":-1`),
		"null for a list":        replace(`"categories":[`, `"categories":null,"x":[`),
		"an invalid color":       replace(`"#4A154B"`, `"#4A154Z"`),
		"an invalid time":        replace(`"updated_at":"2`, `"updated_at":"x`),
		"no body":                func(*http.Response, string) string { return "" },
		"a second document":      func(_ *http.Response, body string) string { return body + "{}" },
		"another status":         func(r *http.Response, body string) string { r.StatusCode = http.StatusTeapot; return body },
		"another media type":     func(r *http.Response, body string) string { r.Header.Set("Content-Type", "text/plain"); return body },
		"no entity tag":          func(r *http.Response, body string) string { r.Header.Del("ETag"); return body },
		"an entity tag unquoted": func(r *http.Response, body string) string { r.Header.Set("ETag", "1"); return body },
		"no request id":          func(r *http.Response, body string) string { r.Header.Del("X-Request-Id"); return body },
	}
	genuine := forger(func(_ *http.Response, body string) string { return body })
	read := func(forge forger) error {
		c, _ := newClient(t, "demo-token", api.WithClient(forge))
		_, err := c.GetApp(t.Context(), api.GetAppParams{ClientID: contoso, AppID: slack})
		return err
	}
	if err := read(genuine); err != nil {
		t.Fatalf("a genuine response is refused: %v", err)
	}
	var missed []string
	for name, forge := range forgeries {
		if read(forge) == nil {
			missed = append(missed, name)
		}
	}
	slices.Sort(missed)
	if len(missed) > 0 {
		t.Errorf("the client accepts %q", missed)
	}
}
