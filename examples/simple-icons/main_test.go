package main

import (
	"os"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/rowfile"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/casefold"
)

func TestConvert(t *testing.T) {
	t.Parallel()
	sample, err := os.Open("testdata/simple-icons.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sample.Close() }()
	var out strings.Builder
	if err := convert(sample, &out); err != nil {
		t.Fatal(err)
	}
	const want = `canonical_name,display_colour
AT&T,#009FDB
Backstage,#9BF0E1
Backstage (backstage_casting),#000000
BACKSTAGE (backstage_three),#0000FF
Škoda,#0E3A2F
Uniqlo,#FF0000
Uniqlo (uniqlo_ja),#FF0000
`
	if out.String() != want {
		t.Errorf("the catalog is\n%s\nwant\n%s", out.String(), want)
	}
	// The rules that an import checks its rows against.
	rows, err := rowfile.Catalog(strings.NewReader(out.String()), rowfile.CSV)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for row, err := range rows {
		if err != nil {
			t.Error(err)
			continue
		}
		name, _ := row.Fields[store.ColumnCanonicalName].(string)
		if names[casefold.Name(name)] {
			t.Errorf("the name %q occurs twice", name)
		}
		names[casefold.Name(name)] = true
	}
	if len(names) != strings.Count(want, "\n")-1 {
		t.Errorf("the catalog has %d rows", len(names))
	}
}

func TestConvertRefusals(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"":   "read standard input",
		"{}": "read standard input",
		`[{"title":"A","slug":"b"},{"title":"a","slug":"b"},{"title":"A (B)","slug":"c"}]`: "two brands called a (b)",
		`[{"title":"A","slug":"b"},{"title":"a","slug":"b"},{"title":"A","slug":"b"}]`:     "two brands called A (b)",
	} {
		if err := convert(strings.NewReader(text), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s gives the error %v, want %q", text, err, says)
		}
	}
}
