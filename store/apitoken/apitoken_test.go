package apitoken_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store/apitoken"
)

func TestTokenSecrets(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		secret, err := apitoken.New()
		if err != nil || seen[secret] || !strings.HasPrefix(secret, "capp_") || len(secret) != 54 {
			t.Fatalf("%q, %v", secret, err)
		}
		seen[secret] = true
		if !apitoken.WellFormed(secret) {
			t.Errorf("%q is not well-formed", secret)
		}
		for i := range secret {
			flipped := secret[:i] + string(rune(secret[i]^1)) + secret[i+1:]
			if apitoken.WellFormed(flipped) {
				t.Errorf("%q is well-formed, one letter away from %q", flipped, secret)
			}
		}
	}
	for _, text := range []string{"", "capp_", "demo-token", strings.Repeat("0", 54)} {
		if apitoken.WellFormed(text) || apitoken.Prefix(text) != "" {
			t.Errorf("%q is well-formed, or has the prefix %q", text, apitoken.Prefix(text))
		}
	}
}

// TestChecksum keeps the form of tokens that were issued before.
func TestChecksum(t *testing.T) {
	t.Parallel()
	const secret = "capp_00000000000000000000000000000000000000000003XhRuf"
	if !apitoken.WellFormed(secret) {
		t.Errorf("%s is not well-formed", secret)
	}
	if got := apitoken.Prefix(secret); got != "capp_0000" {
		t.Errorf("its prefix is %q", got)
	}
	if got := hex.EncodeToString(apitoken.Hash("abc")); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("the hash of abc is %s", got)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	secret, err := apitoken.New()
	if err != nil {
		t.Fatal(err)
	}
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyb2JvdCJ9.c2lnbmF0dXJl"
	for text, want := range map[string]string{
		"":                                    "",
		"no token: capp_short, eyJ":           "no token: capp_short, eyJ",
		secret:                                "capp_***",
		"Bearer " + secret + ", and so on":    "Bearer capp_***, and so on",
		"cut off: " + secret[:20]:             "cut off: capp_***",
		"two: " + secret + " " + secret + ".": "two: capp_*** capp_***.",
		`{"token":"` + jwt + `"}`:             `{"token":"eyJ***"}`,
		"cut off: " + jwt[:30]:                "cut off: eyJ***",
		jwt + "/" + secret:                    "eyJ***/capp_***",
	} {
		if got := apitoken.Redact(text); got != want {
			t.Errorf("%q is redacted to %q, want %q", text, got, want)
		}
		if got := apitoken.IsIn(text); got != (text != want) {
			t.Errorf("a token is in %q: %t", text, got)
		}
	}
}
