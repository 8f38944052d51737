package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

func Example() {
	ctx := context.Background()
	c, err := client.New(baseURL, token)
	if err != nil {
		fmt.Println(err)
		return
	}
	// An absent field keeps its value, null clears, a value sets.
	for _, patch := range []client.AppPatch{
		{IsFavorite: new(true), LicenseCount: nullable.NewNullableWithValue[int32](50)},
		{IsFavorite: new(false)},
		{LicenseCount: nullable.NewNullNullable[int32]()},
	} {
		updated, err := c.UpdateAppWithResponse(ctx, contoso, slack, nil, patch)
		if err != nil {
			fmt.Println(err)
			return
		}
		app := updated.JSON200
		if app.LicenseCount == nil {
			fmt.Println("favorite:", app.IsFavorite, "licenses: not tracked")
		} else {
			fmt.Println("favorite:", app.IsFavorite, "licenses:", *app.LicenseCount)
		}
	}
	// Output:
	// favorite: true licenses: 50
	// favorite: false licenses: 50
	// favorite: false licenses: not tracked
}

func ExampleStatusError() {
	c, err := client.New(baseURL, token)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.CreateCatalogAppWithResponse(context.Background(), client.CatalogAppCreate{CanonicalName: "slack"})
	var refused *client.StatusError
	if errors.As(err, &refused) && refused.Code == client.ErrorCodeConflict {
		fmt.Println(*refused.Details.Field, "-", refused.Message)
	}
	// Output:
	// canonical_name - canonical_name is taken
}

func ExampleWalk() {
	ctx := context.Background()
	c, err := client.New(baseURL, token)
	if err != nil {
		fmt.Println(err)
		return
	}
	apps := client.Walk(func(cursor *string) ([]client.App, *string, error) {
		page, err := c.ListAppsWithResponse(ctx, contoso, &client.ListAppsParams{Q: new("slack"), Cursor: cursor})
		if err != nil {
			return nil, nil, err
		}
		return page.JSON200.Data, page.JSON200.NextCursor, nil
	})
	for app, err := range apps {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(app.CatalogApp.CanonicalName)
	}
	// Output:
	// Slack
}

func ExampleExportApps() {
	ctx := context.Background()
	c, err := client.New(baseURL, token)
	if err != nil {
		fmt.Println(err)
		return
	}
	for app, err := range client.ExportApps(ctx, c, contoso, &client.ListAppsParams{Q: new("slack")}) {
		if err != nil {
			fmt.Println(err) // also when the export was cut: what came is not all
			return
		}
		fmt.Println(app.CanonicalName)
	}
	// Output:
	// Slack
}

func ExampleDryRun() {
	ctx := context.Background()
	c, err := client.New(baseURL, token)
	if err != nil {
		fmt.Println(err)
		return
	}
	updates := client.AppUpdates{Updates: []client.AppUpdate{
		{ID: slack, LicenseCount: nullable.NewNullableWithValue[int32](60)},
		{ID: contoso, LicenseCount: nullable.NewNullNullable[int32]()}, // no app has this id
	}}
	tried, err := c.UpdateAppsWithResponse(ctx, contoso, nil, updates, client.DryRun)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(tried.JSON200.Succeeded), "would be updated")
	for _, failed := range tried.JSON200.Failed {
		fmt.Println(failed.Code, failed.ID)
	}
	// Output:
	// 1 would be updated
	// not_found aa7cf840-9ca9-46a3-9778-9015d6580d50
}

func ExampleForeignError() {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the server is away", http.StatusBadGateway)
	}))
	defer proxy.Close()
	c, err := client.New(proxy.URL+"/v2", token)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.GetAppWithResponse(context.Background(), contoso, slack, nil)
	var foreign *client.ForeignError
	if errors.As(err, &foreign) {
		fmt.Println(foreign.Status, foreign.Header.Get("Content-Type"))
	}
	// Output:
	// 502 text/plain; charset=utf-8
}

func ExampleFollow() {
	ctx := context.Background()
	c, err := client.New(baseURL, token)
	if err != nil {
		fmt.Println(err)
		return
	}
	// The end of the feed. A program that went before has kept its cursor instead.
	end, err := c.ListChangesWithResponse(ctx, contoso, &client.ListChangesParams{Since: new("2099-12-31T23:59:59Z")})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Two changes, so that there is one to see.
	for _, mark := range []bool{false, true} {
		if _, err := c.UpdateAppWithResponse(ctx, contoso, slack, nil, client.AppPatch{IsApproved: &mark}); err != nil {
			fmt.Println(err)
			return
		}
	}
	for followed, err := range client.Follow(ctx, c, &contoso, end.JSON200.NextCursor) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if string(*followed.Change.NewValue) == "true" {
			fmt.Println(followed.Change.Field, *followed.Change.AppID)
			break
		}
	}
	// Output:
	// is_approved f1a2b3c4-d5e6-7890-abcd-ef1234567890
}
