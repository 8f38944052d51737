package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func TestSign(t *testing.T) {
	t.Parallel()
	const id = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	at, body := time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)
	secrets := [][]byte{NewSecret(), NewSecret()}
	header := http.Header{}
	sign(header, id, at, body, secrets)

	signatures := strings.Split(header.Get("webhook-signature"), " ")
	if len(header) != 3 || header.Get("webhook-id") != id || header.Get("webhook-timestamp") != "1614265330" || len(signatures) != len(secrets) {
		t.Fatalf("signed with %v", header)
	}
	for i, secret := range secrets {
		verifier, err := standardwebhooks.NewWebhook(FormatSecret(secret))
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.VerifyIgnoringTimestamp(body, header); err != nil {
			t.Errorf("secret %d: %v", i+1, err)
		}
		if want, err := verifier.Sign(id, at, body); err != nil || signatures[i] != want {
			t.Errorf("signature %d is %s, want %s, %v", i+1, signatures[i], want, err)
		}
		if verifier.VerifyIgnoringTimestamp(append([]byte(" "), body...), header) == nil {
			t.Error("another body is accepted")
		}
		other := header.Clone()
		other.Set("webhook-timestamp", "1614265331")
		if verifier.VerifyIgnoringTimestamp(body, other) == nil {
			t.Error("another time is accepted")
		}
	}
	if other, err := standardwebhooks.NewWebhookRaw(NewSecret()); err != nil || other.VerifyIgnoringTimestamp(body, header) == nil {
		t.Errorf("another secret is accepted, %v", err)
	}
}
