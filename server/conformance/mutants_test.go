package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mutation is a small way to break the server: a text that occurs once in a function, and its replacement. The function is
// a name or Type.Method, wherever in server/ and store/ it is.
type mutation struct{ name, function, old, new string }

var mutations = []mutation{
	// Routing.
	{"HEAD is not routed", "router.GET", "r.add(http.MethodHead, path, h, m)", ""},
	{"405 counts a method too few", "router.finishPath", `strings.Join(allowed, ", ")`, `strings.Join(allowed[1:], ", ")`},
	// Who may.
	{"an expired token is good", "Token.ended", "t.ExpiresAt != nil && !now.Before(*t.ExpiresAt)", "false"},
	{"a revoked token is good", "Token.ended", "t.RevokedAt != nil", "false"},
	{"a scope is as good as another", "operation.authorize", "!token.HasScope(scope)", `!token.HasScope("apps:read")`},
	{"a token is good for every client", "operation.authorize", "!token.Covers(id)", "false"},
	{"a token gives scopes that it has not", "Token.exceeds", "!other.HasScope(scope)", `scope == ""`},
	{"a token gives clients that it has not", "Token.exceeds", "return !covered[id]", "return false"},
	{"a token sees all tokens", "visibleTo", "by == nil || by.AllClients", "by == nil || by != nil"},
	{"a token sees all webhooks", "visibleWebhooks", "by == nil || by.AllClients", "by == nil || by != nil"},
	{"a token has sent out what it may not read", "handlers.UpdateWebhook", "!token.HasScope(sendScope)", "false"},
	{"no challenge", "errUnauthorized", `{"Www-Authenticate": {"Bearer"}}`, "{}"},
	{"validation comes before authorization", "Server.guard", "state.token, state.observed.TokenID = token, token.ID", "state.token, state.observed.TokenID = token, token.ID; if err := op.checkParams(c.Request(), c.Param); err != nil { return err }"},
	// The request.
	{"unknown parameters pass", "operation.parseQuery", "!op.queryNames[name]", "false"},
	{"1 is true", "canonicallySpelled", `value == "true"`, `value == "true" || value == "1"`},
	{"a UUID may have any letter", "ParseUUID", "seen < 16", "true"},
	{"media types have no parameters", "operation.supportsType", "media, _, err := mime.ParseMediaType(contentType)", "media, err := strings.ToLower(contentType), error(nil)"},
	{"a body without a type passes", "operation.readBody", `contentType == "" && len(body) > 0`, "false"},
	{"duplicate keys pass", "parser.object", "_, duplicate := object[key]", "duplicate := false"},
	{"a decoder does not look at bounds", "integerReader", "b.contain(n)", "true"},
	{"a decoder takes a field twice", "decoder.object", "seen&bit != 0", "false"},
	{"a decoder misses no field", "decoder.object", "seen&d.required == d.required", "true"},
	// What a refusal says.
	{"an unknown field is not named", "operation.bodyError", "first.Writable", "true"},
	{"null is not mentioned", "expectation", "schema.Nullable", "false"},
	{"the last bad field comes first", "Body.fieldErrors", "for _, name := range doc.Keys {", "for i := range doc.Keys { name := doc.Keys[len(doc.Keys)-1-i]"},
	// Problem details.
	{"a problem has another status", "requestState.encodeProblem", "Status: e.Status", "Status: 400"},
	{"a problem names another request", "requestState.encodeProblem", "state.requestID[0]", `string(e.Code)`},
	{"a problem has its errors twice", "requestState.encodeProblem", "p.Errors, rest.Errors = rest.Errors, nil", "p.Errors = rest.Errors"},
	{"errors do not vary by Accept", "varyByAccept", `header.Add("Vary", "Accept")`, ""},
	{"problems alone are not acceptable", "accepts", "return problem.rank == rankExact", "return problem.rank == rankNone"},
	// The patch.
	{"null is dropped", "setNullable", "fields[column] = nil", "_ = column"},
	{"null is zero", "setNull", "p.SetNull()", "p.Set(*new(T))"},
	{"the same again is a change", "Fields.patch", `IS DISTINCT FROM ?"`, `IS DISTINCT FROM ? OR 1 = 1"`},
	// Objects.
	{"two decimals", "appendApp", "a.UpdatedAt.UTC().AppendFormat(b, timeLayout)", `a.UpdatedAt.UTC().AppendFormat(b, "2006-01-02T15:04:05.00Z")`},
	{"the tag forgets the version", "App.AppendETag", "strconv.AppendInt(b, a.Version, 10)", "strconv.AppendInt(b, 1, 10)"},
	{"a weak tag matches a write", "ParseIfMatch", `!strings.HasPrefix(tag, "W/")`, `tag = strings.TrimPrefix(tag, "W/"); true`},
	// Lists and bulk.
	{"an empty page at the end", "Listing.trimExtraRow", "len(list.Rows) > p.Size", "len(list.Rows) >= p.Size"},
	{"a cursor is good for every list", "parseCursor", "cursorDigest(scope, position)) != 1", "cursorDigest(scope, position)) > 1"},
	{"a percent sign means anything", "Store.contains", `s.db.Position()+"(name_key, ?) > 0", casefold.Name(text)`, `"name_key LIKE ?", "%"+casefold.Name(text)+"%"`},
	{"a repeated id counts twice", "handlers.setApps", "!seen[id]", "true"},
	// Updates of many apps.
	{"a repeated update passes", "handlers.UpdateApps", "if seen[u.ID] {", "if seen[u.ID] && false {"},
	{"an update ignores if_match", "appUpdate.check", "u.Match.Check(app.ETag())", "nil"},
	{"half of an atomic update is made", "bulkUpdate.decide", "!b.atomic || !failed", "true"},
	{"all is atomic", "bulkUpdate.decide", "!b.atomic || !failed", "!failed"},
	{"a failure has no code", "bulkFailure", "Code: gen.BulkFailureCodeNotFound, ", ""},
	{"a bad field has no place", "operation.bodyError", "len(found) > 1 || op.body.Nested()", "len(found) > 1"},
	// Dry runs.
	{"a dry run writes", "Store.tryTx", "err != nil || isDryRun(ctx)", "err != nil"},
	{"a dry run of a patch writes", "Store.updateApp", "isDryRun(ctx)", "false"},
	{"a dry run has the tag of what is not", "Store.UpdateVendor", "isDryRun(ctx)", "false"},
	{"a dry run is no dry run", "operation.dryRun", `== "true"`, `== "yes"`},
	// Exports and imports.
	{"an export has no name", "export.writeHeader", `"Content-Disposition"`, `"X-Content-Disposition"`},
	{"an export has one format", "exportFormat", "p.q > best.q ||", "best.q < 0 ||"},
	{"an export has one order", "handlers.ExportApps", ", order: p.SortOrder", ""},
	{"an export drops a filter", "handlers.ExportApps", "IsFavorite: p.IsFavorite, ", ""},
	{"every wrong row is in line 1", "importError", "int32(row.Line)", "int32(row.Line-row.Line+1)"},
}

// TestMutationsHaveAPlace fails when a function with a mutation was renamed or rewritten without it. TestMutations runs the mutations.
func TestMutationsHaveAPlace(t *testing.T) {
	t.Parallel()
	locations, err := functions("../../server", "../../store")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		if _, _, _, err := m.mutate(locations, "mutated"); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// location is the source of a function.
type location struct {
	file       string
	text       []byte // the whole file's
	start, end int
	name, body int // the name and the first statement start here
	function   *ast.FuncDecl
}

// functions finds all functions beneath folders by their names, tests and what only tests use aside.
func functions(folders ...string) (map[string][]location, error) {
	found := map[string][]location{}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
			switch name := entry.Name(); {
			case err != nil:
				return err
			case name == "conformance" || name == "servertest" || name == "storetest":
				return filepath.SkipDir
			case entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			return functionsOf(file, found)
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func functionsOf(file string, found map[string][]location) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, declaration := range tree.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok && function.Body != nil {
			name := function.Name.Name
			if function.Recv != nil {
				name = typeName(function.Recv.List[0].Type) + "." + name
			}
			at := func(p token.Pos) int { return set.Position(p).Offset }
			found[name] = append(found[name], location{
				file, text, at(function.Pos()), at(function.End()), at(function.Name.Pos()), at(function.Body.Lbrace) + 1, function,
			})
		}
	}
	return nil
}

// typeName is the name of a receiver's type, without its star and its type parameters.
func typeName(receiver ast.Expr) string {
	switch x := receiver.(type) {
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.IndexListExpr:
		return typeName(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// mutate returns the place of the function, a copy of it with another name and the mutation, and the start of a body that calls the copy
// when MUTATION has the mutation's name.
func (m mutation) mutate(locations map[string][]location, copyName string) (p location, mutated, dispatch string, err error) {
	candidates := locations[m.function]
	if len(candidates) == 0 {
		return p, "", "", fmt.Errorf("there is no function %s", m.function)
	}
	if len(candidates) > 1 {
		errs := []error{fmt.Errorf("there are %d functions %s", len(candidates), m.function)}
		for _, p := range candidates {
			errs = append(errs, errors.New(p.file))
		}
		return p, "", "", errors.Join(errs...)
	}
	p = candidates[0]
	if n := bytes.Count(p.text[p.start:p.end], []byte(m.old)); n != 1 {
		return p, "", "", fmt.Errorf("%s: %s has this %d times, want once: %s", p.file, m.function, n, m.old)
	}
	afterName := string(p.text[p.name+len(p.function.Name.Name) : p.end])
	mutated = string(p.text[p.start:p.name]) + copyName + strings.Replace(afterName, m.old, m.new, 1)
	call, err := callOf(p.function, copyName)
	if err != nil {
		return p, "", "", fmt.Errorf("%s: %s: %w", p.file, m.function, err)
	}
	if p.function.Type.Results == nil {
		call += "; return"
	} else {
		call = "return " + call
	}
	return p, mutated, fmt.Sprintf(" if mutationOS.Getenv(%q) == %q { %s };", mutationVariable, m.name, call), nil
}

// mutationVariable has the name of the mutation that a test binary runs with.
const mutationVariable = "MUTATION"

// callOf calls a copy of a function with the function's own receiver, type parameters and parameters.
func callOf(function *ast.FuncDecl, copyName string) (string, error) {
	var receiver, types, arguments []string
	for _, list := range []struct {
		fields *ast.FieldList
		names  *[]string
	}{{function.Recv, &receiver}, {function.Type.TypeParams, &types}, {function.Type.Params, &arguments}} {
		if list.fields == nil {
			continue
		}
		for _, field := range list.fields.List {
			if len(field.Names) == 0 {
				return "", errors.New("a parameter has no name")
			}
			for _, name := range field.Names {
				if name.Name == "_" {
					return "", errors.New("a parameter has no name")
				}
				*list.names = append(*list.names, name.Name)
				if _, variadic := field.Type.(*ast.Ellipsis); variadic {
					(*list.names)[len(*list.names)-1] += "..."
				}
			}
		}
	}
	call := strings.Join(append(receiver, copyName), ".")
	if types != nil {
		call += "[" + strings.Join(types, ", ") + "]"
	}
	return call + "(" + strings.Join(arguments, ", ") + ")", nil
}
