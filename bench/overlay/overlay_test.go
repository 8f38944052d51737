package overlay

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A file of a program is changed and another added, for one build.
func TestBuild(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module example.com/x\n",
		"main.go":      "package main\n\nfunc main() { print(word(), more()) }\n\nfunc more() string { return \"\" }\n",
		"sub/other.go": "package sub\n",
		"word.go":      "package main\n\nfunc word() string {\n\treturn \"old\"\n}\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.InsertAtStart(".", "func word() string {", `return "new" + added`); err != nil {
		t.Fatal(err)
	}
	if err := o.Replace("main.go", `return ""`, `return "."`); err != nil {
		t.Fatal(err)
	}
	o.Add("added.go", "package main\n\nconst added = \"er\"\n")
	list, err := o.Write(filepath.Join(t.TempDir(), "changes"))
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, root, "-overlay", list); got != "newer." {
		t.Errorf("with the overlay: %q", got)
	}
	if got := run(t, root); got != "old" {
		t.Errorf("without: %q", got)
	}
}

// run builds the program with these flags and returns its output.
func run(t *testing.T, root string, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	build := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", program}, flags...), ".")...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// A change that matches nothing is an error. Otherwise the server would be compared with itself.
func TestWhatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	text := "package x\n\nfunc f() {\n}\n\nvar a, b = 1, 1\n"
	if err := os.WriteFile(filepath.Join(root, "x.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	if o.InsertAtStart(".", "func g() {", "return") == nil {
		t.Error("no error for a missing function")
	}
	if o.Replace("x.go", "nothing", "") == nil || o.Replace("x.go", "1", "2") == nil || o.Replace("y.go", "1", "2") == nil {
		t.Error("no error for a text that does not occur exactly once")
	}
}
