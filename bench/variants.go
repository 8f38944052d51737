package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/clientapps/clientapps/bench/overlay"
)

// variant is our server with a change for which it has no setting. It is built from the same checkout with other flags, or with files
// that are changed only for this build.
type variant struct {
	name   string
	flags  []string // flags of go build
	change func(ctx context.Context, h *harness, o *overlay.Overlay) error
}

func variants() []variant {
	return []variant{
		{name: "ours-unchecked", change: disableValidation},
		{name: "ours-paths", change: morePaths},
		{name: "ours-no-pgo", flags: []string{"-pgo=off"}},
		{name: "ours-sqlite-normal", change: synchronousNormal},
	}
}

// buildVariant builds one variant.
func (h *harness) buildVariant(ctx context.Context, v variant) error {
	flags := v.flags
	if v.change != nil {
		o, err := overlay.New(h.product)
		if err != nil {
			return err
		}
		if err := v.change(ctx, h, o); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		list, err := o.Write(h.path(v.name + ".overlay"))
		if err != nil {
			return err
		}
		flags = append(flags, "-overlay="+list)
	}
	return h.build(ctx, h.product, "./cmd/clientapps", v.name, flags...)
}

// disableValidation removes validation: parameters are not checked, and the generated code decodes the body, as in a server without a
// validator.
func disableValidation(_ context.Context, _ *harness, o *overlay.Overlay) error {
	for function, statement := range map[string]string{
		"func (op *operation) checkParams(r *http.Request, pathValue func(string) string) error {": "return nil",
		"func (op *operation) checkBody(r *http.Request, text []byte) (nodes int, err error) {":    "return 0, pass(r, text)",
		"func (binder) Bind(target any, c echo.Context) error {":                                   "return json.NewDecoder(c.Request().Body).Decode(target)",
	} {
		if err := o.InsertAtStart("server", function, statement); err != nil {
			return err
		}
	}
	o.Add("server/bench_unchecked.go", `package server

import (
	"bytes"
	"io"
	"net/http"
)

func pass(r *http.Request, body []byte) error {
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
`)
	return o.Replace("server/guard.go", "import (", "import (\n\t\"encoding/json\"")
}

// synchronousNormal flushes at the next checkpoint only.
func synchronousNormal(_ context.Context, _ *harness, o *overlay.Overlay) error {
	return o.Replace("store/sqlite/sqlite.go", `"synchronous(FULL)"`, `"synchronous(NORMAL)"`)
}

// extraPaths is the number of paths that morePaths adds.
const extraPaths = 80

// morePaths adds paths like that of an app to the contract, generates the code again and implements them.
func morePaths(ctx context.Context, h *harness, o *overlay.Overlay) error {
	contract, err := os.ReadFile(filepath.Join(h.product, "openapi.yaml")) //nolint:gosec // of the checkout
	if err != nil {
		return err
	}
	config, err := os.ReadFile(filepath.Join(h.product, "oapi-codegen.yaml")) //nolint:gosec // of the checkout
	if err != nil {
		return err
	}
	const output = "gen/api.gen.go"
	paths, handlers := extra()
	before, after, found := strings.Cut(string(contract), "\npaths:\n")
	if !found || !strings.Contains(string(config), "output: "+output+"\n") {
		return fmt.Errorf("the contract has no paths, or its generator does not write %s", output)
	}
	dir, err := os.MkdirTemp(h.dir, "paths")
	if err != nil {
		return err
	}
	generated := filepath.Join(dir, "api.gen.go")
	for name, text := range map[string]string{
		"openapi.yaml": before + "\npaths:\n" + paths + after,
		"config.yaml":  strings.Replace(string(config), "output: "+output, "output: "+generated, 1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil { //nolint:gosec // our own directory
			return err
		}
	}
	// As tools/generate-go does, and make generate.
	ordered, err := render(ctx, h, filepath.Join(dir, "openapi.yaml"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ordered.json"), ordered, 0o600); err != nil { //nolint:gosec // our own directory
		return err
	}
	generate := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/go.mod", "oapi-codegen", //nolint:gosec // ours
		"--config", filepath.Join(dir, "config.yaml"), filepath.Join(dir, "ordered.json"))
	generate.Dir = h.product
	if out, err := generate.CombinedOutput(); err != nil {
		return fmt.Errorf("generate: %w\n%s", err, out)
	}
	code, err := os.ReadFile(generated) //nolint:gosec // written above
	if err != nil {
		return err
	}
	o.Add(output, string(code))
	if _, err := render(ctx, h, filepath.Join(dir, "openapi.yaml"), dir); err != nil {
		return err
	}
	document, err := os.ReadFile(filepath.Join(dir, "openapi.json")) //nolint:gosec // written by render
	if err != nil {
		return err
	}
	o.Add("gen/openapi.json", string(document))
	o.Add("server/bench_paths.go", handlers)
	return nil
}

// render runs tools/render, which prints what the generator reads or, with a folder, writes the published documents there.
func render(ctx context.Context, h *harness, args ...string) ([]byte, error) {
	args = append([]string{"run", "-C", filepath.Join(h.product, "tools"), "./render"}, args...)
	out, err := exec.CommandContext(ctx, "go", args...).Output() //nolint:gosec // ours
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return out, nil
}

// extra returns the paths and their handlers.
func extra() (paths, handlers string) {
	var contract, code strings.Builder
	code.WriteString("package server\n\nimport (\n\t\"context\"\n\n\t\"github.com/clientapps/clientapps/gen\"\n)\n")
	for n := range extraPaths {
		fmt.Fprintf(&contract, `  /clients/{client_id}/apps%02[1]d/{app_id}:
    parameters:
      - $ref: '#/components/parameters/ClientID'
      - $ref: '#/components/parameters/AppID'
    patch:
      operationId: extra%02[1]d
      tags: [Apps]
      security:
        - bearerAuth: ['apps:write']
      parameters:
        - $ref: '#/components/parameters/IfMatch'
      requestBody:
        $ref: '#/components/requestBodies/AppPatch'
      responses:
        '204':
          description: Done.
`, n)
		fmt.Fprintf(&code, `
func (*handlers) Extra%02[1]d(context.Context, gen.Extra%02[1]dRequestObject) (gen.Extra%02[1]dResponseObject, error) {
	return gen.Extra%02[1]d204Response{}, nil
}
`, n)
	}
	return contract.String(), code.String()
}
