package client_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

// A write with IfUnchanged overwrites only what was read.
func TestIfUnchanged(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	app := newApp(t, c, organization)
	read, err := c.GetAppWithResponse(t.Context(), organization, app, nil)
	if err != nil {
		t.Fatal(err)
	}
	patch := client.AppPatch{IsFavorite: new(true)}
	written, err := c.UpdateAppWithResponse(t.Context(), organization, app, nil, patch, client.IfUnchanged(read.HTTPResponse))
	if err != nil || !written.JSON200.IsFavorite {
		t.Fatal(err)
	}
	patch.IsFavorite = new(false)
	_, err = c.UpdateAppWithResponse(t.Context(), organization, app, nil, patch, client.IfUnchanged(read.HTTPResponse))
	if refused := (*client.StatusError)(nil); !errors.As(err, &refused) || refused.Code != client.ErrorCodePreconditionFailed {
		t.Errorf("%v", err)
	}
	// The answer of a write has the next tag.
	if _, err = c.RemoveAppWithResponse(t.Context(), organization, app, nil, client.IfUnchanged(written.HTTPResponse)); err != nil {
		t.Error(err)
	}
}

// A condition that cannot be stated is no reason to write without one.
func TestIfUnchangedWithoutAnETag(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	list, err := c.ListCatalogAppsWithResponse(t.Context(), nil)
	if err != nil || list.HTTPResponse.Header.Get("ETag")[:2] != "W/" {
		t.Fatalf("%v, %v", list, err)
	}
	page, err := c.ListAppsWithResponse(t.Context(), contoso, nil)
	if err != nil || page.HTTPResponse.Header.Get("ETag") != "" {
		t.Fatalf("%v, %v", page, err)
	}
	for name, editor := range map[string]client.RequestEditorFn{
		"weak": client.IfUnchanged(list.HTTPResponse), "none": client.IfUnchanged(page.HTTPResponse), "no answer": client.IfUnchanged(nil),
	} {
		if _, err := c.UpdateAppWithResponse(t.Context(), contoso, slack, nil, client.AppPatch{}, editor); !errors.Is(err, client.ErrNoETag) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of writers that each add one to what they have read, none overwrites another.
func TestReadModifyWrite(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	app := newApp(t, c, organization)
	if _, err := c.UpdateAppWithResponse(t.Context(), organization, app, nil, client.AppPatch{LicenseCount: nullable.NewNullableWithValue[int32](0)}); err != nil {
		t.Fatal(err)
	}
	const writers = 8
	var done sync.WaitGroup
	for range writers {
		done.Go(func() {
			_, err := client.ReadModifyWrite(func() (*client.UpdateAppResponse, error) {
				read, err := c.GetAppWithResponse(t.Context(), organization, app, nil)
				if err != nil {
					return nil, err
				}
				patch := client.AppPatch{LicenseCount: nullable.NewNullableWithValue(*read.JSON200.LicenseCount + 1)}
				return c.UpdateAppWithResponse(t.Context(), organization, app, nil, patch, client.IfUnchanged(read.HTTPResponse))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	read, err := c.GetAppWithResponse(t.Context(), organization, app, nil)
	if err != nil || *read.JSON200.LicenseCount != writers {
		t.Errorf("%v, %v", read.JSON200, err)
	}
}

// It gives up on an object that is never left alone, and on every other error at once.
func TestReadModifyWriteGivesUp(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	for code, want := range map[client.ErrorCode]int{client.ErrorCodePreconditionFailed: 20, client.ErrorCodeNotFound: 1} {
		attempts := 0
		_, err := client.ReadModifyWrite(func() (*client.UpdateAppResponse, error) {
			attempts++
			app, params := slack, &client.UpdateAppParams{IfMatch: new(`"stale"`)}
			if code == client.ErrorCodeNotFound {
				app = contoso // no app has this id
			}
			return c.UpdateAppWithResponse(t.Context(), contoso, app, params, client.AppPatch{})
		})
		if refused := (*client.StatusError)(nil); !errors.As(err, &refused) || refused.Code != code || attempts != want {
			t.Errorf("%v after %d attempts", err, attempts)
		}
	}
}
