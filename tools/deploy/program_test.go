package deploy

import (
	"context"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is the path of the binary, which make build builds once for all tests.
var program string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	// Paths are as deploy/ sees them.
	if err := os.Chdir("../../deploy"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "clientapps-deploy")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "clientapps")
	build := exec.CommandContext(context.Background(), "make", "--silent", "-C", "..", "build", "OUT="+program, "VERSION=v1.2.3-test", "COMMIT=0123abc")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "make build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// clientapps runs the program with an environment that has only the given variables, and returns its output.
func clientapps(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// TestStatic checks that the program needs no files of the system: no dynamic loader and no libraries.
func TestStatic(t *testing.T) {
	t.Parallel()
	wantStatic(t, program)
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" || !strings.HasSuffix(settings["-pgo"], "default.pgo") {
		t.Errorf("built with %v", settings)
	}
}

func wantStatic(t *testing.T, path string) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, header := range file.Progs {
		if header.Type == elf.PT_INTERP || header.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static: it has a %v", path, header.Type)
		}
	}
	if libraries, err := file.ImportedLibraries(); err == nil && len(libraries) > 0 {
		t.Errorf("%s needs %v", path, libraries)
	}
}

func TestStamped(t *testing.T) {
	t.Parallel()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	want := "clientapps v1.2.3-test\ncommit 0123abc\n" + info.GoVersion
	if got, err := clientapps(t, nil, "version"); err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// exitCode runs the program and returns its exit code and its output.
func exitCode(t *testing.T, env []string, args ...string) (int, string) {
	t.Helper()
	out, err := clientapps(t, env, args...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), out
	} else if err != nil {
		t.Fatal(err)
	}
	return 0, out
}

// startServer serves on a new SQLite database until the test ends, and returns the URL.
func startServer(t *testing.T) string {
	t.Helper()
	return serveOn(t, "sqlite://"+filepath.Join(t.TempDir(), "clientapps.db"))
}

// serveOn serves on a database until the test ends, and returns the URL when the server is ready.
func serveOn(t *testing.T, databaseURL string) string {
	t.Helper()
	addr := freeAddr(t)
	cmd := exec.CommandContext(t.Context(), program, "serve", "--addr", addr, "--rate-limit", "0")
	cmd.Env = []string{"CLIENTAPPS_DATABASE_URL=" + databaseURL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if !within(func() bool { return status(t, "http://"+addr+"/readyz") == 200 }) {
		t.Fatal("the server is not ready")
	}
	return "http://" + addr
}
