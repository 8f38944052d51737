package store_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// asOther calls each method that takes a client's key with the key of one client and the app of another: the app must not be found.
// Before and after, the same call with the owner's key must succeed.
var asOther = map[string]func(ctx context.Context, s *store.Store, key store.AppKey) error{
	"GetApp": func(ctx context.Context, s *store.Store, key store.AppKey) error {
		_, err := s.GetApp(ctx, key)
		return err
	},
	"ListAppChanges": func(ctx context.Context, s *store.Store, key store.AppKey) error {
		_, err := s.ListAppChanges(ctx, key, store.Page{Size: 50})
		return err
	},
	"ListChanges": func(ctx context.Context, s *store.Store, key store.AppKey) error {
		list, err := s.ListChanges(ctx, key.ClientID, store.ChangeFilter{AppID: &key.ID}, store.ChangeStart{}, 50)
		return found(key, err, len(list.Rows) > 0)
	},
	"FollowChanges": func(ctx context.Context, s *store.Store, key store.AppKey) error {
		stream := s.FollowChanges(key.ClientID, store.ChangeFilter{AppID: &key.ID}, store.ChangeStart{})
		defer stream.Close()
		list, err := stream.Next(ctx, time.Millisecond, 50)
		return found(key, err, len(list.Rows) > 0)
	},
	"ListApps": func(ctx context.Context, s *store.Store, key store.AppKey) error {
		list, err := s.ListApps(ctx, key.ClientID, store.AppFilter{}, store.Page{Size: 50, SortBy: store.ColumnCanonicalName})
		return found(key, err, slices.ContainsFunc(list.Rows, func(a store.App) bool { return a.ID == key.ID }))
	},
	"UpdateApps": func(ctx context.Context, s *store.Store, key store.AppKey) error {
		missing, err := bulkSet(ctx, s, key.ClientID, []uuid.UUID{key.ID}, store.ColumnIsApproved, true, writer)
		return found(key, err, len(missing) == 0)
	},
	"UpdateApp": func(ctx context.Context, s *store.Store, key store.AppKey) error {
		_, err := s.UpdateApp(ctx, key, store.Fields{store.ColumnIsFavorite: true, store.ColumnLicenseCount: int32(9)}, writer, nil)
		return err
	},
}

// found returns NotFoundError if a method that reports on many objects has not found this one.
func found(key store.AppKey, err error, is bool) error {
	if err == nil && !is {
		return &store.NotFoundError{Kind: store.KindApp, ID: key.ID}
	}
	return err
}

// notByClient are the methods that take no client, each with the reason.
var notByClient = map[string]string{
	"MarkWebhooks":            "the work of a server: webhookwork_test.go",
	"ClaimWebhooks":           "the work of a server: webhookwork_test.go",
	"ReadWebhook":             "takes a webhook that was claimed: webhookwork_test.go",
	"KeepWebhookBatch":        "takes a webhook that was claimed: webhookwork_test.go",
	"FinishWebhookAttempt":    "takes a webhook that was claimed: webhookwork_test.go",
	"ReleaseWebhook":          "takes a webhook that was claimed: webhookwork_test.go",
	"PruneWebhookDeliveries":  "the work of a server: webhookwork_test.go",
	"ReencryptWebhookSecrets": "the command's, of all webhooks: webhooks_test.go",
	"RecordWebhookTest":       "what BeginWebhookTest has allowed: webhooks_test.go",
	"ListWebhooks":            "goes by the token: TestWebhooksOfAToken",
	"GetWebhook":              "goes by the token: TestWebhooksOfAToken",
	"CreateWebhook":           "the server checks the client: webhooks_test.go",
	"UpdateWebhook":           "goes by the token: TestWebhooksOfAToken",
	"DeleteWebhook":           "goes by the token: TestWebhooksOfAToken",
	"RotateWebhookSecret":     "goes by the token: TestWebhooksOfAToken",
	"ReplayWebhook":           "goes by the token: TestWebhooksOfAToken",
	"BeginWebhookTest":        "goes by the token: TestWebhooksOfAToken",
	"ListWebhookDeliveries":   "goes by the token: TestWebhooksOfAToken",
	"FollowAllChanges":        "goes by the token: TestChangesOfAToken",
	"ListAllChanges":          "goes by the token: TestChangesOfAToken",
	"PruneHistory":            "deletes what is old of all clients: TestPruneHistory",
	"RenewHistory":            "of the whole database: TestRenewHistory",
	"AddApp":                  "takes a client and no app: TestAddAppToAnotherClient",
	"RemoveApp":               "ends what it is tried on: TestRemoveAppOfAnotherClient",
	"CreateCatalogApp":        "the catalog is shared",
	"CreateCategory":          "the catalog is shared",
	"CreateVendor":            "the catalog is shared",
	"DeleteCatalogApp":        "the catalog is shared",
	"DeleteCategory":          "the catalog is shared",
	"DeleteVendor":            "the catalog is shared",
	"DeleteClient":            "the client itself, by its own id: TestDeleteClient",
	"FinishDeletion":          "the client itself, by its own id: TestDeleteClient",
	"EraseDeletedClients":     "clients that are being deleted: TestDeletionGoesOn",
	"GetCatalogApp":           "the catalog is shared",
	"GetCatalogSummary":       "the catalog is shared",
	"ListCatalogApps":         "the catalog is shared",
	"ListCatalogChanges":      "the catalog is shared",
	"ListCategories":          "the catalog is shared",
	"ListDesktopAliases":      "the catalog is shared",
	"ListURLPatterns":         "the catalog is shared",
	"ListVendors":             "the catalog is shared",
	"ReplaceDesktopAliases":   "the catalog is shared",
	"ReplaceURLPatterns":      "the catalog is shared",
	"UpdateCatalogApp":        "the catalog is shared",
	"UpdateCategory":          "the catalog is shared",
	"UpdateVendor":            "the catalog is shared",
	"ListClients":             "goes by the token: TestListClientsOfAToken",
	"UpdateClient":            "the client itself, by its own id",
	"AllClients":              "the command's list of all clients",
	"Authenticate":            "decides who asks, before there is a client",
	"Close":                   "lifecycle",
	"CreateClient":            "makes a client",
	"CreateToken":             "what a token covers is data: tokenlife_test.go",
	"GetToken":                "goes by the token: tokenlife_test.go",
	"RotateToken":             "goes by the token: tokenlife_test.go",
	"AllTokens":               "the command's list of all tokens",
	"GetClient":               "the client itself, by its own id",
	"ExportApps":              "takes a client and no app: exports_test.go",
	"ExportCatalog":           "the catalog is shared",
	"ImportApps":              "takes a client and no app: importapps_test.go",
	"ImportCatalog":           "the catalog is shared",
	"ListTokens":              "goes by the token: tokenlife_test.go",
	"Migrate":                 "lifecycle",
	"Ready":                   "lifecycle",
	"RevokeToken":             "goes by the token: tokenlife_test.go",
	"SchemaVersion":           "lifecycle",
	"Stats":                   "numbers alone",
	"Seed":                    "rows as they are given, for demo data and tests",
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
		t.Error("there is a case for a method that does not exist")
	}
}

func TestAnotherClientsAppIsNotFound(t *testing.T) {
	for name, try := range asOther {
		t.Run(name, func(t *testing.T) {
			eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
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

func TestAddAppToAnotherClient(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		before := dump(t, url, "apps", "app_changes")
		nobody := uuid.New()
		var missing *store.NotFoundError
		if _, err := s.AddApp(t.Context(), nobody, storetest.CatalogID, nil, writer); !errors.As(err, &missing) || missing.Kind != store.KindClient || missing.ID != nobody {
			t.Errorf("%v", err)
		}
		var taken *store.ConflictError
		if _, err := s.AddApp(t.Context(), storetest.ClientID, storetest.CatalogID, nil, writer); !errors.As(err, &taken) || taken.ID != storetest.AppID {
			t.Errorf("%v: the id of another client's app must not come up", err)
		}
		if after := dump(t, url, "apps", "app_changes"); after != before {
			t.Errorf("written:\n%s", after)
		}
	})
}

func TestRemoveAppOfAnotherClient(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		before := dump(t, url, "apps", "app_changes")
		for _, key := range []store.AppKey{
			{ClientID: storetest.OtherClientID, ID: storetest.AppID}, {ClientID: storetest.ClientID, ID: storetest.OtherAppID},
		} {
			for _, match := range []*store.IfMatch{nil, {Tags: []string{get(t, s, pageApp).ETag()}}} {
				var missing *store.NotFoundError
				if err := s.RemoveApp(t.Context(), key, writer, match); !errors.As(err, &missing) || missing.Kind != store.KindApp {
					t.Errorf("%v", err)
				}
			}
		}
		if after := dump(t, url, "apps", "app_changes"); after != before {
			t.Errorf("written:\n%s", after)
		}
		if err := s.RemoveApp(t.Context(), pageApp, writer, nil); err != nil {
			t.Errorf("as the owner: %v", err)
		}
	})
}

func TestListClientsOfAToken(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		for _, c := range []struct {
			token store.Token
			want  int
		}{
			{store.Token{}, 0},
			{store.Token{ClientIDs: []uuid.UUID{storetest.OtherClientID}}, 1},
			{store.Token{ClientIDs: []uuid.UUID{uuid.New()}}, 0},
			{store.Token{AllClients: true}, 2},
		} {
			list, err := s.ListClients(t.Context(), &c.token, "", store.Page{Size: 50, SortBy: store.ColumnName})
			if err != nil || len(list.Rows) != c.want || list.Total != int64(c.want) {
				t.Errorf("%+v: %+v, %v", c.token, list, err)
			}
			for _, client := range list.Rows {
				if !c.token.Covers(client.ID) {
					t.Errorf("%+v sees %s", c.token, client.ID)
				}
			}
		}
	})
}
