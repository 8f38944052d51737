package client_test

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/clientapps/clientapps/client"
)

const (
	deliveryID  = "6f1d2c3b-4a59-4687-9e0f-1a2b3c4d5e6f"
	changesBody = `{"type":"app.changed","timestamp":"2026-02-24T15:00:00.412Z","data":{"client_id":"aa7cf840-9ca9-46a3-9778-9015d6580d50","changes":[{` +
		`"id":"5f0c8f3e-6f0a-5b1e-9d0a-2b7c4d5e6f70","client_id":"aa7cf840-9ca9-46a3-9778-9015d6580d50","app_id":"f1a2b3c4-d5e6-7890-abcd-ef1234567890",` +
		`"catalog_app_id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","field":"is_approved","old_value":false,"new_value":true,` +
		`"actor":{"id":"0d9c8b7a-6f5e-4d3c-8b2a-190817263544","name":"nightly sync"},"request_id":"0f3c2b1a9d8e7f60","changed_at":"2026-02-24T15:00:00.000Z"}]}}`
	pingBody = `{"type":"ping","timestamp":"2026-02-24T15:00:00.412Z","data":{"webhook_id":"a241bc3f-bb17-5e2d-8e19-298eeb39497b"}}`
)

func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// delivered returns the headers of a delivery, signed by the library of Standard Webhooks.
func delivered(t *testing.T, at time.Time, body string, secrets ...string) http.Header {
	t.Helper()
	var signatures []string
	for _, secret := range secrets {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := hook.Sign(deliveryID, at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		signatures = append(signatures, signature)
	}
	header := http.Header{}
	header.Set(standardwebhooks.HeaderWebhookID, deliveryID)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return header
}

func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	secret, now := newSecret(), time.Now()
	header := delivered(t, now, changesBody, secret)
	got, err := client.VerifyWebhook(header, []byte(changesBody), secret)
	if err != nil || got.ID != deliveryID || got.Timestamp.Unix() != now.Unix() || got.Type != "app.changed" || got.Ping != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	if got.Changes.Data.ClientID != contoso || len(got.Changes.Data.Changes) != 1 {
		t.Fatalf("%+v", got.Changes)
	}
	change := got.Changes.Data.Changes[0]
	if change.Field != client.ChangeFieldIsApproved || string(*change.NewValue) != "true" || *change.AppID != slack {
		t.Errorf("%+v", change)
	}
	got, err = client.VerifyWebhook(delivered(t, now, pingBody, secret), []byte(pingBody), secret)
	if err != nil || got.Changes != nil || got.Ping.Data.WebhookID.String() != "a241bc3f-bb17-5e2d-8e19-298eeb39497b" {
		t.Errorf("%+v, %v", got, err)
	}
	newer := `{"type":"app.archived","timestamp":"2026-02-24T15:00:00.412Z","data":{}}`
	got, err = client.VerifyWebhook(delivered(t, now, newer, secret), []byte(newer), secret)
	if err != nil || got.Type != "app.archived" || got.Changes != nil || got.Ping != nil {
		t.Errorf("a type of a later version: %+v, %v", got, err)
	}
}

// While a secret is rotated, deliveries have two signatures, and a receiver may know either secret, or both.
func TestVerifyWebhookRotation(t *testing.T) {
	t.Parallel()
	older, newer, other := newSecret(), newSecret(), newSecret()
	both := delivered(t, time.Now(), pingBody, newer, older)
	onlyOlder := delivered(t, time.Now(), pingBody, older)
	unknown := delivered(t, time.Now(), pingBody, newer)
	unknown.Set("Webhook-Signature", "v1a,c2lnbmF0dXJl v2,"+strings.Repeat("A", 200)+" v1 "+unknown.Get("Webhook-Signature"))
	for name, test := range map[string]struct {
		header  http.Header
		secrets []string
		want    error
	}{
		"both, older known":  {both, []string{older}, nil},
		"both, newer known":  {both, []string{newer}, nil},
		"older, both known":  {onlyOlder, []string{newer, older}, nil},
		"older, newer known": {onlyOlder, []string{newer}, client.ErrWebhookSignature},
		"both, other known":  {both, []string{other}, client.ErrWebhookSignature},
		"unknown versions":   {unknown, []string{other, newer}, nil},
	} {
		if _, err := client.VerifyWebhook(test.header, []byte(pingBody), test.secrets...); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyWebhookAge(t *testing.T) {
	t.Parallel()
	secret, sent := newSecret(), time.Unix(1771945200, 0)
	header := delivered(t, sent, pingBody, secret)
	for later, want := range map[time.Duration]error{
		0:                                nil,
		5 * time.Minute:                  nil,
		-5 * time.Minute:                 nil,
		5*time.Minute + time.Nanosecond:  client.ErrWebhookTimestamp,
		-5*time.Minute - time.Nanosecond: client.ErrWebhookTimestamp,
		24 * 365 * time.Hour:             client.ErrWebhookTimestamp,
	} {
		if _, err := client.VerifyWebhookAt(sent.Add(later), header, []byte(pingBody), secret); !errors.Is(err, want) {
			t.Errorf("%v later: %v", later, err)
		}
	}
	if _, err := client.VerifyWebhook(header, []byte(pingBody), secret); !errors.Is(err, client.ErrWebhookTimestamp) {
		t.Errorf("now: %v", err)
	}
	// Somebody who does not know the secret learns nothing of the clock.
	if _, err := client.VerifyWebhook(header, []byte(pingBody), newSecret()); !errors.Is(err, client.ErrWebhookSignature) {
		t.Errorf("forged: %v", err)
	}
}

func TestVerifyWebhookForged(t *testing.T) {
	t.Parallel()
	secret := newSecret()
	good := delivered(t, time.Now(), pingBody, secret)
	signature := good.Get("Webhook-Signature")
	again := func(name string) func(http.Header) {
		return func(h http.Header) { h.Add(name, h.Get(name)) }
	}
	set := func(name, value string) func(http.Header) {
		return func(h http.Header) { h[http.CanonicalHeaderKey(name)] = []string{value} }
	}
	for name, change := range map[string]func(http.Header){
		"no id":                 func(h http.Header) { h.Del("webhook-id") },
		"no timestamp":          func(h http.Header) { h.Del("webhook-timestamp") },
		"no signature":          func(h http.Header) { h.Del("webhook-signature") },
		"empty id":              set("webhook-id", ""),
		"empty signature":       set("webhook-signature", ""),
		"two ids":               again("webhook-id"),
		"two timestamps":        again("webhook-timestamp"),
		"two signatures":        again("webhook-signature"),
		"joined ids":            set("webhook-id", deliveryID+", "+deliveryID),
		"joined signatures":     set("webhook-signature", "v1,AAAA, "+signature),
		"another id":            set("webhook-id", "0a9b8c7d-6e5f-4a3b-8c2d-1e0f9a8b7c6d"),
		"another time":          set("webhook-timestamp", strconv.FormatInt(time.Now().Unix()+60, 10)),
		"signed time":           set("webhook-timestamp", "+"+good.Get("webhook-timestamp")),
		"time with a zero":      set("webhook-timestamp", "0"+good.Get("webhook-timestamp")),
		"time with a fraction":  set("webhook-timestamp", good.Get("webhook-timestamp")+".0"),
		"time with a space":     set("webhook-timestamp", good.Get("webhook-timestamp")+" "),
		"huge time":             set("webhook-timestamp", strings.Repeat("9", 30)),
		"another version":       set("webhook-signature", "v2"+strings.TrimPrefix(signature, "v1")),
		"no version":            set("webhook-signature", strings.TrimPrefix(signature, "v1,")),
		"upper case version":    set("webhook-signature", "V"+strings.TrimPrefix(signature, "v")),
		"half a signature":      set("webhook-signature", signature[:len(signature)/2]),
		"more than a signature": set("webhook-signature", signature+"A"),
		"without padding":       set("webhook-signature", strings.TrimRight(signature, "=")),
	} {
		header := good.Clone()
		change(header)
		if got, err := client.VerifyWebhook(header, []byte(pingBody), secret); !errors.Is(err, client.ErrWebhookSignature) || got != (client.Delivery{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, body := range []string{"", changesBody, pingBody + "\n", strings.ToUpper(pingBody)} {
		if _, err := client.VerifyWebhook(good, []byte(body), secret); !errors.Is(err, client.ErrWebhookSignature) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestVerifyWebhookSecrets(t *testing.T) {
	t.Parallel()
	secret := newSecret()
	header := delivered(t, time.Now(), pingBody, secret)
	for _, secrets := range [][]string{
		nil,
		{""},
		{"whsec_"},
		{"whsec_AAAA"},
		{strings.TrimPrefix(secret, "whsec_")},
		{secret + "\n"},
		{secret, ""},
		{secret, "whsec_?"},
		{strings.ToUpper(secret)},
	} {
		if _, err := client.VerifyWebhook(header, []byte(pingBody), secrets...); !errors.Is(err, client.ErrWebhookSecret) {
			t.Errorf("%q: %v", secrets, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Error("the error has the secret")
		}
	}
}

func TestVerifyWebhookBody(t *testing.T) {
	t.Parallel()
	secret := newSecret()
	for _, body := range []string{
		"", "ping", "null", "[]", `"ping"`, "{}", `{"type":"ping"}`, `{"type":null,"data":{}}`, `{"type":7,"data":{}}`, `{"type":"ping","data":null}`,
		pingBody + pingBody, `{"type":"ping","data":{}}`, `{"type":"ping","data":{"webhook_id":"everybody"}}`,
		`{"type":"app.changed","data":[]}`, `{"type":"app.changed","data":{}}`, `{"type":"app.changed","data":{"changes":null}}`,
	} {
		got, err := client.VerifyWebhook(delivered(t, time.Now(), body, secret), []byte(body), secret)
		if !errors.Is(err, client.ErrWebhookBody) || got != (client.Delivery{}) {
			t.Errorf("%q: %+v, %v", body, got, err)
		}
	}
}
