package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// runImport runs `clientapps import` on a database.
func runImport(t *testing.T, url, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr strings.Builder
	code := run(t.Context(), &process{
		args: append([]string{"import"}, args...), environ: []string{"CLIENTAPPS_DATABASE_URL=" + url},
		stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr,
	})
	return outcome{code, stdout.String(), stderr.String()}
}

// fileOf writes a temporary file with this name, and returns its path.
func fileOf(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lookup queries rows of text, without the store.
func lookup(t *testing.T, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var found []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		found = append(found, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func wantResult(t *testing.T, got, want outcome) {
	t.Helper()
	if got != want {
		t.Errorf("exit code %d\nstdout %s\nstderr %s\nwant %d\n%s\n%s", got.code, got.stdout, got.stderr, want.code, want.stdout, want.stderr)
	}
}

const catalogCSV = "\xef\xbb\xbf" + `vendor,canonical_name,categories,vendor_url,type,desktop_aliases
"Salesforce, Inc.",Slack,Communication;Work,https://www.salesforce.com,desktop,slack.exe;Slack
Zoom Communications,"Zoom ""Workplace""",communication,,,

,Plain,,,,
`

const catalogNDJSON = `{"canonical_name":"Slack","vendor":"salesforce, inc.","categories":["Work","Communication"],"type":"desktop"}

{"canonical_name":"Zoom \"Workplace\"","desktop_aliases":[]}
{"canonical_name":"Plain","description":null}`

// entries shows the catalog, one line for each app.
const entries = `SELECT canonical_name || ' | ' || coalesce(type, '') || ' | ' || coalesce(v.name || ' ' || coalesce(v.url, '-'), '') || ' | ' ||
	(SELECT count(*) FROM catalog_app_categories AS c WHERE c.catalog_app_id = a.id) || ' categories' || ' | ' ||
	(SELECT count(*) FROM catalog_desktop_aliases AS d WHERE d.catalog_app_id = a.id) || ' aliases'
	FROM catalog_apps AS a LEFT JOIN catalog_vendors AS v ON v.id = a.vendor_id ORDER BY a.name_key`

func TestImportCatalogCommand(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		csv := fileOf(t, "catalog.CSV", strings.ReplaceAll(catalogCSV, "\n", "\r\n"))
		created := "3 rows: 3 created, 0 updated, 0 unchanged; vendors: 2 created, 0 updated; categories: 2 created"
		unchanged := "3 rows: 0 created, 0 updated, 3 unchanged; vendors: 0 created, 0 updated; categories: 0 created\n"
		wantResult(t, runImport(t, url, "", "catalog", "--dry-run", csv), outcome{stdout: created + "; dry run: nothing was written\n"})
		db := storetest.SQL(t, url)
		if found := lookup(t, db, entries); found != nil {
			t.Errorf("after a dry run the catalog has %q", found)
		}
		wantResult(t, runImport(t, url, "", "catalog", csv), outcome{stdout: created + "\n"})
		shows := []string{
			`Plain |  |  | 0 categories | 0 aliases`,
			`Slack | desktop | Salesforce, Inc. https://www.salesforce.com | 2 categories | 2 aliases`,
			`Zoom "Workplace" |  | Zoom Communications - | 1 categories | 0 aliases`,
		}
		if found := lookup(t, db, entries); !slices.Equal(found, shows) {
			t.Errorf("the catalog has %q, want %q", found, shows)
		}
		actors := lookup(t, db, "SELECT DISTINCT actor_name || ' ' || length(request_id) FROM catalog_changes")
		if want := []string{"clientapps import 36"}; !slices.Equal(actors, want) {
			t.Errorf("the history of the catalog is by %q, want %q", actors, want)
		}
		revision := lookup(t, db, "SELECT CAST(revision AS text) FROM catalog_state")
		wantResult(t, runImport(t, url, "", "catalog", csv), outcome{stdout: unchanged})
		wantResult(t, runImport(t, url, "", "catalog", fileOf(t, "catalog.ndjson", catalogNDJSON)), outcome{stdout: unchanged})
		wantResult(t, runImport(t, url, catalogNDJSON, "catalog", "--format", "ndjson", "-"), outcome{stdout: unchanged})
		if now := lookup(t, db, "SELECT CAST(revision AS text) FROM catalog_state"); !slices.Equal(now, revision) {
			t.Errorf("the catalog's revision is %v after imports that changed nothing, was %v", now, revision)
		}
	})
}

func TestImportRefusesFiles(t *testing.T) {
	t.Parallel()
	refusal := func(stderr ...string) outcome { return outcome{code: 1, stderr: strings.Join(stderr, "\n") + "\n"} }
	columns := "canonical_name, categories, description, desktop_aliases, display_colour, logo, type, url_patterns, vendor, vendor_url"
	name := "canonical_name must be 1 to 200 characters long, one of them visible, without control characters, changes of direction or white space at the ends"
	many, listed := "", []string(nil)
	for line := 1; line <= 250; line++ {
		many += "{}\n"
		if line <= 100 {
			listed = append(listed, fmt.Sprintf("line %d: canonical_name is required", line))
		}
	}
	cases := []struct {
		format, content string
		want            outcome
	}{
		{
			"csv",
			"canonical_name,display_colour,description\nSlack,red,\"two\nlines\"\n\nZoom,#000000\nsLACK,,\n\"Ji\"ra,,\nJira ,blue,\nFigma,\"#12345\",x\n",
			refusal(
				"line 2: display_colour must be a colour as #RRGGBB", "line 5: the row has 2 cells, want 3",
				`line 6: canonical_name "sLACK" is on line 2 already`, "line 7: the row has a quote in the wrong place",
				"line 8: "+name, "line 8: display_colour must be a colour as #RRGGBB",
				"line 9: display_colour must be a colour as #RRGGBB", "clientapps: -: 7 errors, nothing was written",
			),
		},
		{
			"ndjson",
			"{\"canonical_name\":\"Slack\",\"type\":\"A\"}\n\n{\"canonical_name\":\"SLACK\"}\n{\n" + `{"canonical_name":"Zoom","vendor_url":"https://zoom.us"}`,
			refusal(
				"line 1: type must be a short lower-case word", `line 3: canonical_name "SLACK" is on line 1 already`,
				"line 4: the row is not valid JSON at byte 2", "line 5: vendor_url needs a vendor",
				"clientapps: -: 4 errors, nothing was written",
			),
		},
		{
			"ndjson",
			`{"canonical_name":"A","vendor":"V","vendor_url":"https://a.example"}` + "\n" + `{"canonical_name":"B","vendor":"v","vendor_url":null}`,
			refusal(
				"line 2: vendor_url is not the one that line 1 gives the same vendor",
				"clientapps: -: 1 error, nothing was written",
			),
		},
		{
			"ndjson", "{\"canonical_name\":\"A\ufffe\"}\n" + `{"canonical_name":"B","description":"\ufdd0"}`,
			refusal(
				"line 1: the row has the noncharacter U+FFFE", "line 2: the row has the noncharacter U+FDD0",
				"clientapps: -: 2 errors, nothing was written",
			),
		},
		{
			"csv", "canonical_name,description\nA\ufffe,\xff\nB,x\ufdd0\n",
			refusal(
				"line 2: canonical_name must be UTF-8 text without noncharacters", "line 2: description must be UTF-8 text without noncharacters",
				"line 3: description must be UTF-8 text without noncharacters",
				"clientapps: -: 3 errors, nothing was written",
			),
		},
		{
			"csv", "canonical_name,vendor,categories,url_patterns,desktop_aliases\n\u3000,a\u0085b,\"a;b\u202ec\",\u200b,a\u2028b\n",
			refusal(
				"line 2: "+name, "line 2: "+strings.Replace(name, "canonical_name", "vendor", 1), "line 2: "+strings.Replace(name, "canonical_name", "categories[1]", 1),
				"line 2: url_patterns[0] must be 1 to 400 characters long, one of them visible, without control characters or changes of direction",
				"line 2: desktop_aliases[0] must be 1 to 200 characters long, one of them visible, without control characters or changes of direction",
				"clientapps: -: 5 errors, nothing was written",
			),
		},
		{"ndjson", many, refusal(append(listed, "and 150 more", "clientapps: -: 250 errors, nothing was written")...)},
		{"csv", "", refusal("line 1: the names of the columns are missing", "clientapps: -: 1 error, nothing was written")},
		{"csv", "canonical_name,name\nSlack,x\n", refusal(`line 1: unknown column "name"; known columns are `+columns, "clientapps: -: 1 error, nothing was written")},
		{"csv", "type,type,canonical_name\n", refusal("line 1: the column type occurs twice", "clientapps: -: 1 error, nothing was written")},
		{"csv", "\ntype\nweb\n", refusal("line 2: the column canonical_name is missing", "clientapps: -: 1 error, nothing was written")},
		{"csv", "canonical_name\n\"Slack\nZoom\n", refusal("line 2: the row has a quote in the wrong place", "clientapps: -: 1 error, nothing was written")},
		{
			"csv", "canonical_name\n\"A\n\"\"B\"\n\"Slack\n" + strings.Repeat("0123456789,\n", 200_000),
			refusal(
				"line 2: "+name, "line 4: the row is longer than 1048576 bytes: is a closing quote missing?",
				"clientapps: -: 2 errors, nothing was written",
			),
		},
		{
			"ndjson", "{\"canonical_name\":\"" + strings.Repeat("A", 2<<20) + "\"}\n{}\n",
			refusal(
				"line 1: the row is longer than 1048576 bytes", "line 2: canonical_name is required",
				"clientapps: -: 2 errors, nothing was written",
			),
		},
	}
	storetest.Each(t, func(t *testing.T, url string) {
		for _, c := range cases {
			wantResult(t, runImport(t, url, c.content, "catalog", "--format", c.format, "-"), c.want)
		}
		if found := lookup(t, storetest.SQL(t, url), entries); found != nil {
			t.Errorf("the catalog has %q", found)
		}
	})
}

func TestImportAppsCommand(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url)
		if err := s.Seed(t.Context(), storetest.Page()); err != nil {
			t.Fatal(err)
		}
		catalog := "canonical_name\nFigma\nJira\n"
		if r := runImport(t, url, catalog, "catalog", "--format", "csv", "-"); r.code != 0 {
			t.Fatal(r.stderr)
		}
		csv := fileOf(t, "apps.csv", "license_count,canonical_name,is_approved\n50,FIGMA,TRUE\n,jira,false\n7,Slack,false\n")
		before := lookup(t, storetest.SQL(t, url), "SELECT request_id FROM app_changes")
		summary := regexp.MustCompile(`^3 rows: 2 created, 1 updated, 0 unchanged; request id ([0-9a-f-]{36})(; dry run: nothing was written)?\n$`)
		for _, flags := range [][]string{{"--dry-run"}, nil} {
			args := append(append([]string{"apps", "--client", storetest.ClientID.String()}, flags...), csv)
			r := runImport(t, url, "", args...)
			found := summary.FindStringSubmatch(r.stdout)
			if r.code != 0 || r.stderr != "" || found == nil || (found[2] != "") != (flags != nil) {
				t.Fatalf("the import ends with %+v", r)
			}
			id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("clientapps:actor/clientapps import"))
			written := lookup(t, storetest.SQL(t, url), `SELECT field || ' ' || old_value || ' ' || new_value FROM app_changes
				WHERE client_id = $1 AND request_id = $2 AND actor_id = $3 AND actor_name = 'clientapps import' AND field <> 'app'
				ORDER BY field, new_value`, storetest.ClientID.String(), found[1], id.String())
			entries := []string{"is_approved false true", "license_count null 50", "license_count null 7"}
			if flags != nil {
				entries = nil
			}
			if !slices.Equal(written, entries) {
				t.Errorf("after %v the history of this request is %q, want %q", args, written, entries)
			}
		}
		again := runImport(t, url, "", "apps", "--client", storetest.ClientID.String(), csv)
		if !strings.HasPrefix(again.stdout, "3 rows: 0 created, 0 updated, 3 unchanged;") {
			t.Errorf("the second import ends with %+v", again)
		}
		if n := len(lookup(t, storetest.SQL(t, url), "SELECT request_id FROM app_changes")); n != len(before)+5 {
			t.Errorf("the history has %d entries, want 5 more than %d", n, len(before))
		}
		// Two clients have the app of the reference page. The other client's app has not changed.
		other, err := s.GetApp(t.Context(), store.AppKey{ClientID: storetest.OtherClientID, ID: storetest.OtherAppID})
		if err != nil || other.Version != 1 {
			t.Errorf("the other client's app is %+v, error %v", other, err)
		}
		wantResult(t, runImport(t, url, "canonical_name\nSlack\nNotion\n", "apps", "--client", storetest.ClientID.String(), "--format", "csv", "-"), outcome{
			code: 1, stderr: "line 3: canonical_name \"Notion\" is not in the catalog\nclientapps: -: 1 error, nothing was written\n",
		})
		unknown := uuid.Nil.String()
		wantResult(t, runImport(t, url, "", "apps", "--client", unknown, csv), outcome{code: 1, stderr: "clientapps: Client " + unknown + " not found\n"})
	})
}

// TestImportInTwoForms checks that names which differ only in normalization are equal, within a file and in the database.
func TestImportInTwoForms(t *testing.T) {
	t.Parallel()
	const composed, decomposed = "Caf\u00e9", "Cafe\u0301"
	storetest.Each(t, func(t *testing.T, url string) {
		if err := storetest.Open(t, url).Seed(t.Context(), storetest.Page()); err != nil {
			t.Fatal(err)
		}
		row := func(name string) string {
			return `{"canonical_name":"` + name + `","vendor":"` + name + `","categories":["` + name + `"]}` + "\n"
		}
		twice := runImport(t, url, row(composed)+row(decomposed), "catalog", "--format", "ndjson", "-")
		if want := fmt.Sprintf("line 2: canonical_name %q is on line 1 already\n", decomposed); twice.code != 1 || !strings.HasPrefix(twice.stderr, want) {
			t.Errorf("%+v", twice)
		}
		wantResult(t, runImport(t, url, row(decomposed), "catalog", "--format", "ndjson", "-"), outcome{
			stdout: "1 rows: 1 created, 0 updated, 0 unchanged; vendors: 1 created, 0 updated; categories: 1 created\n",
		})
		wantResult(t, runImport(t, url, row(composed), "catalog", "--format", "ndjson", "-"), outcome{
			stdout: "1 rows: 0 created, 1 updated, 0 unchanged; vendors: 0 created, 0 updated; categories: 0 created\n",
		})
		if found := lookup(t, storetest.SQL(t, url), "SELECT canonical_name FROM catalog_apps WHERE name_key LIKE 'caf%'"); !slices.Equal(found, []string{composed}) {
			t.Errorf("the catalog has %+q", found)
		}
		for i, name := range []string{decomposed, composed} {
			apps := runImport(t, url, `{"canonical_name":"`+name+`"}`, "apps", "--client", storetest.ClientID.String(), "--format", "ndjson", "-")
			if want := []string{"1 rows: 1 created, 0 updated, 0 unchanged", "1 rows: 0 created, 0 updated, 1 unchanged"}[i]; !strings.HasPrefix(apps.stdout, want) {
				t.Errorf("%+q: %+v", name, apps)
			}
		}
	})
}

func TestImportMisused(t *testing.T) {
	t.Parallel()
	url := "sqlite://" + filepath.Join(t.TempDir(), "none.db")
	csv := fileOf(t, "catalog.csv", "canonical_name\nSlack\n")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"catalog"}, 2, "clientapps: usage"},
		{[]string{"catalog", csv, "--dry-run"}, 1, "run clientapps migrate up"},
		{[]string{"catalog", "-"}, 2, "--format"},
		{[]string{"catalog", "catalog.xlsx"}, 2, "--format"},
		{[]string{"catalog", "--format", "xml", csv}, 2, `"xml" is not one of csv, ndjson`},
		{[]string{"apps", csv}, 2, "--client"},
		{[]string{"apps", "--client", "Contoso", csv}, 2, "--client"},
		{[]string{"catalog", csv + "x.csv"}, 1, "no such file"},
		{[]string{"catalog", csv}, 1, "run clientapps migrate up"},
	} {
		if r := runImport(t, url, "", c.args...); r.code != c.code || !strings.Contains(r.stderr, c.says) || r.stdout != "" {
			t.Errorf("import %v ends with %+v, want code %d and %q", c.args, r, c.code, c.says)
		}
	}
}
