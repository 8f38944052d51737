//go:build mutations

package conformance

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMutations breaks the server in each way of the table and runs TestContract against it. Each must be caught. One binary has all
// mutations, since to compile and link one takes longer than to try it; MUTATION chooses.
func TestMutations(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	locations, err := functions(filepath.Join(root, "server"), filepath.Join(root, "store"))
	if err != nil {
		t.Fatal(err)
	}
	mutated, err := mutateAll(locations)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "conformance.test")
	build(t, mutated, binary)
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		if out, err := runMutation(t, binary, ""); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			out, err := runMutation(t, binary, m.name)
			switch {
			case err == nil:
				t.Error("not caught")
			case !strings.Contains(out, "--- FAIL: TestContract"):
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// runMutation runs the compiled test with a mutation until it fails.
func runMutation(t *testing.T, binary, mutation string) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestContract$/^sqlite$", "-test.failfast")
	cmd.Env = append(os.Environ(), mutationVariable+"="+mutation)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// build compiles the test with other texts of files.
func build(t *testing.T, texts map[string][]byte, binary string) {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for file, text := range texts {
		replace[file] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[file], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", file, "-o", binary, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
}

// mutateAll returns the text of each file that has a function with mutations. The mutated copies stand at its end.
func mutateAll(locations map[string][]location) (map[string][]byte, error) {
	type insertion struct {
		at   int
		text string
	}
	texts, insertions := map[string][]byte{}, map[string][]insertion{}
	for i, m := range mutations {
		p, mutated, dispatch, err := m.mutate(locations, fmt.Sprintf("mutation%d", i))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		texts[p.file] = p.text
		insertions[p.file] = append(insertions[p.file], insertion{p.body, dispatch}, insertion{len(p.text), "\n" + mutated + "\n"})
	}
	for file, text := range texts {
		tree, err := parser.ParseFile(token.NewFileSet(), file, text, parser.PackageClauseOnly)
		if err != nil {
			return nil, err
		}
		all := append([]insertion{{int(tree.Name.End()) - 1, `; import mutationOS "os"`}}, insertions[file]...)
		slices.SortStableFunc(all, func(a, b insertion) int { return b.at - a.at })
		for _, in := range all {
			text = slices.Insert(slices.Clone(text), in.at, []byte(in.text)...)
		}
		texts[file] = text
	}
	return texts, nil
}
