package store_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// asOther tries each method that a client's key goes into as another client: its app under this client's name and this
// one's app under the other's name must not be found. It runs before and after the same as the owner, which must succeed.
var asOther = map[string]func(ctx context.Context, s *store.Store, key store.AppKey) error{
	"GetApp": func(ctx context.Context, s *store.Store, key store.AppKey) error {
		_, err := s.GetApp(ctx, key)
		return err
	},
	"UpdateApp": func(ctx context.Context, s *store.Store, key store.AppKey) error {
		_, err := s.UpdateApp(ctx, key, store.Fields{store.ColumnIsFavorite: true, store.ColumnLicenseCount: int32(9)}, writer, nil)
		return err
	},
}

// notByClient are the methods that know no client, each with the reason.
var notByClient = map[string]string{
	"AllClients":    "the command's list of all clients",
	"Authenticate":  "decides who asks, before there is a client",
	"Close":         "lifecycle",
	"CreateClient":  "makes a client",
	"CreateToken":   "the command's: what the token covers is data",
	"GetClient":     "the client itself, by its own id",
	"ListTokens":    "the command's list of all tokens",
	"Migrate":       "lifecycle",
	"Ready":         "lifecycle",
	"RevokeToken":   "the command's",
	"SchemaVersion": "lifecycle",
	"Seed":          "rows as they are given, for demo data and tests",
}

func TestEveryMethodIsTriedAsAnotherClient(t *testing.T) {
	t.Parallel()
	methods := reflect.TypeFor[*store.Store]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		_, tried := asOther[name]
		_, excused := notByClient[name]
		if tried == excused {
			t.Errorf("%s needs a case in asOther, or a reason in notByClient", name)
		}
	}
	if len(asOther)+len(notByClient) != methods.NumMethod() {
		t.Error("there is a case for a method that is gone")
	}
}

func TestAnotherClientsAppIsNotFound(t *testing.T) {
	for name, try := range asOther {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, url string, s *store.Store) {
				if err := try(t.Context(), s, pageApp); err != nil {
					t.Fatalf("as the owner: %v", err)
				}
				before := dump(t, url, "apps", "app_changes")
				for _, key := range []store.AppKey{
					{ClientID: storetest.OtherClientID, ID: storetest.AppID},
					{ClientID: storetest.ClientID, ID: storetest.OtherAppID},
				} {
					var missing *store.NotFoundError
					if err := try(t.Context(), s, key); !errors.As(err, &missing) || missing.Kind != store.KindApp {
						t.Errorf("as another client: %v", err)
					}
				}
				if after := dump(t, url, "apps", "app_changes"); after != before {
					t.Errorf("written:\n%s", after)
				}
				if err := try(t.Context(), s, pageApp); err != nil {
					t.Errorf("as the owner again: %v", err)
				}
			})
		})
	}
}
