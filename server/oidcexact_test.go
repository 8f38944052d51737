package server_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// signedAs signs a header and a payload unchanged with ES256, even if they are invalid.
func signedAs(t *testing.T, key *jose.JSONWebKey, header, payload string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key.Key.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

const (
	plainJOSE = `{"alg":"ES256","kid":"first"}`
	ourClient = `"` + clientID + `"`
)

// payload returns the payload of a valid token with these members appended. A member named here replaces the valid one.
func (i *issuer) payload(members ...string) string {
	all := []string{
		`"iss":"` + i.URL + `"`, `"aud":"` + audience + `"`, `"sub":"robot"`, fmt.Sprintf(`"exp":%d`, storetest.Now.Unix()+300),
		`"scope":"apps:read apps:write"`, `"client_ids":[` + ourClient + `]`,
	}
	for _, m := range members {
		name, _, _ := strings.Cut(m, ":")
		for at, good := range all {
			if strings.HasPrefix(good, name+":") {
				all = append(all[:at:at], all[at+1:]...)
				break
			}
		}
	}
	return "{" + strings.Join(append(all, members...), ",") + "}"
}

// A claim has exactly its name, and only once. encoding/json would also match another letter case, and would take the last of
// several members: the server could then read other claims than the provider meant.
func TestJWTClaimsAreExact(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		now := storetest.Now.Unix()
		ours, soon, past := `"`+i.URL+`"`, fmt.Sprint(now+300), fmt.Sprint(now-3600)
		refused := map[string]string{
			"a foreign issuer and ISS":    i.payload(`"iss":"http://evil"`, `"ISS":`+ours),
			"ISS and a foreign issuer":    i.payload(`"ISS":`+ours, `"iss":"http://evil"`),
			"ISS alone":                   i.payload(`"iss":null`, `"ISS":`+ours),
			"iſs":                         i.payload(`"iss":"http://evil"`, `"iſs":`+ours),
			"an escaped name":             i.payload(`"iss":"http://evil"`, `"\u0049SS":`+ours),
			"two issuers":                 i.payload(`"iss":"http://evil","iss":` + ours),
			"two issuers, one escaped":    i.payload(`"iss":"http://evil","\u0069ss":` + ours),
			"a late EXP":                  i.payload(`"exp":`+past, `"EXP":`+soon),
			"a late Exp":                  i.payload(`"exp":`+past, `"Exp":`+soon),
			"Exp alone":                   strings.Replace(i.payload(), `"exp"`, `"Exp"`, 1),
			"two ends":                    i.payload(`"exp":` + past + `,"exp":` + soon),
			"the same end twice":          i.payload(`"exp":` + soon + `,"exp":` + soon),
			"a foreign audience and AUD":  i.payload(`"aud":"https://other.example.com"`, `"AUD":"`+audience+`"`),
			"two audiences":               i.payload(`"aud":"https://other.example.com","aud":"` + audience + `"`),
			"an early NBF":                i.payload(`"nbf":`+fmt.Sprint(now+3600), `"NBF":0`),
			"NBF behind a good nbf":       i.payload(`"nbf":0`, `"NBF":1`),
			"two beginnings":              i.payload(`"nbf":` + fmt.Sprint(now+3600) + `,"nbf":0`),
			"two times of issue":          i.payload(`"iat":1,"iat":2`),
			"another IAT":                 i.payload(`"iat":1`, `"IAT":2`),
			"sub and SUB":                 i.payload(`"SUB":"admin"`),
			"SUB before sub":              i.payload(`"SUB":"admin"`, `"sub":"robot"`),
			"two subjects":                i.payload(`"sub":"robot","sub":"admin"`),
			"no scope, but SCOPE":         i.payload(`"scope":""`, `"SCOPE":"apps:read apps:write"`),
			"Scope behind scope":          i.payload(`"Scope":"apps:read"`),
			"Scope alone":                 strings.Replace(i.payload(), `"scope"`, `"Scope"`, 1),
			"two scopes":                  i.payload(`"scope":"","scope":"apps:read apps:write"`),
			"CLIENT_IDS":                  i.payload(`"CLIENT_IDS":"*"`),
			"two lists of clients":        i.payload(`"client_ids":[],"client_ids":"*"`),
			"a duplicate deep inside":     i.payload(`"x":{"a":{"b":1,"b":2}}`),
			"a duplicate in a list":       i.payload(`"x":[{"b":1,"b":1}]`),
			"a fraction beyond float64":   i.payload(`"nbf":9999999999.00000000000000000001`),
			"an issue that is no date":    i.payload(`"iat":"yesterday"`),
			"a beginning that is null":    i.payload(`"nbf":null`),
			"clients with null":           i.payload(`"client_ids":[` + ourClient + `,null]`),
			"an audience in an object":    i.payload(`"aud":{"x":"` + audience + `"}`),
			"an audience beside objects":  i.payload(`"aud":[{"x":1},"` + audience + `"]`),
			"trailing data":               i.payload() + `{}`,
			"a byte order mark":           "\ufeff" + i.payload(),
			"invalid UTF-8":               i.payload(`"x":"` + "\xff" + `"`),
			"half a surrogate pair":       i.payload(`"x":"\ud800"`),
			"nested beyond every measure": i.payload(`"x":` + strings.Repeat("[", 65) + strings.Repeat("]", 65)),
			"null":                        `null`,
		}
		for name, payload := range refused {
			before := len(failures(t, s))
			got := clientWith(s, signedAs(t, i.key, plainJOSE, payload)).Patch(t, appPath, `{"is_favorite":true}`)
			if got.Status != 401 || got.Body != unauthorized+"\n" {
				t.Errorf("%s: %s answered %d %s", name, payload, got.Status, got.Body)
			}
			if lines := failures(t, s)[before:]; len(lines) != 1 || lines[0]["reason"] != "claims" && lines[0]["reason"] != "expired" {
				t.Errorf("%s: logged %v", name, lines)
			}
		}
		for name, payload := range map[string]string{
			"as it is":              i.payload(),
			"unknown names":         i.payload(`"AZP":"x"`, `"azp":"y"`, `"Issuer":"x"`, `"isss":1`),
			"a time with fractions": i.payload(`"iat":1.25`, `"nbf":0.1`),
			"an escaped name, once": strings.Replace(i.payload(), `"iss"`, `"\u0069ss"`, 1),
			"several audiences":     i.payload(`"aud":["x","` + audience + `"]`),
		} {
			if got := clientWith(s, signedAs(t, i.key, plainJOSE, payload)).Get(t, appPath); got.Status != 200 {
				t.Errorf("%s: %s answered %d %s", name, payload, got.Status, got.Body)
			}
		}
	})
}

// The JOSE header is read as strictly as the claims.
func TestJWTHeaderIsExact(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		for name, header := range map[string]string{
			"ALG":                     `{"alg":"ES256","ALG":"none","kid":"first"}`,
			"alg twice":               `{"alg":"none","alg":"ES256","kid":"first"}`,
			"alg twice, one escaped":  `{"alg":"ES256","\u0061lg":"ES256","kid":"first"}`,
			"KID":                     `{"alg":"ES256","kid":"first","KID":"second"}`,
			"Crit":                    `{"alg":"ES256","kid":"first","Crit":["x"],"x":1}`,
			"Typ":                     `{"alg":"ES256","kid":"first","Typ":"logout+jwt"}`,
			"a duplicate deep inside": `{"alg":"ES256","kid":"first","x":{"a":1,"a":2}}`,
			"b64":                     `{"alg":"ES256","kid":"first","b64":true,"crit":["b64"]}`,
			"trailing data":           `{"alg":"ES256","kid":"first"} {}`,
			"a number for alg":        `{"alg":1,"kid":"first"}`,
		} {
			before := len(failures(t, s))
			if got := clientWith(s, signedAs(t, i.key, header, i.payload())).Get(t, appPath); got.Status != 401 || got.Body != unauthorized+"\n" {
				t.Errorf("%s: answered %d %s", name, got.Status, got.Body)
			}
			if lines := failures(t, s)[before:]; len(lines) != 1 || lines[0]["reason"] != "malformed" {
				t.Errorf("%s: logged %v", name, lines)
			}
		}
		if got := clientWith(s, signedAs(t, i.key, plainJOSE, i.payload())).Get(t, appPath); got.Status != 200 {
			t.Errorf("unchanged header: answered %d %s", got.Status, got.Body)
		}
	})
}
