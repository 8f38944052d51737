package rowfile_test

import (
	"bufio"
	"bytes"
	"errors"
	"iter"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/rowfile"
	"github.com/clientapps/clientapps/store"
)

// names are hostile and valid: what spreadsheets take for formulas, quotes, separators, other scripts, marks, forms of one text.
var names = []string{
	"=1+2", "+1", "-1", "@SUM(A1)", "'quoted", "''", "\"", "\"\"", "a;b", "; a", ";", "[", "[\"a\"]", "[a", "a]", ",", "a,b", "\\", "\\.",
	"null", "true", "\ufeffmark", "\u200fעברית", "العربية",
	"👩🏽\u200d🚀", "Cafe\u0301", "Caf\u00e9", "<b>&amp;", "#REF!", "%00", "a'b",
}

// texts are what a description may be beside a name.
var texts = []any{
	nil, "", "'", "\t=1", "\r", "\n", "\r\n", "a\r\nb", "\r\r\n\n", "a\r", "\r\"", "\"\r\n\"", "\"\"\r", " ends ", "\u202eabc", "\u2028", "=\r\n+",
	"\ufeff", "\xef\xbf\xbd", "[\"a\"]", "a,\r\n\"b\",\r\n",
}

// pick returns up to most of the names, in any order.
func pick(random *rand.Rand, most int) []string {
	picked := []string{}
	for _, i := range random.Perm(len(names))[:random.IntN(most+1)] {
		picked = append(picked, names[i])
	}
	return picked
}

func catalogRows(random *rand.Rand, n int) []store.CatalogRow {
	rows := make([]store.CatalogRow, n)
	for i := range rows {
		vendor := store.Fields{}
		if random.IntN(3) > 0 {
			vendor = store.Fields{store.ColumnName: names[random.IntN(len(names))], store.ColumnURL: nil}
		}
		rows[i] = store.CatalogRow{
			Fields: store.Fields{
				store.ColumnCanonicalName: names[random.IntN(len(names))], store.ColumnDescription: texts[random.IntN(len(texts))],
				store.ColumnDisplayColour: nil, store.ColumnLogo: nil, store.ColumnType: nil,
			},
			Vendor: vendor, Categories: pick(random, 3), URLPatterns: pick(random, 5), DesktopAliases: pick(random, 5),
		}
	}
	return rows
}

func collect[T any](t *testing.T, rows iter.Seq2[T, error], err error) (all []T) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}

// TestRoundTrip reads back what was written.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, f := range []rowfile.Format{rowfile.CSV, rowfile.NDJSON} {
		for range 300 {
			want := catalogRows(random, 1+random.IntN(20))
			var file bytes.Buffer
			out := bufio.NewWriter(&file)
			w := rowfile.NewCatalogWriter(out, f)
			if err := w.Begin(); err != nil {
				t.Fatal(err)
			}
			for _, row := range want {
				if err := w.Write(row); err != nil {
					t.Fatal(err)
				}
			}
			if err := out.Flush(); err != nil {
				t.Fatal(err)
			}
			whole := file.String()
			rows, err := rowfile.Catalog(strings.NewReader(whole), f)
			got := collect(t, rows, err)
			for i := range got {
				got[i].Line = 0
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s reads as\n%+v\nwant\n%+v", whole, got, want)
			}
		}
	}
}

// TestWritten has the forms of a file, byte by byte.
func TestWritten(t *testing.T) {
	t.Parallel()
	catalog := store.CatalogRow{
		Fields: store.Fields{
			store.ColumnCanonicalName: "=1+2", store.ColumnDescription: "", store.ColumnDisplayColour: "#4A154B", store.ColumnLogo: nil,
			store.ColumnType: "desktop",
		},
		Vendor:     store.Fields{store.ColumnName: "A & B, <C>", store.ColumnURL: nil},
		Categories: []string{"Work", "Play"}, URLPatterns: []string{"a;b"}, DesktopAliases: nil,
	}
	app := store.AppRow{Name: "-1", Fields: store.Fields{
		store.ColumnIsFavorite: true, store.ColumnIsApproved: false, store.ColumnLicenseCount: int32(7),
	}}
	const columns = "canonical_name,description,display_colour,logo,type,vendor,vendor_url,categories,url_patterns,desktop_aliases\n"
	for f, want := range map[rowfile.Format][2]string{
		rowfile.CSV: {
			columns + `'=1+2,',#4A154B,,desktop,"A & B, <C>",,Work;Play,"[""a;b""]",` + "\n",
			"canonical_name,is_favorite,is_approved,license_count\n'-1,true,false,7\n",
		},
		rowfile.NDJSON: {
			`{"canonical_name":"=1+2","description":"","display_colour":"#4A154B","logo":null,"type":"desktop","vendor":"A & B, <C>",` +
				`"vendor_url":null,"categories":["Work","Play"],"url_patterns":["a;b"],"desktop_aliases":[]}` + "\n",
			`{"canonical_name":"-1","is_favorite":true,"is_approved":false,"license_count":7}` + "\n",
		},
	} {
		var file bytes.Buffer
		out := bufio.NewWriter(&file)
		catalogs, apps := rowfile.NewCatalogWriter(out, f), rowfile.NewAppWriter(out, f)
		err := errors.Join(catalogs.Begin(), catalogs.Write(catalog), out.Flush())
		if found := file.String(); err != nil || found != want[0] {
			t.Errorf("%s: %v\n%s\nwant\n%s", f, err, found, want[0])
		}
		file.Reset()
		err = errors.Join(apps.Begin(), apps.Write(app), out.Flush())
		if found := file.String(); err != nil || found != want[1] {
			t.Errorf("%s: %v\n%s\nwant\n%s", f, err, found, want[1])
		}
	}
}

// TestCells reads cells as people and spreadsheets write them.
func TestCells(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string][]string{
		"":                   {},
		"'":                  {},
		"a; b ;c":            {"a", "b", "c"},
		`"[""a;b"", ""c""]"`: {"a;b", "c"},
		"[]":                 {},
		"[a; b]":             {"[a", "b]"},
		"[1]":                {"[1]"},
		`"[""a""] x"`:        {`["a"] x`},
		"'=a;b":              {"=a", "b"},
		"''a":                {"'a"},
	} {
		rows, err := rowfile.Catalog(strings.NewReader("canonical_name,url_patterns\nA,"+cell+"\n"), rowfile.CSV)
		all := collect(t, rows, err)
		if len(all) != 1 || !reflect.DeepEqual(all[0].URLPatterns, want) {
			t.Errorf("%s reads as %+v, want %q", cell, all, want)
		}
	}
	rows, err := rowfile.Apps(strings.NewReader("canonical_name,license_count,is_approved\n'A,'5,'TRUE\nB,,FALSE\n"), rowfile.CSV)
	want := []store.AppRow{
		{Line: 2, Name: "A", Fields: store.Fields{store.ColumnLicenseCount: int64(5), store.ColumnIsApproved: true}},
		{Line: 3, Name: "B", Fields: store.Fields{store.ColumnLicenseCount: nil, store.ColumnIsApproved: false}},
	}
	if all := collect(t, rows, err); !reflect.DeepEqual(all, want) {
		t.Errorf("the apps are %+v, want %+v", all, want)
	}
}

// TestRefusedCells has bytes that no text has, and quotes in the wrong place in a file with CRLF: the rows behind are read as usual.
func TestRefusedCells(t *testing.T) {
	t.Parallel()
	const (
		noText = "description must be UTF-8 text without noncharacters"
		quoted = "the row has a quote in the wrong place"
	)
	file := "canonical_name,description\r\nA,\"\xff\"\r\nB,\xfe\r\nC,x\"y\r\nD,\"a\"b\r\nE,\"a\r\nb\"\r\nF,\"a\x00\"\r\n,\r\n"
	rows, err := rowfile.Catalog(strings.NewReader(file), rowfile.CSV)
	if err != nil {
		t.Fatal(err)
	}
	var found []store.RowError
	described := map[string]any{}
	for row, err := range rows {
		if bad := (*store.RowError)(nil); errors.As(err, &bad) {
			found = append(found, *bad)
		} else if description, ok := row.Fields[store.ColumnDescription]; ok {
			described[row.Fields[store.ColumnCanonicalName].(string)] = description
		}
	}
	if len(found) != 6 {
		t.Fatalf("%d errors: %+v", len(found), found)
	}
	for i, want := range []store.RowError{
		{Line: 2, Field: "description", Message: noText},
		{Line: 3, Field: "description", Message: noText},
		{Line: 4, Message: quoted},
		{Line: 5, Message: quoted},
	} {
		if found[i] != want {
			t.Errorf("error %d is %+v, want %+v", i, found[i], want)
		}
	}
	if nul := found[4]; nul.Line != 8 || nul.Field != "description" || !strings.HasPrefix(nul.Message, "description must be") {
		t.Errorf("a NUL is %+v", nul)
	}
	if last := found[5]; last.Line != 9 || last.Field != "canonical_name" {
		t.Errorf("the last error is %+v", last)
	}
	if want := map[string]any{"E": "a\r\nb"}; !reflect.DeepEqual(described, want) {
		t.Errorf("the others are %q, want %q", described, want)
	}
}
