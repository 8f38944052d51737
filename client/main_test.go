package client_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/client"
)

// The demo server of the tests and examples, and a token for it.
var baseURL, token = os.Getenv("CLIENTAPPS_URL") + "/v2", "demo-token"

// A client and an app in the demo data.
var (
	contoso = uuid.MustParse("aa7cf840-9ca9-46a3-9778-9015d6580d50")
	slack   = uuid.MustParse("f1a2b3c4-d5e6-7890-abcd-ef1234567890")
)

func TestMain(m *testing.M) {
	if os.Getenv("CLIENTAPPS_URL") == "" {
		fmt.Fprintln(os.Stderr, "CLIENTAPPS_URL is not set: run the tests through tools/with-demo, as make test-client does")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func newClient(t *testing.T, token string, options ...client.ClientOption) *client.ClientWithResponses {
	t.Helper()
	c, err := client.New(baseURL, token, options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newOrganization creates a client organization for one test.
func newOrganization(t *testing.T, c *client.ClientWithResponses) uuid.UUID {
	t.Helper()
	created, err := c.CreateClientWithResponse(t.Context(), client.ClientCreate{Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return created.JSON201.ID
}

// newApp adds an app for one test to a client organization.
func newApp(t *testing.T, c *client.ClientWithResponses, organization uuid.UUID) uuid.UUID {
	t.Helper()
	known := newCatalogApp(t, c, "App "+rand.Text())
	added, err := c.AddAppWithResponse(context.Background(), organization, client.AppCreate{CatalogAppID: known.ID})
	if err != nil {
		t.Fatal(err)
	}
	return added.JSON201.ID
}
