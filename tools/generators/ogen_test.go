package generators

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/tools/generators/ogen"
)

type demoToken struct{}

func (demoToken) BearerAuth(context.Context, ogen.OperationName) (ogen.BearerAuth, error) {
	return ogen.BearerAuth{Token: "demo-token"}, nil
}

// The generator's types have no place for what is refused: of the reference page's calls these are those that succeed.
// Not parallel: TestOapiCodegen patches the same app.
func TestOgen(t *testing.T) {
	c, err := ogen.NewClient(serverURL(t)+"/v2", demoToken{})
	if err != nil {
		t.Fatal(err)
	}
	key := ogen.UpdateAppParams{ClientID: ogen.UUID(contoso), AppID: ogen.UUID(slack)}
	null := ogen.OptNilInt32{Set: true, Null: true}
	for _, call := range []struct {
		patch ogen.UpdateAppApplicationJSON
		want  ogen.NilInt32
	}{
		{ogen.UpdateAppApplicationJSON{LicenseCount: ogen.NewOptNilInt32(50)}, ogen.NewNilInt32(50)},
		{ogen.UpdateAppApplicationJSON{IsFavorite: ogen.NewOptBool(true)}, ogen.NewNilInt32(50)},
		{ogen.UpdateAppApplicationJSON{LicenseCount: null}, ogen.NilInt32{Null: true}},
		{ogen.UpdateAppApplicationJSON{IsApproved: ogen.NewOptBool(true)}, ogen.NilInt32{Null: true}},
		{ogen.UpdateAppApplicationJSON{
			IsFavorite: ogen.NewOptBool(true), IsApproved: ogen.NewOptBool(true), LicenseCount: ogen.NewOptNilInt32(50),
		}, ogen.NewNilInt32(50)},
	} {
		response, err := c.UpdateApp(t.Context(), &call.patch, key)
		got, ok := response.(*ogen.AppHeaders)
		if err != nil || !ok || got.Response.LicenseCount != call.want {
			t.Errorf("%+v is answered by %+v, %v", call.patch, response, err)
		}
	}
	response, err := c.UpdateApp(t.Context(), &ogen.UpdateAppApplicationMergePatchJSON{LicenseCount: ogen.NewOptNilInt32(-1)}, key)
	if got, ok := response.(*ogen.InvalidPatchHeaders); err != nil || !ok || got.Response.Error.Code != ogen.ErrorCodeInvalidRequest {
		t.Errorf("a count below 0 is answered by %+v, %v", response, err)
	}
	key.AppID = ogen.UUID(uuid.Nil)
	response, err = c.UpdateApp(t.Context(), &ogen.UpdateAppApplicationJSON{}, key)
	if _, ok := response.(*ogen.AppNotFoundHeaders); err != nil || !ok {
		t.Errorf("an app that is not there is answered by %+v, %v", response, err)
	}
	history, err := c.ListAppChanges(t.Context(), ogen.ListAppChangesParams{ClientID: ogen.UUID(contoso), AppID: ogen.UUID(slack)})
	if got, ok := history.(*ogen.AppChangeListHeaders); err != nil || !ok || got.Response.TotalCount == 0 {
		t.Errorf("history: %+v, %v", history, err)
	}
}
