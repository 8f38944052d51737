package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clientapps/clientapps/server/oidc"
	"github.com/clientapps/clientapps/server/wellknown"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/webhook"
)

// Config is every setting of the command.
type Config struct {
	Addr             string        // host:port to listen on
	DatabaseURL      string        // sqlite://PATH or postgres://…
	MaxConns         int           // connections to the database
	BatchByClient    bool          // no statement has patches or reads of two clients
	RowLevelSecurity bool          // PostgreSQL itself limits each request to its client
	Migrate          bool          // migrate before serving
	Demo             bool          // example data and the token demo-token, on loopback only
	CatalogPoll      time.Duration // how often to check for catalog changes by other servers
	TokenCacheTTL    time.Duration // how long a token may still be accepted after another process revoked it
	DatabaseTimeout  time.Duration // how long a request may wait for the database
	DrainDelay       time.Duration // how long /readyz is 503 at shutdown before the server stops accepting
	ShutdownTimeout  time.Duration // how long requests in flight may take when the server stops
	RequestTimeout   time.Duration // how long a request may take to arrive
	MaxInFlight      int           // requests served at once
	MaxStreams       int           // streams of changes
	BodyMemory       int           // MiB that request bodies may take together
	RateLimit        int           // requests per second of one token for one client; 0: no limit
	RateBurst        int           // requests of one token for one client that may come at once
	TLSCert          string        // file of a certificate in PEM; "" for plain HTTP
	TLSKey           string        // file of its key
	MetricsAddr      string        // host:port for /metrics; "" for none
	OTLPEndpoint     string        // URL of a collector; "" for no traces
	TraceRatio       float64       // share of requests that are traced unless the caller has decided
	OIDC             oidc.Config   // identity provider whose access tokens are accepted too
	PublicURL        string        // scheme, host and port by which callers reach the server; "": as each request says
	SecurityContact  string        // URI for reports of weaknesses; "" for no security.txt
	CORSOrigins      []string      // origins whose scripts may call the API
	MCP              bool          // serve assistants at /mcp
	WebhookKeys      webhook.Keys  // encrypt the secrets of webhooks; none: no webhooks
	WebhookPrivate   bool          // webhooks may deliver to loopback addresses
	LogFormat        string        // text or json
	LogLevel         string        // debug, info, warn or error
}

// setting is a row of the table of settings. Flags, environment variables, help and documentation follow the table.
type setting struct {
	flag, env, def, help string

	set func(*Config, string) error
}

// commandKind is a set of kinds of commands. Kinds differ in their flags. All commands read and check the environment.
type commandKind int

const (
	forServer   commandKind = 1 << iota // serve
	forDatabase                         // commands that work on the database
	forHealth                           // health, which calls a server with the same settings
)

// commands returns the kinds of commands that have the setting as a flag.
func (s setting) commands() commandKind {
	switch s.flag {
	case "addr", "tls-cert":
		return forServer | forHealth
	case "database-url", "row-level-security":
		return forServer | forDatabase
	}
	return forServer
}

// boolean reports whether the setting may be a flag without a value.
func (s setting) boolean() bool { return s.def == "true" || s.def == "false" }

func settings() []setting {
	return []setting{
		{"addr", "CLIENTAPPS_ADDR", "127.0.0.1:8080", "host:port to listen on", func(c *Config, v string) error {
			_, _, err := net.SplitHostPort(v)
			c.Addr = v
			return err
		}},
		{
			"database-url", "CLIENTAPPS_DATABASE_URL", "sqlite://clientapps.db", "sqlite://PATH or postgres://…",
			func(c *Config, v string) error { c.DatabaseURL = v; return store.CheckURL(v) },
		},
		{
			"max-conns", "CLIENTAPPS_MAX_CONNS", "16", "database connections, 1 to 1000",
			func(c *Config, v string) (err error) { c.MaxConns, err = parseInt(v, 1, 1000); return err },
		},
		{
			"batch-by-client", "CLIENTAPPS_BATCH_BY_CLIENT", "false", "no statement has patches or reads of two clients: for a database distributed by client",
			func(c *Config, v string) (err error) { c.BatchByClient, err = parseBool(v); return err },
		},
		{
			"row-level-security", "CLIENTAPPS_ROW_LEVEL_SECURITY", "false", "PostgreSQL limits each request to its client; needs deploy/rls.sql",
			func(c *Config, v string) (err error) { c.RowLevelSecurity, err = parseBool(v); return err },
		},
		{
			"migrate", "CLIENTAPPS_MIGRATE", "true", "migrate the schema before serving",
			func(c *Config, v string) (err error) { c.Migrate, err = parseBool(v); return err },
		},
		{
			"demo", "CLIENTAPPS_DEMO", "false", "load example data and accept the token demo-token; loopback only",
			func(c *Config, v string) (err error) { c.Demo, err = parseBool(v); return err },
		},
		{
			"catalog-poll-interval", "CLIENTAPPS_CATALOG_POLL_INTERVAL", "2s", "how soon a catalog change shows on other servers, 100ms to 1m",
			func(c *Config, v string) (err error) {
				c.CatalogPoll, err = parseDuration(v, 100*time.Millisecond, time.Minute)
				return err
			},
		},
		{
			"token-cache-ttl", "CLIENTAPPS_TOKEN_CACHE_TTL", "10s", "how long a revoked token may still be accepted, 1s to 10m",
			func(c *Config, v string) (err error) {
				c.TokenCacheTTL, err = parseDuration(v, time.Second, 10*time.Minute)
				return err
			},
		},
		{
			"database-timeout", "CLIENTAPPS_DATABASE_TIMEOUT", "5s", "how long a request may wait for the database, 100ms to 1m",
			func(c *Config, v string) (err error) {
				c.DatabaseTimeout, err = parseDuration(v, 100*time.Millisecond, time.Minute)
				return err
			},
		},
		{
			"drain-delay", "CLIENTAPPS_DRAIN_DELAY", "0s", "how long /readyz is 503 at shutdown before the server stops accepting, 0s to 10m",
			func(c *Config, v string) (err error) {
				c.DrainDelay, err = parseDuration(v, 0, 10*time.Minute)
				return err
			},
		},
		{
			"shutdown-timeout", "CLIENTAPPS_SHUTDOWN_TIMEOUT", "10s", "how long shutdown waits for requests in flight, 1s to 10m",
			func(c *Config, v string) (err error) {
				c.ShutdownTimeout, err = parseDuration(v, time.Second, 10*time.Minute)
				return err
			},
		},
		{
			"request-timeout", "CLIENTAPPS_REQUEST_TIMEOUT", "15s", "how long a request may take to arrive, with its body, 1s to 10m",
			func(c *Config, v string) (err error) {
				c.RequestTimeout, err = parseDuration(v, time.Second, 10*time.Minute)
				return err
			},
		},
		{
			"max-in-flight", "CLIENTAPPS_MAX_IN_FLIGHT", "1024", "requests served at once, at most half of them for one token, 1 to 100000",
			func(c *Config, v string) (err error) { c.MaxInFlight, err = parseInt(v, 1, 100_000); return err },
		},
		{
			"max-streams", "CLIENTAPPS_MAX_STREAMS", "1024", "streams of changes that are open at once, at most half of them for one token, 1 to 100000",
			func(c *Config, v string) (err error) { c.MaxStreams, err = parseInt(v, 1, 100_000); return err },
		},
		{
			"body-memory", "CLIENTAPPS_BODY_MEMORY", "128", "MiB that request bodies may take at once, at most a quarter for one token, 32 to 65536",
			func(c *Config, v string) (err error) { c.BodyMemory, err = parseInt(v, 32, 65_536); return err },
		},
		{
			"rate-limit", "CLIENTAPPS_RATE_LIMIT", "100", "requests per second of a token for a client, up to 100000; 0 for no limit, the default with --demo",
			func(c *Config, v string) (err error) { c.RateLimit, err = parseInt(v, 0, 100_000); return err },
		},
		{
			"rate-burst", "CLIENTAPPS_RATE_BURST", "1000", "requests of a token for a client that may come at once, 1 to 100000",
			func(c *Config, v string) (err error) { c.RateBurst, err = parseInt(v, 1, 100_000); return err },
		},
		{
			"tls-cert", "CLIENTAPPS_TLS_CERT", "", "certificate file in PEM, read again when it changes; with --tls-key the server speaks TLS",
			func(c *Config, v string) error { c.TLSCert = v; return nil },
		},
		{
			"tls-key", "CLIENTAPPS_TLS_KEY", "", "key file of the certificate in PEM",
			func(c *Config, v string) error { c.TLSKey = v; return nil },
		},
		{
			"oidc-issuer", "CLIENTAPPS_OIDC_ISSUER", "", "URL of an identity provider whose access tokens are accepted too, with --oidc-audience",
			func(c *Config, v string) error {
				if c.OIDC.Issuer = v; v == "" {
					return nil
				}
				return oidc.CheckIssuer(v)
			},
		},
		{
			"oidc-audience", "CLIENTAPPS_OIDC_AUDIENCE", "", "audience (claim aud) that the provider's tokens must have",
			func(c *Config, v string) error { c.OIDC.Audience = v; return nil },
		},
		{
			"oidc-scope-claim", "CLIENTAPPS_OIDC_SCOPE_CLAIM", "scope", "claim with the scopes of the provider's tokens",
			func(c *Config, v string) error { c.OIDC.ScopeClaim = v; return nil },
		},
		{
			"oidc-clients-claim", "CLIENTAPPS_OIDC_CLIENTS_CLAIM", "client_ids", "claim with the client ids of the provider's tokens, or * for all clients",
			func(c *Config, v string) error { c.OIDC.ClientsClaim = v; return nil },
		},
		{
			"webhook-key", "CLIENTAPPS_WEBHOOK_KEY", "", "keys for the secrets of webhooks, separated by commas: 32 bytes in base64 each; the first encrypts. Without one there are no webhooks",
			func(c *Config, v string) (err error) { c.WebhookKeys, err = parseWebhookKeys(v); return err },
		},
		{
			"webhook-allow-private", "CLIENTAPPS_WEBHOOK_ALLOW_PRIVATE", "false", "webhooks may deliver to loopback addresses, at any port and without TLS: for trials",
			func(c *Config, v string) (err error) { c.WebhookPrivate, err = parseBool(v); return err },
		},
		{
			"mcp", "CLIENTAPPS_MCP", "false", "serve assistants at /mcp, by the Model Context Protocol",
			func(c *Config, v string) (err error) { c.MCP, err = parseBool(v); return err },
		},
		{
			"public-url", "CLIENTAPPS_PUBLIC_URL", "", "URL by which callers reach the server, such as https://apps.example.com; by default that of each request",
			func(c *Config, v string) error {
				if c.PublicURL = strings.TrimSuffix(v, "/"); v == "" {
					return nil
				}
				return wellknown.CheckPublicURL(c.PublicURL)
			},
		},
		{
			"security-contact", "CLIENTAPPS_SECURITY_CONTACT", "", "where to report weaknesses, an https:, mailto: or tel: URI; with it there is /.well-known/security.txt",
			func(c *Config, v string) error {
				if c.SecurityContact = v; v == "" {
					return nil
				}
				return wellknown.CheckContact(v)
			},
		},
		{
			"cors-origins", "CLIENTAPPS_CORS_ORIGINS", "", "origins whose scripts may call the API, separated by commas",
			func(c *Config, v string) (err error) { c.CORSOrigins, err = parseOrigins(v); return err },
		},
		{
			"metrics-addr", "CLIENTAPPS_METRICS_ADDR", "", "host:port to serve Prometheus metrics on, at /metrics",
			func(c *Config, v string) (err error) { c.MetricsAddr, err = v, checkAddress(v); return err },
		},
		{
			"otlp-endpoint", "CLIENTAPPS_OTLP_ENDPOINT", "", "URL of a collector that receives traces by OTLP over HTTP, such as http://localhost:4318",
			func(c *Config, v string) error { c.OTLPEndpoint = v; return checkEndpoint(v) },
		},
		{
			"trace-ratio", "CLIENTAPPS_TRACE_RATIO", "1", "share of requests to trace when the caller has not decided, 0 to 1",
			func(c *Config, v string) (err error) { c.TraceRatio, err = parseRatio(v); return err },
		},
		{
			"log-format", "CLIENTAPPS_LOG_FORMAT", "text", "text or json",
			func(c *Config, v string) error { c.LogFormat = v; return oneOf(v, "text", "json") },
		},
		{
			"log-level", "CLIENTAPPS_LOG_LEVEL", "info", "debug, info, warn or error",
			func(c *Config, v string) error { c.LogLevel = v; return oneOf(v, "debug", "info", "warn", "error") },
		},
	}
}

// renamedFlags has the new names of flags by their old names. Remove it with the next release.
var renamedFlags = map[string]string{ //nolint:gosec // names of flags, no credentials
	"catalog-poll": "catalog-poll-interval", "row-security": "row-level-security", "token-ttl": "token-cache-ttl",
}

// envName returns the environment variable of a flag.
func envName(flag string) string {
	return "CLIENTAPPS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// loadConfig reads the settings from flags and the environment. It reports all problems at once, after the earlier ones.
func loadConfig(environ []string, flagValues map[string]string, earlier ...error) (Config, error) {
	environment, problems := readEnvironment(environ)
	problems = append(earlier, problems...)
	var cfg Config
	for _, s := range settings() {
		value, source := s.def, "default"
		if v, ok := demoDefaults[s.flag]; ok && cfg.Demo {
			value = v
		}
		if v, ok := environment[s.env]; ok {
			value, source = v, s.env
		}
		if v, ok := flagValues[s.flag]; ok {
			value, source = v, "--"+s.flag
		}
		if err := s.set(&cfg, value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", source, err))
		}
	}
	problems = append(problems, cfg.Validate())
	if err := errors.Join(problems...); err != nil {
		return Config{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	return cfg, nil
}

// Validate checks settings that depend on each other.
func (c Config) Validate() error {
	host, _, err := net.SplitHostPort(c.Addr)
	if ip := net.ParseIP(host); err == nil && c.Demo && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--demo accepts a well-known token, so it needs a loopback address, not %s", c.Addr)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key must be set together")
	}
	if (c.OIDC.Issuer == "") != (c.OIDC.Audience == "") {
		return errors.New("--oidc-issuer and --oidc-audience must be set together")
	}
	return nil
}

// readEnvironment refuses unknown CLIENTAPPS_ variables, so that a misspelled one is not ignored silently.
func readEnvironment(environ []string) (map[string]string, []error) {
	known := map[string]bool{"CLIENTAPPS_URL": true, "CLIENTAPPS_TOKEN": true} // of the command api
	for _, s := range settings() {
		known[s.env] = true
	}
	values, problems := map[string]string{}, []error(nil)
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		switch {
		case !strings.HasPrefix(name, "CLIENTAPPS_"):
		case known[name]:
			values[name] = value
		default:
			problem := fmt.Errorf("%s: unknown setting", name)
			for old, now := range renamedFlags {
				if name == envName(old) {
					problem = fmt.Errorf("%s: it is %s now", name, envName(now))
				}
			}
			problems = append(problems, problem)
		}
	}
	return values, problems
}

// settingFlag records the value of a flag, which loadConfig reads later. It implements pflag.Value.
type settingFlag struct {
	setting

	flagValues map[string]string
}

func (f settingFlag) String() string     { return f.def }
func (f settingFlag) Set(v string) error { f.flagValues[f.flag] = v; return nil }

// Type returns the kind of value that the help shows.
func (f settingFlag) Type() string {
	if f.boolean() {
		return "bool"
	}
	return "string"
}

func parseInt(v string, least, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is not a number from %d to %d", v, least, most)
	}
	return n, nil
}

func parseBool(v string) (bool, error) {
	if err := oneOf(v, "true", "false"); err != nil {
		return false, err
	}
	return v == "true", nil
}

func parseDuration(v string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%q is not a duration from %v to %v", v, least, most)
	}
	return d, nil
}

// parseOrigins parses origins as browsers send them (RFC 6454): scheme, host and port. It accepts no wildcards.
func parseOrigins(v string) ([]string, error) {
	var origins []string
	for origin := range strings.SplitSeq(v, ",") {
		if origin = strings.TrimSpace(origin); origin == "" {
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || origin != u.Scheme+"://"+u.Host ||
			strings.Contains(u.Host, "*") {
			return nil, fmt.Errorf("%q is not an origin such as https://app.example.com", origin)
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

// parseWebhookKeys never repeats what it was given, which is secret.
func parseWebhookKeys(v string) (webhook.Keys, error) {
	if v == "" {
		return webhook.Keys{}, nil
	}
	return webhook.ParseKeys(strings.Split(v, ","))
}

// checkAddress accepts host:port, or "".
func checkAddress(v string) error {
	if v == "" {
		return nil
	}
	_, _, err := net.SplitHostPort(v)
	return err
}

// checkEndpoint accepts the URL of a collector, or "". It refuses a URL with a password, which would show up in logs.
func checkEndpoint(v string) error {
	u, err := url.Parse(v)
	if v == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		return nil
	}
	return errors.New("not a URL such as http://localhost:4318")
}

func parseRatio(v string) (float64, error) {
	ratio, err := strconv.ParseFloat(v, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) { // refuses NaN too
		return 0, fmt.Errorf("%q is not a number from 0 to 1", v)
	}
	return ratio, nil
}

func oneOf(v string, choices ...string) error {
	for _, c := range choices {
		if v == c {
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", v, strings.Join(choices, ", "))
}
