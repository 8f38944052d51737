// Package rowfile reads and writes files with rows of apps and of the catalog, as CSV (RFC 4180) or NDJSON. It reads the files that it
// writes as the same rows.
package rowfile

import (
	"io"
	"iter"
	"sync"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/store"
)

// Format is the format of a file.
type Format string

// The formats. The values are what the command line and file names call them.
const (
	CSV    Format = "csv"
	NDJSON Format = "ndjson"
)

// The media types of the formats.
const (
	MediaTypeCSV    = "text/csv"
	MediaTypeNDJSON = "application/x-ndjson"
)

// MediaType returns the media type of the format.
func (f Format) MediaType() string {
	if f == CSV {
		return MediaTypeCSV
	}
	return MediaTypeNDJSON
}

// FormatOf returns the format with this media type, which has no parameters and is in lower case.
func FormatOf(mediaType string) (f Format, ok bool) {
	for _, f := range []Format{CSV, NDJSON} {
		if f.MediaType() == mediaType {
			return f, true
		}
	}
	return "", false
}

// The columns of the files, in the order in which they are written.
var catalogColumns = []string{
	string(store.ColumnCanonicalName), string(store.ColumnDescription), string(store.ColumnDisplayColour), string(store.ColumnLogo),
	string(store.ColumnType), columnVendor, columnVendorURL, columnCategories, columnURLPatterns, columnDesktopAliases,
}

const (
	columnVendor         = "vendor"
	columnVendorURL      = "vendor_url"
	columnCategories     = "categories"
	columnURLPatterns    = "url_patterns"
	columnDesktopAliases = "desktop_aliases"
)

func appColumns() []string {
	columns := []string{string(store.ColumnCanonicalName)}
	for _, column := range store.AppFieldColumns() {
		columns = append(columns, string(column))
	}
	return columns
}

// The rules of rows. They are built once, since that takes longer than reading most files.
var (
	appRules     = sync.OnceValues(schemas.AppRows)
	catalogRules = sync.OnceValues(schemas.CatalogRows)
)

// Apps reads rows of apps. The sequence ends after an error that is not a store.RowError.
func Apps(r io.Reader, f Format) (iter.Seq2[store.AppRow, error], error) {
	rules, err := appRules()
	if err != nil {
		return nil, err
	}
	return convertRows(parsedRows(r, f, rules), appRow), nil
}

// Catalog reads rows of the catalog. The sequence ends after an error that is not a store.RowError.
func Catalog(r io.Reader, f Format) (iter.Seq2[store.CatalogRow, error], error) {
	rules, err := catalogRules()
	if err != nil {
		return nil, err
	}
	return convertRows(parsedRows(r, f, rules), catalogRow), nil
}

func parsedRows(r io.Reader, f Format, rules *schemas.Rows) iter.Seq2[parsedRow, error] {
	if f == CSV {
		return csvRows(r, rules)
	}
	return ndjsonRows(r, rules)
}
