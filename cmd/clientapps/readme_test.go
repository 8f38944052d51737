package main

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced code block of a page.
type block struct{ language, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

func blocksOf(t *testing.T, page string) []block {
	t.Helper()
	var blocks []block
	for _, found := range fence.FindAllStringSubmatch(read(t, page), -1) {
		blocks = append(blocks, block{found[1], found[2]})
	}
	return blocks
}

// TestCommandLines runs the commands of a page in order, and compares their output with the answers on the page.
func TestCommandLines(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]int{
		"docs/bulk.md": 4, "docs/import-export.md": 4, "docs/mcp.md": 2, "docs/shell.md": 13, "docs/discovery.md": 1,
		"README.md": 1, "docs/first-look.md": 7, // the reference page has five requests and two errors
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			testCommandLines(t, page, want)
		})
	}
}

func testCommandLines(t *testing.T, page string, want int) {
	t.Helper()
	flags := []string{"--demo"}
	if page == "docs/mcp.md" {
		flags = append(flags, "--mcp")
	}
	demo := startServe(t, storetest.SQLite(t), flags...)
	blocks, answers, dir, environ := blocksOf(t, page), 0, t.TempDir(), environment(t, demo.URL)
	for i, b := range blocks {
		if b.language != "sh" {
			continue
		}
		shell := strings.ReplaceAll(b.text, "http://127.0.0.1:8080", demo.URL)
		command := exec.CommandContext(t.Context(), "sh", "-euc", shell)
		command.Dir, command.Env = dir, environ
		out, err := command.Output()
		if err != nil {
			t.Errorf("%s: %v", b.text, err)
		}
		if answer := blocks[i+1].language; answer != "json" && answer != "csv" && answer != "text" {
			t.Fatalf("the page shows no answer to %s", b.text)
		}
		answers++
		out = bytes.ReplaceAll(out, []byte(demo.URL), []byte("http://127.0.0.1:8080"))
		if lastUpdate.ReplaceAllString(string(out), "") != lastUpdate.ReplaceAllString(blocks[i+1].text, "") {
			t.Errorf("%s printed\n%s\nbut the page shows\n%s", b.text, out, blocks[i+1].text)
		}
	}
	if answers != want {
		t.Errorf("%d examples, want %d", answers, want)
	}
}

// TestReadmeProduction runs the README's commands for production, on PostgreSQL and on a free port, and stops the server with a signal.
func TestReadmeProduction(t *testing.T) {
	t.Parallel()
	blocks := blocksOf(t, "README.md")
	i := slices.IndexFunc(blocks, func(b block) bool { return b.language == "bash" })
	if i < 0 {
		t.Fatal("no block")
	}
	shell := blocks[i].text
	for _, change := range [][2]string{
		{"postgres://clientapps@db.internal/clientapps", "'" + storetest.EmptyPostgres(t) + "'"},
		{"make build\n", ""},
		{"0.0.0.0:8080", "127.0.0.1:0"},
		{"./clientapps serve", "echo \"client $CLIENT token $TOKEN\"\nexec ./clientapps serve"},
	} {
		if strings.Count(shell, change[0]) != 1 {
			t.Fatalf("want %q exactly once in\n%s", change[0], shell)
		}
		shell = strings.Replace(shell, change[0], change[1], 1)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "clientapps")); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr output
	script := exec.CommandContext(t.Context(), "sh", "-euc", shell)
	script.Dir, script.Stdout, script.Stderr = dir, &stdout, &stderr
	script.Env = []string{"PATH=" + os.Getenv("PATH"), asCommand + "=1"}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Log(stderr.String())
		}
	}()
	var addr []string
	eventually(t, func() bool {
		addr = addrPattern.FindStringSubmatch(stderr.String())
		return addr != nil
	})
	made := regexp.MustCompile(`client (\S+) token (\S+)\n`).FindStringSubmatch(stdout.String())
	if made == nil {
		t.Fatalf("printed %s", stdout.String())
	}
	client := &servertest.Client{URL: "http://" + addr[1], Token: made[2]}
	if got := client.Get(t, "/v2/clients/"+made[1]+"/apps"); got.Status != http.StatusOK ||
		got.Body != `{"data":[],"total_count":0,"next_cursor":null}`+"\n" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := client.Get(t, pageApp); got.Status != http.StatusForbidden {
		t.Errorf("another client: %d", got.Status)
	}
	if err := script.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := script.Wait(); err != nil {
		t.Error(err)
	}
}

// TestEverySettingIsDocumented compares the documented table of settings with the program's, row by row.
func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	var got, want []string
	for line := range strings.SplitSeq(read(t, "docs/configuration.md"), "\n") {
		if strings.HasPrefix(line, "| `--") {
			got = append(got, line)
		}
	}
	for _, s := range settings() {
		def := "–"
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		want = append(want, "| `--"+s.flag+"` | `"+s.env+"` | "+def+" | "+s.help+" |")
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the page has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestReadmeHasEveryPackage compares the README's table of folders with the module. Each package has a row, or a parent folder without
// Go files of its own has one. Each row names an existing folder.
func TestReadmeHasEveryPackage(t *testing.T) {
	t.Parallel()
	rows := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `([a-z/]+)/` \\|").FindAllStringSubmatch(read(t, "README.md"), -1) {
		rows[found[1]] = true
		if info, err := os.Stat(filepath.Join(root, found[1])); err != nil || !info.IsDir() {
			t.Errorf("there is no folder %s", found[1])
		}
	}
	packages := map[string]bool{}
	module := os.DirFS(root)
	err := fs.WalkDir(module, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." {
			base := path.Base(name)
			_, other := fs.Stat(module, path.Join(name, "go.mod")) // another module
			if strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" || other == nil {
				return fs.SkipDir
			}
		}
		if path.Ext(name) == ".go" {
			packages[path.Dir(name)] = true
		}
		return nil
	})
	if err != nil || len(packages) < 5 {
		t.Fatalf("%v, %v", packages, err)
	}
	delete(packages, ".") // the root only embeds the contract
	for folder := range packages {
		for described := folder; !rows[described]; {
			if described = path.Dir(described); described == "." || packages[described] {
				t.Errorf("no row for %s", folder)
				break
			}
		}
	}
}

// TestTargetsExist checks that each make target mentioned on a page exists.
func TestTargetsExist(t *testing.T) {
	t.Parallel()
	makefile, named := read(t, "Makefile"), 0
	for _, page := range pages(t) {
		for _, found := range regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(read(t, page), -1) {
			named++
			if !strings.Contains(makefile, "\n"+found[1]+": ") {
				t.Errorf("%s: there is no target %s", page, found[1])
			}
		}
	}
	if named < 5 {
		t.Errorf("found %d targets", named)
	}
}

// pages returns the names of all pages that tests read.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := fs.Glob(os.DirFS(root), "docs/*.md")
	if err != nil || len(found) < 10 {
		t.Fatalf("%v, %v", found, err)
	}
	return append(found, "README.md", "SECURITY.md", "client/README.md", "sdk/typescript/README.md")
}

// TestLinksLeadSomewhere checks that the relative links of pages exist, and that the index has each page of docs/.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	index := read(t, "docs/README.md")
	for _, page := range pages(t) {
		text := fence.ReplaceAllString(read(t, page), "") // brackets in code are not links
		for _, found := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), found[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		if path.Dir(page) == "docs" && page != "docs/README.md" && !strings.Contains(index, "("+path.Base(page)+")") {
			t.Errorf("docs/README.md does not name %s", page)
		}
	}
}

// TestReadmeIsShort bounds the README: details belong on other pages.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if words := len(strings.Fields(read(t, "README.md"))); words > 1200 {
		t.Errorf("README.md has %d words", words)
	}
}
