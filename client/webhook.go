package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The errors of VerifyWebhook, for errors.Is.
var (
	// ErrWebhookSecret says that the receiver is misconfigured: it has no secret, or one that no webhook has.
	ErrWebhookSecret = errors.New("no secret of a webhook: want whsec_ and base64")
	// ErrWebhookSignature says that a header is missing, doubled or malformed, or that no signature is right. Answer 401.
	ErrWebhookSignature = errors.New("the delivery is not signed with a secret of the webhook")
	// ErrWebhookTimestamp says that the signature is right but the attempt was made more than five minutes ago, or will be. Somebody
	// may repeat an old delivery, or a clock is wrong. Answer 401.
	ErrWebhookTimestamp = errors.New("the time of the delivery is more than five minutes off")
	// ErrWebhookBody says that the signature and its time are right but the body is not what the contract says. Answer 400.
	ErrWebhookBody = errors.New("the body of the delivery cannot be read")
)

// Delivery is what a webhook has delivered. Changes or Ping is set, or neither if Type is one that this version does not know.
type Delivery struct {
	ID        string    // the webhook-id: the same at each attempt, so that what came twice can be told
	Timestamp time.Time // when this attempt was made
	Type      string    // app.changed or ping
	Changes   *ChangesDelivery
	Ping      *PingDelivery
}

const (
	// webhookTolerance is how far the clocks of server and receiver may differ, and how long a delivery may be repeated by others.
	webhookTolerance = 5 * time.Minute
	// minWebhookSecret is in bytes (Standard Webhooks 1.0.0). Secrets of the server have 32.
	minWebhookSecret = 24
)

var (
	// A proxy may join two headers with a comma, which no id has.
	webhookID        = regexp.MustCompile(`^[!-+\--~]{1,256}$`)
	webhookTimestamp = regexp.MustCompile(`^[0-9]{1,12}$`)
)

// VerifyWebhook checks that a delivery comes from a server that has one of the secrets, which createWebhook and rotateWebhookSecret
// show, and that it was sent within five minutes (Standard Webhooks 1.0.0). Only then it reads the body, which must be the bytes
// that came. Pass the old and the new secret while a secret is rotated.
//
//	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
//	…
//	delivery, err := client.VerifyWebhook(r.Header, body, secret)
//
// The error is ErrWebhookSecret, ErrWebhookSignature, ErrWebhookTimestamp or ErrWebhookBody. A Type that this version does not know
// is no error: answer 204.
func VerifyWebhook(header http.Header, body []byte, secrets ...string) (Delivery, error) {
	return verifyWebhookAt(time.Now(), header, body, secrets...) //nolint:forbidigo // a client has no other clock
}

func verifyWebhookAt(now time.Time, header http.Header, body []byte, secrets ...string) (Delivery, error) {
	keys, err := webhookKeys(secrets)
	if err != nil {
		return Delivery{}, err
	}
	id, timestamp := singleValue(header, "Webhook-Id"), singleValue(header, "Webhook-Timestamp")
	signatures := singleValue(header, "Webhook-Signature")
	if !webhookID.MatchString(id) || !webhookTimestamp.MatchString(timestamp) || strings.Contains(signatures, ", ") {
		return Delivery{}, ErrWebhookSignature
	}
	if !isSigned(id+"."+timestamp+".", body, signatures, keys) {
		return Delivery{}, ErrWebhookSignature
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return Delivery{}, ErrWebhookSignature
	}
	at := time.Unix(seconds, 0)
	if at.Before(now.Add(-webhookTolerance)) || at.After(now.Add(webhookTolerance)) {
		return Delivery{}, ErrWebhookTimestamp
	}
	delivery := Delivery{ID: id, Timestamp: at}
	if err := delivery.read(body); err != nil {
		return Delivery{}, fmt.Errorf("%w: %w", ErrWebhookBody, err)
	}
	return delivery, nil
}

// webhookKeys returns the keys of secrets. Its error never has a secret.
func webhookKeys(secrets []string) ([][]byte, error) {
	keys := make([][]byte, 0, len(secrets))
	for _, secret := range secrets {
		text, prefixed := strings.CutPrefix(secret, "whsec_")
		key, err := base64.StdEncoding.DecodeString(text)
		if !prefixed || err != nil || len(key) < minWebhookSecret || strings.ContainsAny(text, "\r\n") {
			return nil, ErrWebhookSecret
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, ErrWebhookSecret
	}
	return keys, nil
}

// singleValue returns the value of a header that comes once, or nothing.
func singleValue(header http.Header, name string) string {
	if values := header.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}

// isSigned compares each signature with each key, in constant time. It ignores signatures of other versions than v1.
func isSigned(prefix string, body []byte, signatures string, keys [][]byte) bool {
	signed := false
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(prefix))
		mac.Write(body)
		want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		for signature := range strings.SplitSeq(signatures, " ") {
			equal := hmac.Equal([]byte(signature), want)
			signed = signed || equal
		}
	}
	return signed
}

var errWebhookField = errors.New("a field is missing")

func (d *Delivery) read(body []byte) error {
	var envelope struct {
		Type string           `json:"type"`
		Data *json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return err
	}
	if envelope.Type == "" || envelope.Data == nil {
		return errWebhookField
	}
	var err error
	switch d.Type = envelope.Type; d.Type {
	case string(ChangesDeliveryTypeAppChanged):
		if err = json.Unmarshal(body, &d.Changes); err == nil && d.Changes.Data.Changes == nil {
			err = errWebhookField
		}
	case string(PingDeliveryTypePing):
		if err = json.Unmarshal(body, &d.Ping); err == nil && d.Ping.Data.WebhookID == (UUID{}) {
			err = errWebhookField
		}
	}
	return err
}
