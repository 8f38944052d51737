package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

var (
	uuidLine   = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n$`)
	secretLine = regexp.MustCompile(`^capp_[0-9A-Za-z]{49}\n$`)
	madeToken  = regexp.MustCompile(`token (\S+):`)
)

func TestClientsAndTokens(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		var clients []string
		for _, name := range []string{"Fabrikam", "Tailspin Toys", "Contoso Ltd."} {
			out := must(t, url, "client", "create", "--name", name)
			if !uuidLine.MatchString(out) {
				t.Fatalf("client create printed %q", out)
			}
			clients = append(clients, strings.TrimSpace(out))
		}
		want := clients[2] + "  active  Contoso Ltd.\n" + clients[0] + "  active  Fabrikam\n" + clients[1] + "  active  Tailspin Toys\n"
		if list := must(t, url, "client", "list"); list != want {
			t.Errorf("%q", list)
		}
		created := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "token", "create", "--name", "sync",
			"--client", clients[0], "--client", clients[1], "--client", clients[0],
			"--scope", "apps:write", "--scope", "apps:read", "--scope", "apps:write")
		secret := strings.TrimSpace(created.stdout)
		if created.code != 0 || !secretLine.MatchString(created.stdout) || strings.Contains(created.stderr, "capp_") {
			t.Fatalf("%+v", created)
		}
		id := madeToken.FindStringSubmatch(created.stderr)[1]
		list := must(t, url, "token", "list")
		for _, part := range []string{id + "  sync  apps:read,apps:write  ", clients[0], clients[1], "  active\n"} {
			if !strings.Contains(list, part) {
				t.Errorf("no %q in %s", part, list)
			}
		}
		if strings.Contains(list, "capp_") || strings.Contains(list, secret[5:]) || strings.Contains(list, clients[2]) {
			t.Error(list)
		}

		s := startServe(t, url, "--token-cache-ttl", "1s")
		sync := s.as(secret)
		for i, status := range []int{http.StatusOK, http.StatusOK, http.StatusForbidden} {
			if got := sync.Get(t, "/v2/clients/"+clients[i]+"/apps"); got.Status != status {
				t.Errorf("client %d: %d", i, got.Status)
			}
		}
		if got := sync.Get(t, "/v2/catalog-apps"); got.Status != http.StatusForbidden {
			t.Errorf("without its scope: %d", got.Status)
		}
		eventually(t, func() bool { return strings.Contains(must(t, url, "token", "list"), "Z  active\n") }) // LAST USED
		rotated := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "token", "rotate", id, "--overlap", "24h")
		if rotated.code != 0 || !secretLine.MatchString(rotated.stdout) || rotated.stdout == created.stdout || strings.Contains(rotated.stderr, "capp_") {
			t.Errorf("%+v", rotated)
		}
		for _, secret := range []string{secret, strings.TrimSpace(rotated.stdout)} {
			if got := s.as(secret).Get(t, "/v2/clients/"+clients[0]+"/apps"); got.Status != http.StatusOK {
				t.Errorf("in the overlap: %d", got.Status)
			}
		}
		for _, args := range [][]string{{"x"}, {id, "--overlap", "169h"}, {id, "--overlap", "-1s"}} {
			if o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, append([]string{"token", "rotate"}, args...)...); o.code != 2 || o.stdout != "" {
				t.Errorf("%v: %+v", args, o)
			}
		}
		for range 2 { // revoking twice is no error
			if out := must(t, url, "token", "revoke", id); out != "" {
				t.Errorf("printed %s", out)
			}
		}
		eventually(t, func() bool {
			return sync.Get(t, "/v2/clients/"+clients[0]+"/apps").Status == http.StatusUnauthorized
		})
		if list := must(t, url, "token", "list"); !strings.Contains(list, "revoked 20") {
			t.Error(list)
		}
		ended := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "token", "rotate", id)
		if ended.code != 1 || ended.stdout != "" || !strings.Contains(ended.stderr, "is revoked") {
			t.Errorf("%+v", ended)
		}
	})
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		create := func(expiresIn string) string {
			return strings.TrimSpace(must(t, url, "token", "create", "--name", expiresIn, "--all-clients", "--scope", "clients:read", "--expires-in", expiresIn))
		}
		day, moment := create("24h"), create("1ms")
		s := startServe(t, url)
		eventually(t, func() bool { return s.as(moment).Get(t, "/v2/clients").Status == http.StatusUnauthorized })
		if got := s.as(day).Get(t, "/v2/clients"); got.Status != http.StatusOK {
			t.Errorf("a valid token: %d", got.Status)
		}
		if list := must(t, url, "token", "list"); strings.Count(list, "  all  ") != 2 ||
			strings.Count(list, "  expired 20") != 1 || strings.Count(list, "  expires 20") != 1 {
			t.Error(list)
		}
	})
}

func TestTokenCreateReportsEveryProblem(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	environ := []string{"CLIENTAPPS_DATABASE_URL=" + url}
	o := command(t, environ, "token", "create", "--client", "x", "--client", "y", "--all-clients",
		"--scope", "apps:delete", "--scope", "", "--expires-in", "-1h")
	for _, want := range []string{
		"--name", "--client x is not a UUID", "--client y is not a UUID", "either --client or --all-clients",
		"--scope apps:delete", "--scope  is not one of", "--expires-in",
	} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("%q is missing in %s", want, o.stderr)
		}
	}
	if o.code != 2 || o.stdout != "" {
		t.Errorf("%+v", o)
	}
	for _, args := range [][]string{
		{"--name", "x", "--all-clients"}, // no scope
		{"--name", "x", "--scope", "apps:read"},
		{"--name", "x", "--scope", "apps:read", "--all-clients", "--client", "aa7cf840-9ca9-46a3-9778-9015d6580d50"},
		{"--name", "x", "--scope", "apps:read,apps:write", "--all-clients"},
		{"--name", "x", "--scope", "apps:read", "--all-clients", "--expires-in", "0s"}, // not: until revoked
		{"--scope", "apps:read", "--all-clients"},
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
		t.Errorf("a refused command created a token: %s", list)
	}
	unknown = command(t, environ, "token", "revoke", "aa7cf840-9ca9-46a3-9778-9015d6580d50")
	if unknown.code != 1 || !strings.Contains(unknown.stderr, "Token aa7cf840-9ca9-46a3-9778-9015d6580d50 not found") {
		t.Errorf("%+v", unknown)
	}
}

// Revoking a token revokes the tokens that it has made, unless they are kept.
func TestTokenRevokeCreated(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := startServe(t, url)
		create := func() (id, secret string) {
			o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, "token", "create", "--name", "parent", "--all-clients", "--scope", "tokens:write")
			return madeToken.FindStringSubmatch(o.stderr)[1], strings.TrimSpace(o.stdout)
		}
		for _, keep := range []bool{true, false} {
			id, secret := create()
			body := `{"name":"child","scopes":["tokens:write"],"all_clients":true}`
			if got := s.as(secret).Send(t, servertest.Request{Method: http.MethodPost, Target: "/v2/tokens", Body: body}); got.Status != http.StatusCreated {
				t.Fatalf("%d %s", got.Status, got.Body)
			}
			args := []string{"token", "revoke", id}
			if keep {
				args = append(args, "--keep-created")
			}
			must(t, url, args...)
		}
		list := must(t, url, "token", "list")
		if strings.Count(list, "  parent  ") != 2 || strings.Count(list, "revoked 20") != 3 || strings.Count(list, "  active") != 1 {
			t.Error(list)
		}
	})
}

// Names on the command line have the same bounds as in the contract.
func TestNames(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		for name, good := range map[string]bool{
			"Contoso Ltd.": true, "Zo\u00eb & \u5317\u4eac": true, strings.Repeat("\u00e9", 200): true, strings.Repeat("\U0001f642", 200): true,
			"": false, "\u3000": false, "x ": false, "\x1b[2J": false, "a\u0085b": false, "a\u202eb": false, "\xff": false, "a\uffff": false,
			strings.Repeat("\u00e9", 201): false,
		} {
			for _, args := range [][]string{{"client", "create"}, {"token", "create", "--scope", "apps:read", "--all-clients"}} {
				o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + url}, append(args, "--name", name)...)
				if good != (o.code == 0) || !good && !strings.Contains(o.stderr, "--name must be ") {
					t.Errorf("%s --name %+q: %+v", args[0], name, o)
				}
			}
		}
	})
}
