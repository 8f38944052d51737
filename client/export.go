package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"
)

// AppRow is a row of an export of apps. ImportAppsWithBodyWithResponse takes such rows, too: one on each line, as JSON.
type AppRow struct {
	CanonicalName string `json:"canonical_name"`
	IsFavorite    bool   `json:"is_favorite"`
	IsApproved    bool   `json:"is_approved"`
	LicenseCount  *int32 `json:"license_count"`
}

// CatalogRow is a row of an export of the catalog. ImportCatalogWithBodyWithResponse takes such rows, too: one on each line, as JSON.
type CatalogRow struct {
	CanonicalName  string   `json:"canonical_name"`
	Description    *string  `json:"description"`
	DisplayColour  *string  `json:"display_colour"`
	Logo           *string  `json:"logo"`
	Type           *string  `json:"type"`
	Vendor         *string  `json:"vendor"`
	VendorURL      *string  `json:"vendor_url"`
	Categories     []string `json:"categories"`
	URLPatterns    []string `json:"url_patterns"`
	DesktopAliases []string `json:"desktop_aliases"`
}

// NDJSON is the media type of files with rows of JSON, for the imports.
const NDJSON = "application/x-ndjson"

// exportIdleTimeout is how long an export may send nothing. The server may have to look at many rows to find one that matches.
const exportIdleTimeout = 2 * time.Minute

// errExportIdle is the error of an export that has sent nothing for exportIdleTimeout.
var errExportIdle = fmt.Errorf("read an export: nothing came for %s", exportIdleTimeout)

// ExportApps yields the apps of a client that match the filters of params, in their order, as they were at one moment. PageSize and
// Cursor must be nil, and params may be.
//
//	for row, err := range client.ExportApps(ctx, c, clientID, nil) {
//
// Rows are read when they are asked for. The server waits for a slow reader, but not for long: see docs/limits.md. DefaultTimeout does
// not bound an export; ctx does, and a timeout of an http.Client of your own. An export that breaks yields an error as its last pair.
// Without one the rows are complete. c must come from New.
func ExportApps(ctx context.Context, c *ClientWithResponses, clientID UUID, params *ListAppsParams) iter.Seq2[AppRow, error] {
	return export[AppRow](ctx, func(ctx context.Context) (*http.Response, error) { return c.ListApps(ctx, clientID, params, toExport) })
}

// ExportCatalog yields the catalog apps that match the filters of params, as ExportApps does for the apps of a client.
func ExportCatalog(ctx context.Context, c *ClientWithResponses, params *ListCatalogAppsParams) iter.Seq2[CatalogRow, error] {
	return export[CatalogRow](ctx, func(ctx context.Context) (*http.Response, error) { return c.ListCatalogApps(ctx, params, toExport) })
}

// toExport turns the request of a list into the request of its export.
func toExport(_ context.Context, r *http.Request) error {
	r.URL = r.URL.JoinPath("export")
	r.Header.Set("Accept", NDJSON)
	return nil
}

// export yields the rows of the answer that open gets.
func export[T any](ctx context.Context, open func(context.Context) (*http.Response, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		idleTimer := time.AfterFunc(exportIdleTimeout, func() { cancel(errExportIdle) })
		defer idleTimer.Stop()
		err := readRows(ctx, open, func(row T) bool {
			idleTimer.Stop() // the caller may take its time
			defer idleTimer.Reset(exportIdleTimeout)
			return yield(row, nil)
		})
		if err != nil && errors.Is(context.Cause(ctx), errExportIdle) {
			err = errExportIdle
		}
		if err != nil {
			var zero T
			yield(zero, err)
		}
	}
}

// readRows yields the rows until yield returns false.
func readRows[T any](ctx context.Context, open func(context.Context) (*http.Response, error), yield func(T) bool) error {
	response, err := open(ctx)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	rows := json.NewDecoder(response.Body)
	for {
		var row T
		err := rows.Decode(&row)
		switch {
		case errors.Is(err, io.EOF): // of a body that is cut it is io.ErrUnexpectedEOF
			return nil
		case err != nil:
			return fmt.Errorf("read an export: %w", err)
		case !yield(row):
			return nil
		}
	}
}

// DryRun makes any write a dry run when it is the last argument of its method: the answer is the one that the write would have had, and
// nothing is written.
//
//	c.UpdateAppWithResponse(ctx, clientID, appID, nil, patch, client.DryRun)
func DryRun(_ context.Context, r *http.Request) error {
	query := r.URL.Query()
	query.Set("dry_run", "true")
	r.URL.RawQuery = query.Encode()
	return nil
}
