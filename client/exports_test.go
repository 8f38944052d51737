package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

func all[T any](t *testing.T, rows iter.Seq2[T, error]) (got []T) {
	t.Helper()
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	return got
}

// An export has all rows that match, and an import of them, edited, changes what was edited: first as a dry run.
func TestExportApps(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	for range 3 {
		newApp(t, c, organization)
	}
	seven := int32(7)
	favorite := newApp(t, c, organization)
	patch := client.AppPatch{IsFavorite: new(true), LicenseCount: nullable.NewNullableWithValue(seven)}
	updated, err := c.UpdateAppWithResponse(t.Context(), organization, favorite, nil, patch)
	if err != nil {
		t.Fatal(err)
	}
	wanted := []client.AppRow{{CanonicalName: updated.JSON200.CatalogApp.CanonicalName, IsFavorite: true, LicenseCount: &seven}}
	if got := all(t, client.ExportApps(t.Context(), c, organization, &client.ListAppsParams{IsFavorite: new(true)})); !reflect.DeepEqual(got, wanted) {
		t.Errorf("the favorites are %+v, want %+v", got, wanted)
	}
	descending := client.ListAppsParams{SortOrder: new(client.ListAppsParamsSortOrderDesc)}
	rows := all(t, client.ExportApps(t.Context(), c, organization, &descending))
	if len(rows) != 4 || !slices.IsSortedFunc(rows, func(a, b client.AppRow) int { return strings.Compare(b.CanonicalName, a.CanonicalName) }) {
		t.Errorf("all are %+v", rows)
	}
	var file bytes.Buffer
	lines := json.NewEncoder(&file)
	for i := range rows {
		rows[i].IsApproved = rows[i].CanonicalName == wanted[0].CanonicalName
		if err := lines.Encode(rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		editors []client.RequestEditorFn
		want    client.ImportResult
	}{
		{[]client.RequestEditorFn{client.DryRun}, client.ImportResult{Updated: 1, Unchanged: 3}},
		{nil, client.ImportResult{Updated: 1, Unchanged: 3}},
		{nil, client.ImportResult{Unchanged: 4}},
	} {
		in := bytes.NewReader(file.Bytes())
		imported, err := c.ImportAppsWithBodyWithResponse(t.Context(), organization, client.NDJSON, in, step.editors...)
		if err != nil || *imported.JSON200 != step.want || (imported.Headers200.DryRun != nil) != (step.editors != nil) {
			t.Errorf("imported %+v, %v, want %+v", imported, err, step.want)
		}
	}
	if got := all(t, client.ExportApps(t.Context(), c, organization, &descending)); !reflect.DeepEqual(got, rows) {
		t.Errorf("after the import: %+v, want %+v", got, rows)
	}
}

// All columns of the catalog come, and go back.
func TestExportCatalog(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	name := "Exported " + t.Name() + time.Now().Format(time.RFC3339Nano)
	text := func(s string) *string { return &s }
	wanted := []client.CatalogRow{{
		CanonicalName: name, Description: text("=x"), DisplayColour: text("#4A154B"), Logo: text("https://cdn.example.com/x.png"), Type: text("desktop"),
		Vendor: text("Vendor of " + name), VendorURL: text("https://www.example.com/"), Categories: []string{"Category of " + name},
		URLPatterns: []string{"https://a.example.com/*", "https://b.example.com/*"}, DesktopAliases: []string{},
	}}
	line, err := json.Marshal(wanted[0])
	if err != nil {
		t.Fatal(err)
	}
	imported, err := c.ImportCatalogWithBodyWithResponse(t.Context(), client.NDJSON, bytes.NewReader(line))
	if err != nil || imported.JSON200.Created != 1 {
		t.Fatalf("imported %+v, %v", imported, err)
	}
	if got := all(t, client.ExportCatalog(t.Context(), c, &client.ListCatalogAppsParams{Q: &name})); !reflect.DeepEqual(got, wanted) {
		t.Errorf("%+v, want %+v", got, wanted)
	}
	// More than one write of the server.
	if got := all(t, client.ExportCatalog(t.Context(), c, nil)); len(got) < 10 {
		t.Errorf("the catalog has %d rows", len(got))
	}
}

// A dry run answers as the write would have, and writes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	app := newApp(t, c, organization)
	patch := client.AppPatch{IsApproved: new(true)}
	tried, err := c.UpdateAppWithResponse(t.Context(), organization, app, nil, patch, client.DryRun)
	if err != nil || !tried.JSON200.IsApproved || tried.Headers200.DryRun == nil {
		t.Errorf("tried %+v, %v", tried, err)
	}
	several := client.AppUpdates{Updates: []client.AppUpdate{{ID: app, IsApproved: new(true)}}}
	result, err := c.UpdateAppsWithResponse(t.Context(), organization, &client.UpdateAppsParams{Atomic: new(true)}, several, client.DryRun)
	if err != nil || len(result.JSON200.Succeeded) != 1 || result.Headers200.DryRun == nil { // beside another parameter
		t.Errorf("tried %+v, %v", result, err)
	}
	created, err := c.CreateClientWithResponse(t.Context(), client.ClientCreate{Name: "Tried"}, client.DryRun)
	if err != nil || created.JSON201.Name != "Tried" || created.Headers201.DryRun == nil {
		t.Errorf("tried %+v, %v", created, err)
	}
	got, err := c.GetAppWithResponse(t.Context(), organization, app, nil)
	if err != nil || got.JSON200.IsApproved {
		t.Errorf("after the dry runs: %+v, %v", got.JSON200, err)
	}
	refused := (*client.StatusError)(nil)
	if _, err := c.GetAppWithResponse(t.Context(), organization, app, nil, client.DryRun); !errors.As(err, &refused) || refused.Status != 400 {
		t.Errorf("a dry run of a read: %v", err)
	}
}

// Refusals are yielded as the last pair.
func TestExportIsRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	for want, rows := range map[client.ErrorCode]iter.Seq2[client.AppRow, error]{
		client.ErrorCodeNotFound:       client.ExportApps(t.Context(), c, slack, nil),
		client.ErrorCodeInvalidRequest: client.ExportApps(t.Context(), c, contoso, &client.ListAppsParams{PageSize: new(client.PageSize(1))}),
		client.ErrorCodeUnauthorized:   client.ExportApps(t.Context(), newClient(t, "unknown"), contoso, nil),
	} {
		number := 0
		for row, err := range rows {
			var refused *client.StatusError
			if number++; !errors.As(err, &refused) || refused.Code != want {
				t.Errorf("%s: %+v, %v", want, row, err)
			}
		}
		if number != 1 {
			t.Errorf("%s: yielded %d times", want, number)
		}
	}
}

// An answer that is cut is an error: between two rows as within one, whatever bytes have come.
func TestExportIsCut(t *testing.T) {
	t.Parallel()
	const row = `{"canonical_name":"Slack","is_favorite":true,"is_approved":false,"license_count":null}` + "\n"
	for name, sent := range map[string]string{"between rows": row + row, "within a row": row + row + row[:20], "at the start": ""} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", client.NDJSON)
			_, _ = io.WriteString(w, sent)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}))
		t.Cleanup(server.Close)
		c, err := client.New(server.URL+"/v2", token)
		if err != nil {
			t.Fatal(err)
		}
		rows, failures := 0, 0
		for got, err := range client.ExportApps(t.Context(), c, contoso, nil) {
			switch {
			case errors.Is(err, io.ErrUnexpectedEOF):
				failures++
			case err != nil || got.CanonicalName != "Slack" || failures > 0:
				t.Errorf("%s: %+v, %v", name, got, err)
			default:
				rows++
			}
		}
		if rows != strings.Count(sent, "\n") || failures != 1 {
			t.Errorf("%s: %d rows and %d errors", name, rows, failures)
		}
	}
}

// endless answers with rows until the reader disconnects. Then it closes the channel.
func endless(disconnected chan<- struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(disconnected)
		w.Header().Set("Content-Type", client.NDJSON)
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(w, `{"canonical_name":"App %d"}`+"\n", i); err != nil {
				return
			}
		}
	})
}

// A loop that is left closes its connection.
func TestExportIsLeft(t *testing.T) {
	t.Parallel()
	disconnected := make(chan struct{})
	server := httptest.NewServer(endless(disconnected))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL+"/v2", token)
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range client.ExportApps(t.Context(), c, contoso, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if row.CanonicalName == "App 9" {
			break
		}
	}
	<-disconnected
}

// An export goes on longer than DefaultTimeout, and ends with an error when nothing comes any more or its context ends. The clock is the
// test's. The test is not parallel, since it replaces http.DefaultTransport.
func TestExportTimes(t *testing.T) {
	original := http.DefaultTransport
	defer func() { http.DefaultTransport = original }()
	synctest.Test(t, func(t *testing.T) {
		const pause = 90 * time.Second
		http.DefaultTransport = roundTripper(func(r *http.Request) (*http.Response, error) {
			reader, writer := net.Pipe()
			context.AfterFunc(r.Context(), func() { _ = reader.Close() })
			go func() {
				for range 3 {
					select {
					case <-r.Context().Done():
						return
					case <-time.After(pause):
					}
					_, _ = io.WriteString(writer, `{"canonical_name":"Slack"}`+"\n")
				}
			}()
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {client.NDJSON}}, Body: reader}, nil
		})
		c := newClient(t, token)
		for _, test := range []struct {
			after time.Duration // the context ends
			rows  int
			want  string
		}{{time.Hour, 3, "nothing came for 2m0s"}, {2*pause - time.Second, 1, "closed pipe"}} {
			ctx, cancel := context.WithTimeout(t.Context(), test.after)
			defer cancel()
			rows, failure := 0, error(nil)
			for _, err := range client.ExportApps(ctx, c, contoso, nil) {
				if failure = err; err == nil {
					rows++
					time.Sleep(pause / 2) // the caller takes its time
				}
			}
			if rows != test.rows || failure == nil || !strings.Contains(failure.Error(), test.want) {
				t.Errorf("%d rows, %v, want %d rows and %s", rows, failure, test.rows, test.want)
			}
		}
	})
}
