package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

func TestClientsAndTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		t.Parallel()
		client := strings.TrimSpace(must(t, url, "client", "create", "--name", "Fabrikam"))
		if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(client) {
			t.Fatalf("client create printed %q", client)
		}
		if list := must(t, url, "client", "list"); list != client+"  active  Fabrikam\n" {
			t.Errorf("%q", list)
		}
		created := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "token", "create", "--name", "sync", "--client", client,
			"--scope", "apps:read", "--scope", "apps:write", "--scope", "apps:read")
		secret := strings.TrimSpace(created.stdout)
		if created.code != 0 || !regexp.MustCompile(`^capp_[0-9A-Za-z]{49}$`).MatchString(secret) || strings.Contains(created.stderr, secret) {
			t.Fatalf("%+v", created)
		}
		list := must(t, url, "token", "list")
		if strings.Contains(list, secret) || !strings.Contains(list, "apps:read,apps:write") || !strings.Contains(list, client) || !strings.Contains(list, "active") {
			t.Error(list)
		}
		s := startServe(t, url, "--token-ttl", "1s")
		path := "/v2/clients/" + client + "/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890"
		if status, _ := s.send(t, http.MethodGet, path, secret, ""); status != http.StatusNotFound {
			t.Errorf("its own client: %d", status)
		}
		if status, _ := s.send(t, http.MethodGet, pageApp, secret, ""); status != http.StatusForbidden {
			t.Errorf("another client: %d", status)
		}
		id := regexp.MustCompile(`token (\S+):`).FindStringSubmatch(created.stderr)[1]
		must(t, url, "token", "revoke", id)
		eventually(t, func() bool {
			status, _ := s.send(t, http.MethodGet, path, secret, "")
			return status == http.StatusUnauthorized
		})
		if list := must(t, url, "token", "list"); !strings.Contains(list, "revoked 20") {
			t.Error(list)
		}
	})
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	secret := strings.TrimSpace(must(t, url, "token", "create", "--name", "short", "--all-clients", "--scope", "apps:read", "--expires-in", "1ms"))
	s := startServe(t, url)
	eventually(t, func() bool {
		status, _ := s.send(t, http.MethodGet, pageApp, secret, "")
		return status == http.StatusUnauthorized
	})
	if list := must(t, url, "token", "list"); !strings.Contains(list, "expired 20") || !strings.Contains(list, " all ") {
		t.Error(list)
	}
}

func TestTokenCreateReportsEveryProblem(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	environ := []string{"CLIENTAPPS_DATABASE_URL=" + url}
	o := command(t, environ, "token", "create", "--client", "x", "--all-clients", "--scope", "apps:delete", "--expires-in", "-1h")
	for _, want := range []string{"--name", "--client x is not a UUID", "either --client or --all-clients", "--scope apps:delete", "--expires-in"} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("no word of %q in %s", want, o.stderr)
		}
	}
	if o.code != 2 || o.stdout != "" {
		t.Errorf("%+v", o)
	}
	for _, args := range [][]string{
		{"--name", "x", "--all-clients"}, // no scope
		{"--name", "x", "--scope", "apps:read"},
		{"--name", " ", "--all-clients", "--scope", "apps:read"},
		{"--name", strings.Repeat("x", 201), "--all-clients", "--scope", "apps:read"},
	} {
		if o := command(t, environ, append([]string{"token", "create"}, args...)...); o.code != 2 || o.stdout != "" {
			t.Errorf("%v: %+v", args, o)
		}
	}
	unknown := command(t, environ, "token", "create", "--name", "x", "--scope", "apps:read", "--client", "aa7cf840-9ca9-46a3-9778-9015d6580d50")
	if unknown.code != 1 || unknown.stdout != "" || !strings.Contains(unknown.stderr, "Client aa7cf840-9ca9-46a3-9778-9015d6580d50 not found") {
		t.Errorf("%+v", unknown)
	}
	if list := must(t, url, "token", "list"); strings.Count(list, "\n") != 1 {
		t.Errorf("a refusal left a token: %s", list)
	}
}
