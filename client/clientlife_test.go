package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

// wantStatusError fails unless the error is the API's, with this status and body.
func wantStatusError(t *testing.T, what string, err error, status int, want client.ErrorBody) {
	t.Helper()
	got := (*client.StatusError)(nil)
	if !errors.As(err, &got) || got.Status != status || !reflect.DeepEqual(got.ErrorBody, want) {
		t.Errorf("%s: got %v, want %d with %+v", what, err, status, want)
	}
}

// TestClientLife creates a client organization with an id of its own, suspends, activates and deletes it.
func TestClientLife(t *testing.T) {
	t.Parallel()
	c, id := newClient(t, token), uuid.New()
	conflict := func(message string) client.ErrorBody {
		return client.ErrorBody{Code: client.ErrorCodeConflict, Message: message, Details: &client.ErrorDetails{ClientID: &id}}
	}
	const taken = "The id belongs to another client, or to one that was deleted"
	created, err := c.CreateClientWithResponse(t.Context(), client.ClientCreate{ID: &id, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	if got := created.JSON201; got.ID != id || got.Status != client.ClientOrganizationStatusActive {
		t.Errorf("created %+v, want the id %s", got, id)
	}
	_, err = c.CreateClientWithResponse(t.Context(), client.ClientCreate{ID: &id, Name: t.Name()})
	wantStatusError(t, "create again", err, http.StatusConflict, conflict(taken))
	app := newApp(t, c, id)
	update := func() error {
		_, err := c.UpdateAppWithResponse(t.Context(), id, app, nil, client.AppPatch{IsFavorite: new(true)})
		return err
	}
	setStatus := func(status client.ClientPatchStatus) {
		t.Helper()
		set, err := c.UpdateClientWithResponse(t.Context(), id, nil, client.ClientPatch{Status: &status})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.JSON200.Status; string(got) != string(status) {
			t.Errorf("the status is %s, want %s", got, status)
		}
	}
	setStatus(client.ClientPatchStatusSuspended)
	wantStatusError(t, "update while suspended", update(), http.StatusConflict, conflict("Client is suspended"))
	setStatus(client.ClientPatchStatusActive)
	if err := update(); err != nil {
		t.Errorf("update while active: %v", err)
	}
	_, err = c.DeleteClientWithResponse(t.Context(), id, nil)
	wantStatusError(t, "delete while active", err, http.StatusConflict, conflict("Client is not suspended"))
	setStatus(client.ClientPatchStatusSuspended)

	// 204 when all of the client is gone. While the server goes on with a large one it is 202, and 404 in the end.
	deleted, err := c.DeleteClientWithResponse(t.Context(), id, nil)
	for err == nil && deleted.StatusCode() == http.StatusAccepted {
		time.Sleep(time.Duration(deleted.Headers202.RetryAfter) * time.Second)
		deleted, err = c.DeleteClientWithResponse(t.Context(), id, nil)
	}
	if err != nil && !hasCode(err, client.ErrorCodeNotFound) {
		t.Fatal(err)
	}
	notFound := client.ErrorBody{Code: client.ErrorCodeNotFound, Message: "Client not found", Details: &client.ErrorDetails{ClientID: &id}}
	_, err = c.DeleteClientWithResponse(t.Context(), id, nil)
	wantStatusError(t, "delete again", err, http.StatusNotFound, notFound)
	_, err = c.GetClientWithResponse(t.Context(), id, nil)
	wantStatusError(t, "get", err, http.StatusNotFound, notFound)
	_, err = c.CreateClientWithResponse(t.Context(), client.ClientCreate{ID: &id, Name: t.Name()})
	wantStatusError(t, "create after the deletion", err, http.StatusConflict, conflict(taken))
}

// TestDeletionGoesOn reads the answer to the deletion of a large client, which has no body. A 202 that has one is not the API's.
func TestDeletionGoesOn(t *testing.T) {
	t.Parallel()
	for kind, foreign := range map[string]bool{"": false, "text/html": true} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if kind != "" {
				w.Header().Set("Content-Type", kind)
			}
			w.Header().Set("Retry-After", "2")
			w.Header().Set("X-Request-Id", "deletion-1")
			w.WriteHeader(http.StatusAccepted)
		}))
		t.Cleanup(server.Close)
		c, err := client.New(server.URL, token)
		if err != nil {
			t.Fatal(err)
		}
		deleting, err := c.DeleteClientWithResponse(t.Context(), contoso, nil)
		if errors.As(err, new(*client.ForeignError)) != foreign {
			t.Errorf("%q: %v", kind, err)
		}
		if err == nil && (deleting.StatusCode() != http.StatusAccepted || deleting.Headers202.RetryAfter != 2 || deleting.Headers202.XRequestID != "deletion-1") {
			t.Errorf("%s with %+v", deleting.Status(), deleting.Headers202)
		}
		if _, err := c.GetClientWithResponse(t.Context(), contoso, nil); !errors.As(err, new(*client.ForeignError)) {
			t.Errorf("%q: a 202 for a read is %v", kind, err)
		}
	}
}

// TestDeleteVendorAndCategory deletes a vendor and a category, which must be unused.
func TestDeleteVendorAndCategory(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	name := t.Name() + " " + uuid.NewString()
	vendor, err := c.CreateCatalogVendorWithResponse(t.Context(), client.CatalogVendorCreate{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	category, err := c.CreateCatalogCategoryWithResponse(t.Context(), client.CatalogCategoryCreate{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	used, err := c.CreateCatalogAppWithResponse(t.Context(), client.CatalogAppCreate{
		CanonicalName: name, VendorID: nullable.NewNullableWithValue(vendor.JSON201.ID), CategoryIds: &[]client.UUID{category.JSON201.ID},
	})
	if err != nil {
		t.Fatal(err)
	}
	deletions := map[string]func() (int, error){
		"vendor": func() (int, error) {
			deleted, err := c.DeleteCatalogVendorWithResponse(t.Context(), vendor.JSON201.ID, nil)
			return statusOf(deleted, err)
		},
		"category": func() (int, error) {
			deleted, err := c.DeleteCatalogCategoryWithResponse(t.Context(), category.JSON201.ID, nil)
			return statusOf(deleted, err)
		},
	}
	for what, del := range deletions {
		if _, err := del(); !hasCode(err, client.ErrorCodeConflict) {
			t.Errorf("a used %s: %v", what, err)
		}
	}
	if _, err := c.DeleteCatalogAppWithResponse(t.Context(), used.JSON201.ID, nil); err != nil {
		t.Fatal(err)
	}
	for what, del := range deletions {
		if status, err := del(); err != nil || status != http.StatusNoContent {
			t.Errorf("an unused %s: %d, %v", what, status, err)
		}
		if _, err := del(); !hasCode(err, client.ErrorCodeNotFound) {
			t.Errorf("a deleted %s: %v", what, err)
		}
	}
}

// hasCode reports whether the error is the API's, with this code.
func hasCode(err error, code client.ErrorCode) bool {
	got := (*client.StatusError)(nil)
	return errors.As(err, &got) && got.Code == code
}

func statusOf(response interface{ StatusCode() int }, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return response.StatusCode(), nil
}
