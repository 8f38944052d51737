// Package generators tests clients that several generators produce from the contract with default settings: they compile, and make the
// calls of the reference page. It is not part of the product.
package generators

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/tools/generators/oapi"
)

// The reference page's app, which the demo has.
var (
	contoso = uuid.MustParse("aa7cf840-9ca9-46a3-9778-9015d6580d50")
	slack   = uuid.MustParse("f1a2b3c4-d5e6-7890-abcd-ef1234567890")
)

func serverURL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("CLIENTAPPS_URL")
	if url == "" {
		t.Fatal("CLIENTAPPS_URL is not set: run the test through tools/with-demo, as make test-generators does")
	}
	return url
}

func TestOapiCodegen(t *testing.T) {
	t.Parallel()
	url := serverURL(t)
	var calls []struct {
		Name         string          `json:"name"`
		Body         json.RawMessage `json:"body"`
		Status       int             `json:"status"`
		LicenseCount *int32          `json:"license_count"`
		Message      string          `json:"message"`
	}
	text, err := os.ReadFile("page.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &calls); err != nil {
		t.Fatal(err)
	}
	c, err := oapi.NewClientWithResponses(url+"/v2", oapi.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer demo-token")
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range calls {
		// With default settings the generated types cannot hold null or invalid values, so send the raw body.
		got, err := c.UpdateAppWithBodyWithResponse(t.Context(), contoso, slack, nil, "application/json", bytes.NewReader(call.Body))
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode() != call.Status {
			t.Errorf("%s: %d %s", call.Name, got.StatusCode(), got.Body)
			continue
		}
		if call.Status != http.StatusOK {
			if got.JSON400 == nil || got.JSON400.Error.Message != call.Message {
				t.Errorf("%s: %s", call.Name, got.Body)
			}
			continue
		}
		if got.JSON200 == nil {
			t.Fatalf("%s: no app in %s", call.Name, got.Body)
		}
		count := got.JSON200.LicenseCount
		if (count == nil) != (call.LicenseCount == nil) || count != nil && *count != *call.LicenseCount {
			t.Errorf("%s: %s", call.Name, got.Body)
		}
	}
	typed, err := c.UpdateAppWithResponse(t.Context(), contoso, slack, nil, oapi.AppPatch{LicenseCount: new(int32(50))})
	if err != nil || typed.JSON200 == nil {
		t.Errorf("a patch with the generated type: %v %+v", err, typed)
	}
	history, err := c.ListAppChangesWithResponse(t.Context(), contoso, slack, nil)
	if err != nil || history.JSON200 == nil || history.JSON200.TotalCount == 0 {
		t.Errorf("history: %v %+v", err, history)
	}
}
