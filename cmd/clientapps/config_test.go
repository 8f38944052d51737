package main

import (
	"context"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/oidc"
	"github.com/clientapps/clientapps/store/storetest"
	"github.com/clientapps/clientapps/webhook"
)

// load reads the settings as serve does.
func load(environ []string, args ...string) (cfg Config, err error) {
	p := &process{environ: environ}
	c := p.command("test", "", forServer, func(_ context.Context, loaded Config, _ []string) error { cfg = loaded; return nil })
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(append([]string{}, args...))
	err = c.Execute()
	return cfg, err
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	got, err := load(nil)
	want := Config{
		Addr: "127.0.0.1:8080", DatabaseURL: "sqlite://clientapps.db", MaxConns: 16, Migrate: true,
		CatalogPoll: 2 * time.Second, TokenCacheTTL: 10 * time.Second,
		RequestTimeout: 15 * time.Second, MaxInFlight: 1024, MaxStreams: 1024, BodyMemory: 128, RateLimit: 100, RateBurst: 1000,
		DatabaseTimeout: 5 * time.Second, ShutdownTimeout: 10 * time.Second,
		OIDC:       oidc.Config{ScopeClaim: "scope", ClientsClaim: "client_ids"},
		TraceRatio: 1, LogFormat: "text", LogLevel: "info",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// With --demo there is no rate limit by default.
func TestDemoHasNoRateLimit(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{"--demo": 0, "--demo --rate-limit=7": 7, "--demo=false": 100} {
		if got, err := load(nil, strings.Fields(args)...); err != nil || got.RateLimit != want {
			t.Errorf("%s: %d, %v", args, got.RateLimit, err)
		}
	}
}

// A certificate without a key, or a key alone, is an error.
func TestHalfACertificate(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"--tls-cert=server.pem", "--tls-key=server.key"} {
		if _, err := load(nil, arg); err == nil || !strings.Contains(err.Error(), "--tls-cert and --tls-key") {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

// An issuer without an audience would accept its tokens for any application.
func TestHalfAnIssuer(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"--oidc-issuer=https://login.example.com", "--oidc-audience=apps"} {
		if _, err := load(nil, arg); err == nil || !strings.Contains(err.Error(), "--oidc-issuer and --oidc-audience") {
			t.Errorf("%s: %v", arg, err)
		}
	}
	for issuer, good := range map[string]bool{
		"https://login.example.com": true, "https://login.example.com/realms/msp/": true, "http://127.0.0.1:8081": true, "http://[::1]/x": true,
		"http://login.example.com": false, "http://localhost.example.com": false, "login.example.com": false, "https://": false,
		"https://user:secret@login.example.com": false, "https://login.example.com?x=y": false, "https://login.example.com#x": false, "ftp://127.0.0.1": false,
	} {
		if _, err := load(nil, "--oidc-audience=apps", "--oidc-issuer="+issuer); (err == nil) != good {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

// testKey is 32 bytes in base64.
const testKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// A bad key for webhooks is an error that does not repeat it.
func TestBadWebhookKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"short", testKey[1:], testKey + ",", testKey + "," + testKey, "notBase64!" + testKey[10:]} {
		if _, err := load(nil, "--webhook-key="+key); err == nil || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if got, err := load(nil); err != nil || got.WebhookKeys.Enabled() || got.WebhookPrivate {
		t.Errorf("by default: %+v, %v", got, err)
	}
	if got, err := load(nil, "--demo"); err != nil || !got.WebhookKeys.Enabled() || !got.WebhookPrivate {
		t.Errorf("in the demo: %+v, %v", got, err)
	}
}

// TestConfigSources sets every setting to a value other than its default, by the environment and by a flag.
func TestConfigSources(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"addr": "127.0.0.1:1", "database-url": "postgres://db.internal/clientapps", "max-conns": "1000", "batch-by-client": "true", "row-level-security": "true",
		"migrate": "false",
		"demo":    "true", "catalog-poll-interval": "100ms", "token-cache-ttl": "10m",
		"request-timeout": "10m", "max-in-flight": "1", "max-streams": "2", "body-memory": "32", "rate-limit": "5", "rate-burst": "100000",
		"tls-cert": "server.pem", "tls-key": "server.key",
		"oidc-issuer": "https://login.example.com", "oidc-audience": "apps", "oidc-scope-claim": "scp", "oidc-clients-claim": "orgs",
		"database-timeout": "100ms", "drain-delay": "10m", "shutdown-timeout": "1s",
		"webhook-key": testKey + "," + strings.Replace(testKey, "A", "B", 1), "webhook-allow-private": "true",
		"public-url": "https://apps.example/", "security-contact": "mailto:security@example.com",
		"mcp": "true", "cors-origins": "https://a.example, http://b.example:8080", "metrics-addr": "127.0.0.1:2",
		"otlp-endpoint": "https://collector.example/otlp", "trace-ratio": "0.25",
		"log-format": "json", "log-level": "debug",
	}
	keys, err := webhook.ParseKeys(strings.Split(values["webhook-key"], ","))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		WebhookKeys: keys, WebhookPrivate: true, MCP: true,
		Addr: "127.0.0.1:1", DatabaseURL: "postgres://db.internal/clientapps", MaxConns: 1000, BatchByClient: true, RowLevelSecurity: true,
		Demo:        true,
		CatalogPoll: 100 * time.Millisecond, TokenCacheTTL: 10 * time.Minute,
		RequestTimeout: 10 * time.Minute, MaxInFlight: 1, MaxStreams: 2, BodyMemory: 32, RateLimit: 5, RateBurst: 100_000,
		TLSCert: "server.pem", TLSKey: "server.key",
		DatabaseTimeout: 100 * time.Millisecond, DrainDelay: 10 * time.Minute, ShutdownTimeout: time.Second,
		PublicURL: "https://apps.example", SecurityContact: "mailto:security@example.com",
		CORSOrigins: []string{"https://a.example", "http://b.example:8080"}, MetricsAddr: "127.0.0.1:2",
		OTLPEndpoint: "https://collector.example/otlp", TraceRatio: 0.25,
		OIDC:      oidc.Config{Issuer: "https://login.example.com", Audience: "apps", ScopeClaim: "scp", ClientsClaim: "orgs"},
		LogFormat: "json", LogLevel: "debug",
	}
	var environ, defaults, flags []string
	for _, s := range settings() {
		value, ok := values[s.flag]
		if !ok {
			t.Errorf("no value for %s", s.flag)
		}
		environ = append(environ, s.env+"="+value)
		defaults = append(defaults, s.env+"="+s.def)
		flags = append(flags, "--"+s.flag+"="+value)
	}
	for name, source := range map[string]struct{ environ, flags []string }{
		"the environment":                  {environ, nil},
		"flags":                            {nil, flags},
		"flags over the environment":       {defaults, flags},
		"a bare flag, unrelated variables": {append(environ, "OTHER=x", "XCLIENTAPPS_ADDR=x"), []string{"--demo"}},
		"a flag with the same value":       {environ, []string{"--addr", "127.0.0.1:1"}},
	} {
		if got, err := load(source.environ, source.flags...); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	environ := []string{
		"CLIENTAPPS_ADDR=nowhere", "CLIENTAPPS_DATABASE_URL=mysql://x", "CLIENTAPPS_MAX_CONNS=0", "CLIENTAPPS_MIGRATE=yes",
		"CLIENTAPPS_CATALOG_POLL_INTERVAL=1h", "CLIENTAPPS_TOKEN_CACHE_TTL=fast", "CLIENTAPPS_SHUTDOWN_TIMEOUT=-1s",
		"CLIENTAPPS_REQUEST_TIMEOUT=10", "CLIENTAPPS_MAX_IN_FLIGHT=0", "CLIENTAPPS_RATE_LIMIT=-1", "CLIENTAPPS_RATE_BURST=0",
		"CLIENTAPPS_OIDC_ISSUER=http://login.example.com", "CLIENTAPPS_LOG_FORMAT=xml", "CLIENTAPPS_DATABASE_ULR=sqlite://x", "CLIENTAPPS_CORS_ORIGINS=https://*.example",
	}
	o := command(t, environ, "serve", "--log-level", "loud", "stray")
	if o.code != 2 {
		t.Errorf("exit code %d", o.code)
	}
	for _, line := range environ {
		if name, _, _ := strings.Cut(line, "="); !strings.Contains(o.stderr, name+": ") {
			t.Errorf("%s is not mentioned in:\n%s", name, o.stderr)
		}
	}
	for _, what := range []string{"--log-level: ", "clientapps serve takes no arguments"} {
		if !strings.Contains(o.stderr, what) {
			t.Errorf("%s is not mentioned in:\n%s", what, o.stderr)
		}
	}
}

// A bad value is refused from each source. The error names the variable or the flag.
func TestBadValues(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"addr":                  {"", "127.0.0.1", "127.0.0.1:80:80", "::1:80"},
		"database-url":          {"", "clientapps.db", "sqlite:", "sqlite://", "SQLITE://x", "mysql://u@h/d", "http://h/d", "postgres:h"},
		"max-conns":             {"", "0", "1001", "-1", "1.5", "many"},
		"batch-by-client":       {"", "yes", "1", "True"},
		"migrate":               {"", "yes", "1", "True"},
		"demo":                  {"", "no", "0", "TRUE"},
		"catalog-poll-interval": {"", "2", "99ms", "61s"},
		"token-cache-ttl":       {"", "10", "0s", "11m", "-10s"},
		"request-timeout":       {"", "15", "999ms", "11m"},
		"max-in-flight":         {"", "0", "100001", "all"},
		"max-streams":           {"", "0", "100001", "all"},
		"body-memory":           {"", "31", "65537", "128MiB"},
		"rate-limit":            {"", "-1", "100001", "0.5", "off"},
		"rate-burst":            {"", "0", "100001"},
		"public-url":            {"apps.example.com", "https://", "https://a.example/v2", "https://a.example//", "https://u@a.example", "ftp://a.example", "https://a.example?x", "https://a.example:x", "HTTPS://a.example", "https://a.example\"", "https://a b"},
		"security-contact":      {"security@example.com", "http://example.com", "https://", "https://u:p@example.com", "mailto:", "mailto:nobody", "tel:", "https://example.com/a b", "mailto:a@example.com\nExpires: x", "javascript:x@y"},
		"cors-origins":          {"*", "app.example.com", "https://", "https://a.example/", "https://*.a.example", "ftp://a.example", "null"},
		"log-format":            {"", "xml", "JSON"},
		"log-level":             {"", "trace", "INFO"},
		"otlp-endpoint":         {"localhost:4318", "grpc://localhost:4317", "http://", "http://u:p@h", "http://h?x=y", "http://h/#x", "http://%zz"},
		"trace-ratio":           {"", "-0.1", "1.1", "NaN", "Inf", "half"},
		"metrics-addr":          {"127.0.0.1", "9090", "::1:80"},
	} {
		envName := "CLIENTAPPS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		for _, value := range values {
			if _, err := load([]string{envName + "=" + value}); err == nil || !strings.Contains(err.Error(), envName+": ") {
				t.Errorf("%s=%s: %v", envName, value, err)
			}
			if _, err := load(nil, "--"+name+"="+value); err == nil || !strings.Contains(err.Error(), "--"+name+": ") {
				t.Errorf("--%s=%s: %v", name, value, err)
			}
		}
	}
}

// The error about an invalid PostgreSQL URL does not show its password.
func TestBadPostgresURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://user:hush@host/%zz", "postgres://user:hush@host:port/db", "postgres://user:hush@host/db?sslmode=hush"} {
		o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "serve", "--addr", "127.0.0.1:0")
		if o.code == 0 || o.stdout != "" || o.stderr == "" || strings.Contains(o.stderr, "hush") {
			t.Errorf("%s: %+v", url, o)
		}
	}
}

func TestDemoNeedsLoopback(t *testing.T) {
	t.Parallel()
	for addr, good := range map[string]bool{
		"127.0.0.1:0": true, "127.9.9.9:1": true, "[::1]:0": true, "localhost:0": true,
		"0.0.0.0:8080": false, ":8080": false, "[::]:8080": false, "192.0.2.1:80": false, "[2001:db8::1]:80": false,
		"example.com:80": false, "localhost.example.com:80": false, "127.0.0.1.example.com:80": false,
	} {
		if _, err := load(nil, "--demo", "--addr", addr); (err == nil) != good {
			t.Errorf("%s: %v", addr, err)
		}
		if _, err := load([]string{"CLIENTAPPS_DEMO=true", "CLIENTAPPS_ADDR=" + addr}); (err == nil) != good {
			t.Errorf("%s in the environment: %v", addr, err)
		}
		if _, err := load(nil, "--addr", addr); err != nil {
			t.Errorf("%s without --demo: %v", addr, err)
		}
	}
	url := storetest.SQLite(t)
	o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "serve", "--demo", "--addr", "192.0.2.1:0")
	if o.code != 2 || o.stdout != "" || !strings.Contains(o.stderr, "loopback") {
		t.Errorf("%+v", o)
	}
	if list := must(t, url, "client", "list"); list != "" {
		t.Errorf("the refused command created %s", list)
	}
}

// The help names every command. The help of a command names its flags.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"help"}, {"-h"}, {"--help"}} {
		o := command(t, []string{"CLIENTAPPS_ADDR=nowhere"}, args...)
		if o.code != 0 || o.stderr != "" {
			t.Errorf("%v: exit %d, %s", args, o.code, o.stderr)
		}
		for _, name := range []string{"serve", "health", "client", "token", "import", "migrate", "backup", "version", "completion"} {
			if !strings.Contains(o.stdout, "\n  "+name+" ") {
				t.Errorf("%v does not name %s", args, name)
			}
		}
	}
	for line, own := range map[string][]string{
		"serve": nil, "health": nil, "migrate up": nil, "migrate status": nil, "client list": nil, "client create": {"name"},
		"token list": nil, "token revoke": {"keep-created"}, "token rotate": {"overlap"}, "token create": {"name", "client", "all-clients", "scope", "expires-in"},
		"import catalog": {"dry-run", "format", "lock-time"}, "import apps": {"dry-run", "format", "lock-time", "client"}, "backup": nil,
	} {
		kind := forDatabase
		switch line {
		case "serve":
			kind = forServer
		case "health":
			kind = forHealth
		}
		want := slices.Concat(own, []string{"help"})
		for _, s := range settings() {
			if s.commands()&kind != 0 {
				want = append(want, s.flag)
			}
		}
		o := command(t, []string{"CLIENTAPPS_ADDR=nowhere"}, append(strings.Fields(line), "--help")...)
		var got []string
		for _, found := range regexp.MustCompile(`(?m)^ +(?:-h, )?--([a-z-]+)`).FindAllStringSubmatch(o.stdout, -1) {
			got = append(got, found[1])
		}
		slices.Sort(want)
		if o.code != 0 || o.stderr != "" || !slices.Equal(got, want) {
			t.Errorf("%s --help: exit %d, %s, flags %v, want %v", line, o.code, o.stderr, got, want)
		}
	}
	for _, s := range settings() {
		if o := command(t, nil, "serve", "--help"); !strings.Contains(o.stdout, " "+s.help+" ["+s.env+"]") {
			t.Errorf("serve --help does not explain --%s", s.flag)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if o := command(t, nil, "completion", shell); o.code != 0 || !strings.Contains(o.stdout, "__complete") {
			t.Errorf("%s: exit %d, %.300s", shell, o.code, o.stdout)
		}
	}
	if o := command(t, nil, "__complete", "token", ""); !strings.Contains(o.stdout, "revoke\tRevoke a token, and the tokens that it has made\n") {
		t.Errorf("%+v", o)
	}
}

// The error for an unknown command suggests a similar one.
func TestUnknownCommands(t *testing.T) {
	t.Parallel()
	for line, says := range map[string]string{
		"sevre": "did you mean serve?", "token creat": "did you mean create?", "migrate stats": "did you mean status?", "frobnicate": "see clientapps --help",
	} {
		if o := command(t, nil, strings.Fields(line)...); o.code != 2 || !strings.Contains(o.stderr, says) {
			t.Errorf("%s: %+v", line, o)
		}
	}
}

// TestRenamedSettings checks that errors about old names have the new ones.
func TestRenamedSettings(t *testing.T) {
	t.Parallel()
	for old, now := range renamedFlags {
		o := command(t, nil, "serve", "--"+old, "1")
		if want := "--" + old + " is --" + now + " now"; o.code != 2 || !strings.Contains(o.stderr, want) {
			t.Errorf("%+v, want %s", o, want)
		}
		o = command(t, []string{envName(old) + "=1"}, "serve")
		if want := envName(old) + ": it is " + envName(now) + " now"; o.code != 2 || !strings.Contains(o.stderr, want) {
			t.Errorf("%+v, want %s", o, want)
		}
	}
	for _, s := range settings() {
		if s.env != envName(s.flag) {
			t.Errorf("--%s is %s", s.flag, s.env)
		}
	}
}
