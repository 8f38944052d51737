package client_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/clientapps/clientapps/client"
)

// TestTokens makes a token for one client organization, uses, rotates and revokes it.
func TestTokens(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	made, err := c.CreateTokenWithResponse(t.Context(), client.TokenCreate{
		Name: "reporting", Scopes: []client.TokenScope{client.TokenScopeAppsRead}, ClientIds: &[]client.UUID{organization},
	})
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := c.RotateTokenWithResponse(t.Context(), made.JSON201.ID, client.TokenRotate{OverlapSeconds: new(int32(60))})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{made.JSON201.Secret, rotated.JSON200.Secret} {
		if _, err := newClient(t, secret).ListAppsWithResponse(t.Context(), organization, nil); err != nil {
			t.Errorf("in the overlap: %v", err)
		}
	}
	list, err := c.ListTokensWithResponse(t.Context(), nil)
	if err != nil || list.JSON200.TotalCount < 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := c.RevokeTokenWithResponse(t.Context(), made.JSON201.ID, nil); err != nil {
		t.Fatal(err)
	}
	read, err := c.GetTokenWithResponse(t.Context(), made.JSON201.ID)
	if err != nil || read.JSON200.RevokedAt == nil || read.JSON200.Name != "reporting" {
		t.Errorf("%+v, %v", read, err)
	}
	refused := (*client.StatusError)(nil)
	_, err = newClient(t, rotated.JSON200.Secret).ListAppsWithResponse(t.Context(), organization, nil)
	if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
		t.Errorf("a revoked token: %v", err)
	}
}
