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

// TestMutations breaks the server in each way of the table and runs TestContract against it. Each must be caught.
func TestMutations(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	places, err := functions(filepath.Join(root, "server"), filepath.Join(root, "store"))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "conformance.test")
	build(t, nil, binary)
	if out, err := try(t, binary); err != nil {
		t.Fatalf("without a mutation: %v\n%s", err, out)
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel() // one is linked, by one thread, while another is tried
			original, text, err := m.mutate(places)
			if err != nil {
				t.Fatal(err)
			}
			mutated := filepath.Join(t.TempDir(), filepath.Base(original))
			if err := os.WriteFile(mutated, text, 0o600); err != nil {
				t.Fatal(err)
			}
			mutant := filepath.Join(t.TempDir(), "conformance.test")
			build(t, map[string]string{original: mutated}, mutant)
			out, err := try(t, mutant)
			switch {
			case err == nil:
				t.Error("not caught")
			case !strings.Contains(out, "--- FAIL: TestContract"):
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// try runs the compiled test until it fails.
func try(t *testing.T, binary string) (out string, err error) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), binary, "-test.run=^TestContract$/^sqlite$", "-test.failfast").CombinedOutput()
	return string(text), err
}

// build compiles the test with other files in the place of those that they replace.
func build(t *testing.T, replace map[string]string, binary string) {
	t.Helper()
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
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
