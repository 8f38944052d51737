package main

import (
	"flag"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func load(environ []string, args ...string) (Config, error) {
	p := &process{environ: environ, stderr: io.Discard}
	return loadConfig(p, flag.NewFlagSet("test", flag.ContinueOnError), args)
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	got, err := load(nil)
	want := Config{
		Addr: "127.0.0.1:8080", DatabaseURL: "sqlite://clientapps.db", MaxConns: 16, Migrate: true,
		CatalogPoll: 2 * time.Second, TokenTTL: 10 * time.Second, ShutdownTimeout: 10 * time.Second,
		LogFormat: "text", LogLevel: "info",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFlagWinsOverEnvironment(t *testing.T) {
	t.Parallel()
	environ := []string{"CLIENTAPPS_ADDR=127.0.0.1:1", "CLIENTAPPS_MAX_CONNS=3", "CLIENTAPPS_MIGRATE=false", "OTHER=x"}
	got, err := load(environ, "--addr", "127.0.0.1:2", "--demo", "--cors-origins", "https://a.example, http://b.example:8080")
	if err != nil || got.Addr != "127.0.0.1:2" || got.MaxConns != 3 || got.Migrate || !got.Demo ||
		!reflect.DeepEqual(got.CORSOrigins, []string{"https://a.example", "http://b.example:8080"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	environ := []string{
		"CLIENTAPPS_ADDR=nowhere", "CLIENTAPPS_DATABASE_URL=mysql://x", "CLIENTAPPS_MAX_CONNS=0", "CLIENTAPPS_MIGRATE=yes",
		"CLIENTAPPS_CATALOG_POLL=1h", "CLIENTAPPS_TOKEN_TTL=fast", "CLIENTAPPS_SHUTDOWN_TIMEOUT=-1s",
		"CLIENTAPPS_LOG_FORMAT=xml", "CLIENTAPPS_DATABASE_ULR=sqlite://x", "CLIENTAPPS_CORS_ORIGINS=https://*.example",
	}
	o := command(t, environ, "serve", "--log-level", "loud", "stray")
	if o.code != 2 {
		t.Errorf("exit code %d", o.code)
	}
	for _, line := range environ {
		if name, _, _ := strings.Cut(line, "="); !strings.Contains(o.stderr, name+": ") {
			t.Errorf("no word of %s in:\n%s", name, o.stderr)
		}
	}
	for _, what := range []string{"--log-level: ", "clientapps serve [flags]: flags come first"} {
		if !strings.Contains(o.stderr, what) {
			t.Errorf("no word of %s in:\n%s", what, o.stderr)
		}
	}
}

func TestDemoNeedsLoopback(t *testing.T) {
	t.Parallel()
	for addr, good := range map[string]bool{
		"127.0.0.1:0": true, "127.9.9.9:1": true, "[::1]:0": true, "localhost:0": true,
		"0.0.0.0:8080": false, ":8080": false, "[::]:8080": false, "192.0.2.1:80": false, "example.com:80": false,
	} {
		if _, err := load(nil, "--demo", "--addr", addr); (err == nil) != good {
			t.Errorf("%s: %v", addr, err)
		}
		if _, err := load(nil, "--addr", addr); err != nil {
			t.Errorf("%s without --demo: %v", addr, err)
		}
	}
}

// TestReadmeHasEverySetting holds the README's table to the settings, row by row.
func TestReadmeHasEverySetting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for line := range strings.SplitSeq(string(text), "\n") {
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
		t.Errorf("the README has\n%s\nand should have\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestHelpNamesEveryCommandAndSetting(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"help"}, {"--help"}} {
		o := command(t, nil, args...)
		if o.code != 0 || o.stderr != "" {
			t.Errorf("%v: exit %d, %s", args, o.code, o.stderr)
		}
		for _, s := range settings() {
			if !strings.Contains(o.stdout, "--"+s.flag+" ") || !strings.Contains(o.stdout, s.env) {
				t.Errorf("%v does not name %s", args, s.flag)
			}
		}
		for _, command := range []string{"serve", "migrate up|status", "client create", "client list", "token create", "token list", "token revoke", "version"} {
			if !strings.Contains(o.stdout, "  "+command) {
				t.Errorf("%v does not name %s", args, command)
			}
		}
	}
}

func TestMisuseExitsWithTwo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"sevre"}, {"client"}, {"token", "show"}, {"serve", "--adr", "x"}, {"migrate", "up", "now"}, {"token", "revoke"}, {"token", "revoke", "x"}} {
		if o := command(t, nil, args...); o.code != 2 || o.stdout != "" || !strings.HasPrefix(o.stderr, "clientapps: usage") && !strings.Contains(o.stderr, "clientapps: usage") {
			t.Errorf("%v: %+v", args, o)
		}
	}
}
