//go:build mutations

package conformance

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutation is a small way to break the server: a text that stands once in a file, and what to put in its place.
type mutation struct{ name, file, old, new string }

var mutations = []mutation{
	// Routing.
	{"HEAD is not routed", "server/routes.go", "\tr.add(http.MethodHead, path, h, m)\n", ""},
	{"405 counts a method too few", "server/routes.go", "strings.Join(has, \", \")", "strings.Join(has[1:], \", \")"},
	// Who may.
	{"an expired token is good", "store/tokens.go", "case token.ExpiresAt != nil && !s.now().Before(*token.ExpiresAt):", "case false:"},
	{"a revoked token is good", "store/tokens.go", "case token.RevokedAt != nil:", "case false:"},
	{"a scope is as good as another", "server/auth.go", "if !token.HasScope(op.scope) {", "if !token.HasScope(\"apps:read\") {"},
	{"a token is good for every client", "server/auth.go", " || !token.Covers(id)", ""},
	{"no challenge", "server/errors.go", "{\"Www-Authenticate\": {\"Bearer\"}}", "{}"},
	{"validation comes before authorization", "server/guard.go", "\t\t\tx.token, x.observed.TokenID = token, token.ID\n", "\t\t\tx.token, x.observed.TokenID = token, token.ID\n\t\t\tif err := op.checkParams(c.Request(), c.Param); err != nil {\n\t\t\t\treturn err\n\t\t\t}\n"},
	// The request.
	{"unknown parameters pass", "server/params.go", "case !op.query[name]:", "case false:"},
	{"1 is true", "server/params.go", "return value == \"true\" || ", "return value == \"true\" || value == \"1\" || "},
	{"a UUID may have any letter", "server/validate/uuid.go", "seen < 16", "true"},
	{"media types have no parameters", "server/body.go", "media, _, err := mime.ParseMediaType(contentType)", "media, err := strings.ToLower(contentType), error(nil)"},
	{"a body without a type passes", "server/body.go", "given == \"\" && len(body) > 0", "false"},
	{"duplicate keys pass", "server/strictjson/parse.go", "_, twice := object[key]", "twice := false"},
	{"a decoder does not look at bounds", "server/validate/read.go", " && b.hold(n)", ""},
	{"a decoder takes a field twice", "server/validate/decoder.go", "seen&bit != 0", "false"},
	{"a decoder misses no field", "server/validate/decoder.go", "seen&d.required != d.required", "false"},
	// What a refusal says.
	{"an unknown field is not named", "server/body.go", " && first.Writable", ""},
	{"null is not mentioned", "server/validate/fielderror.go", "\tif schema.Nullable {", "\tif false {"},
	{"the last bad field comes first", "server/validate/fielderror.go", "for _, name := range doc.Keys {", "for i := range doc.Keys {\n\t\tname := doc.Keys[len(doc.Keys)-1-i]"},
	// The patch.
	{"null is dropped", "server/patch.go", "\t\tfields[column] = nil\n", "\t\t_ = column\n"},
	{"null is zero", "server/validate/read.go", "\t\tp.SetNull()\n", "\t\tp.Set(*new(T))\n"},
	{"the same again is a change", "store/fields.go", "IS DISTINCT FROM ?\"", "IS DISTINCT FROM ? OR 1 = 1\""},
	// Objects.
	{"two decimals", "server/render.go", "a.UpdatedAt.UTC().AppendFormat(b, timeLayout)", "a.UpdatedAt.UTC().AppendFormat(b, \"2006-01-02T15:04:05.00Z\")"},
	{"the tag forgets the version", "store/etag.go", "strconv.AppendInt(b, a.Version, 10)", "strconv.AppendInt(b, 1, 10)"},
	{"a weak tag matches a write", "server/conditional/conditional.go", "if !strings.HasPrefix(tag, \"W/\") {", "if tag = strings.TrimPrefix(tag, \"W/\"); true {"},
	// Lists and bulk.
	{"an empty page at the end", "store/keyset/page.go", "if len(list.Rows) > p.Size {", "if len(list.Rows) >= p.Size {"},
	{"a cursor is good for every list", "server/page.go", "cursorSum(scope, position)) != 1", "cursorSum(scope, position)) > 1"},
	{"a percent sign means anything", "store/list.go", "s.db.position()+\"(name_key, ?) > 0\", fold.Name(text)", "\"name_key LIKE ?\", \"%\"+fold.Name(text)+\"%\""},
	{"a repeated id counts twice", "server/bulk.go", "if !seen[id] {", "if true {"},
}

// TestMutations breaks the server in each way of the table and runs TestContract against it. Each must be caught.
func TestMutations(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "conformance.test")
	mutation{file: "server/doc.go"}.build(t, root, binary)
	if out, err := try(t, binary); err != nil {
		t.Fatalf("without a mutation: %v\n%s", err, out)
	}
	caught := 0
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			m.build(t, root, binary)
			out, err := try(t, binary)
			switch {
			case err == nil:
				t.Error("not caught")
			case !strings.Contains(out, "--- FAIL: TestContract"):
				t.Errorf("%v: %s", err, out)
			default:
				caught++
			}
		})
	}
	t.Logf("%d of %d mutations were caught", caught, len(mutations))
}

// try runs the compiled test until it fails.
func try(t *testing.T, binary string) (out string, err error) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), binary, "-test.run=^TestContract$/^sqlite$", "-test.failfast").CombinedOutput()
	return string(text), err
}

// build compiles the test with the mutated file in the place of the real one.
func (m mutation) build(t *testing.T, root, binary string) {
	t.Helper()
	original := filepath.Join(root, m.file)
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.old); n != 1 && m.old != "" {
		t.Fatalf("%s has the text %d times, want once: %s", m.file, n, m.old)
	}
	mutated := filepath.Join(t.TempDir(), filepath.Base(m.file))
	if err := os.WriteFile(mutated, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", file, "-o", binary, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
}
