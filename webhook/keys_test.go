package webhook_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/webhook"
)

var (
	keyA = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'A'}, 32))
	keyB = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'B'}, 32))
)

func parseKeys(t *testing.T, list ...string) webhook.Keys {
	t.Helper()
	keys, err := webhook.ParseKeys(list)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func seal(t *testing.T, keys webhook.Keys, id uuid.UUID, secret []byte) []byte {
	t.Helper()
	sealed, err := keys.Seal(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestParseKeysRefuses(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("s3cretText", 4)
	for name, c := range map[string]struct {
		list    []string
		message string
	}{
		"none":         {nil, "no key for the secrets of webhooks is configured"},
		"not base64":   {[]string{"!" + secret}, "key 1 must be 32 bytes in base64"},
		"empty":        {[]string{keyA, ""}, "key 2 must be 32 bytes in base64"},
		"too short":    {[]string{base64.StdEncoding.EncodeToString([]byte(secret)[:31])}, "key 1 must be 32 bytes in base64"},
		"too long":     {[]string{base64.StdEncoding.EncodeToString([]byte(secret)[:33])}, "key 1 must be 32 bytes in base64"},
		"without end":  {[]string{strings.TrimRight(keyA, "=")}, "key 1 must be 32 bytes in base64"},
		"other base64": {[]string{base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32))}, "key 1 must be 32 bytes in base64"},
		"twice":        {[]string{keyB, keyA, keyB}, "key 1 and key 3 must differ"},
	} {
		if _, err := webhook.ParseKeys(c.list); err == nil || err.Error() != c.message {
			t.Errorf("%s: %v, want %s", name, err, c.message)
		}
	}
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	keys, id := parseKeys(t, keyA), uuid.New()
	secret := webhook.NewSecret()
	sealed := seal(t, keys, id, secret)
	if bytes.Contains(sealed, secret) {
		t.Error("the secret is not encrypted")
	}
	if bytes.Equal(sealed, seal(t, keys, id, secret)) {
		t.Error("the nonce is not random")
	}
	if got, err := keys.Open(id, sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("opened to %x, %v", got, err)
	}
	if _, err := keys.Open(uuid.New(), sealed); !errors.Is(err, webhook.ErrSealed) {
		t.Errorf("as another webhook: %v", err)
	}
	if _, err := parseKeys(t, keyB).Open(id, sealed); !errors.Is(err, webhook.ErrUnknownKey) {
		t.Errorf("with another key: %v", err)
	}
	if _, err := (webhook.Keys{}).Open(id, sealed); !errors.Is(err, webhook.ErrUnknownKey) {
		t.Errorf("without a key: %v", err)
	}
	if _, err := (webhook.Keys{}).Seal(id, secret); err == nil {
		t.Error("sealed without a key")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := keys.Open(id, changed); !errors.Is(err, webhook.ErrSealed) && !errors.Is(err, webhook.ErrUnknownKey) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := keys.Open(id, sealed[:i]); !errors.Is(err, webhook.ErrSealed) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

func TestReseal(t *testing.T) {
	t.Parallel()
	id, secret := uuid.New(), webhook.NewSecret()
	before, both, after := parseKeys(t, keyA), parseKeys(t, keyB, keyA), parseKeys(t, keyB)
	sealed := seal(t, before, id, secret)
	if got, err := both.Open(id, sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("with the older key: %x, %v", got, err)
	}
	again, changed, err := both.Reseal(id, sealed)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if got, err := after.Open(id, again); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("without the older key: %x, %v", got, err)
	}
	if same, changed, err := both.Reseal(id, again); err != nil || changed || !bytes.Equal(same, again) {
		t.Errorf("once more: changed %v, %v", changed, err)
	}
	if _, changed, err := both.Reseal(uuid.New(), sealed); !errors.Is(err, webhook.ErrSealed) || changed {
		t.Errorf("as another webhook: changed %v, %v", changed, err)
	}
	if _, changed, err := after.Reseal(id, sealed); !errors.Is(err, webhook.ErrUnknownKey) || changed {
		t.Errorf("without the key: changed %v, %v", changed, err)
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	keys := parseKeys(t, keyA, keyB)
	var printed bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&printed, verb+"\n", keys)
		fmt.Fprintf(&printed, verb+"\n", &keys)
		fmt.Fprintf(&printed, verb+"\n", struct{ Keys webhook.Keys }{keys})
		fmt.Fprintf(&printed, verb+"\n", struct{ keys webhook.Keys }{keys}) // fmt does not call methods of what is not exported
	}
	slog.New(slog.NewTextHandler(&printed, nil)).Info("text", "keys", keys, "config", struct{ Keys webhook.Keys }{keys})
	slog.New(slog.NewJSONHandler(&printed, nil)).Info("json", "keys", keys, "config", struct{ Keys webhook.Keys }{keys})
	for _, form := range []string{"AAAAAAAA", "BBBBBBBB", "41414141", "42424242", "65 65 65", "66 66 66", "0x41, 0x41", keyA[:8], keyB[:8]} {
		if strings.Contains(printed.String(), form) {
			t.Errorf("%s is in what was printed:\n%s", form, &printed)
		}
	}
	if got := fmt.Sprint(keys); got != "2 keys" {
		t.Errorf("printed as %s", got)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	secret := webhook.NewSecret()
	if len(secret) != 32 || bytes.Equal(secret, webhook.NewSecret()) {
		t.Errorf("%d bytes", len(secret))
	}
	text, ok := strings.CutPrefix(webhook.FormatSecret(secret), "whsec_")
	if got, err := base64.StdEncoding.DecodeString(text); !ok || err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%s, %v", text, err)
	}
}
