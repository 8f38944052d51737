package client_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

// recorder keeps the body of the last request.
type recorder struct{ body string }

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	r.body = string(body)
	request.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultClient.Do(request)
}

// Each step patches the app as the previous step left it.
func TestPatchStates(t *testing.T) {
	t.Parallel()
	steps := []struct {
		name     string
		patch    client.AppPatch
		sent     string
		favorite bool
		approved bool
		licenses *int32
	}{
		{
			"values",
			client.AppPatch{
				IsFavorite: new(true), IsApproved: new(true), LicenseCount: nullable.NewNullableWithValue[int32](50),
			},
			`{"is_favorite":true,"is_approved":true,"license_count":50}`, true, true, new(int32(50)),
		},
		{"nothing", client.AppPatch{}, `{}`, true, true, new(int32(50))},
		{"false", client.AppPatch{IsFavorite: new(false)}, `{"is_favorite":false}`, false, true, new(int32(50))},
		{"false too", client.AppPatch{IsApproved: new(false)}, `{"is_approved":false}`, false, false, new(int32(50))},
		{
			"zero",
			client.AppPatch{LicenseCount: nullable.NewNullableWithValue[int32](0)},
			`{"license_count":0}`, false, false, new(int32(0)),
		},
		{
			"absent",
			client.AppPatch{IsApproved: new(true)},
			`{"is_approved":true}`, false, true, new(int32(0)),
		},
		{
			"null",
			client.AppPatch{LicenseCount: nullable.NewNullNullable[int32]()},
			`{"license_count":null}`, false, true, nil,
		},
		{
			"largest",
			client.AppPatch{LicenseCount: nullable.NewNullableWithValue[int32](2147483647)},
			`{"license_count":2147483647}`, false, true, new(int32(2147483647)),
		},
	}
	c, wire := newClient(t, token), &recorder{}
	recorded := newClient(t, token, client.WithHTTPClient(wire))
	organization := newOrganization(t, c)
	slack := newApp(t, c, organization)
	for _, step := range steps {
		updated, err := recorded.UpdateAppWithResponse(t.Context(), organization, slack, nil, step.patch)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if wire.body != step.sent {
			t.Errorf("%s: sent %s, want %s", step.name, wire.body, step.sent)
		}
		app := updated.JSON200
		if app.IsFavorite != step.favorite || app.IsApproved != step.approved || !reflect.DeepEqual(app.LicenseCount, step.licenses) {
			t.Errorf("%s: answered %s", step.name, updated.Body)
		}
		read, err := c.GetAppWithResponse(t.Context(), organization, slack, nil)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if !reflect.DeepEqual(read.JSON200, app) {
			t.Errorf("%s: read %s, want %s", step.name, read.Body, updated.Body)
		}
	}
}

// Fields of a new app have the same three states, and fields of the catalog can be cleared.
func TestCreateStates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		licenses nullable.Nullable[int32]
		want     *int32
	}{
		{"Absent", nil, nil},
		{"Null", nullable.NewNullNullable[int32](), nil},
		{"Zero", nullable.NewNullableWithValue[int32](0), new(int32(0))},
		{"Seven", nullable.NewNullableWithValue[int32](7), new(int32(7))},
	}
	c := newClient(t, token)
	organization := newOrganization(t, c)
	for _, test := range tests {
		known := newCatalogApp(t, c, test.name+" "+rand.Text())
		added, err := c.AddAppWithResponse(t.Context(), organization, client.AppCreate{
			CatalogAppID: known.ID, IsApproved: new(false), LicenseCount: test.licenses,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := added.JSON201; !reflect.DeepEqual(got.CatalogApp, known) || got.IsApproved || !reflect.DeepEqual(got.LicenseCount, test.want) {
			t.Errorf("%s: answered %s", test.name, added.Body)
		}
		if want := "/v2/clients/" + organization.String() + "/apps/" + added.JSON201.ID.String(); added.Headers201.Location != want {
			t.Errorf("Location %q, want %q", added.Headers201.Location, want)
		}
		cleared, err := c.UpdateCatalogAppWithResponse(t.Context(), known.ID, nil, client.CatalogAppPatch{
			Description: nullable.NewNullNullable[string](), Logo: nullable.NewNullableWithValue("https://cdn.example.com/a.png"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := cleared.JSON200; got.Description != nil || *got.Logo != "https://cdn.example.com/a.png" || *got.Type != "web" {
			t.Errorf("%s: answered %s", test.name, cleared.Body)
		}
	}
}

func newCatalogApp(t *testing.T, c *client.ClientWithResponses, name string) client.CatalogApp {
	t.Helper()
	created, err := c.CreateCatalogAppWithResponse(t.Context(), client.CatalogAppCreate{
		CanonicalName: name, Description: nullable.NewNullableWithValue("What it is"), Type: nullable.NewNullableWithValue("web"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *created.JSON201
}
