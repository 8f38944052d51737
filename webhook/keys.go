package webhook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/uuid"
)

const (
	keyBytes    = 32 // AES-256
	secretBytes = 32
	// secretPrefix is that of Standard Webhooks.
	secretPrefix = "whsec_"
	// sealedFormat is the first byte of a sealed secret: a key id, a nonce and the text encrypted with AES-256-GCM follow.
	sealedFormat = 1
	sealedHeader = 1 + len(keyID{})
)

var (
	// ErrUnknownKey means that the key that encrypted a secret is not among the keys.
	ErrUnknownKey = errors.New("the key of this webhook's secret is not configured")
	// ErrSealed means that a sealed secret was changed, or belongs to another webhook.
	ErrSealed = errors.New("the stored secret of this webhook cannot be decrypted")

	errNoKey = errors.New("no key for the secrets of webhooks is configured")
)

// Keys encrypt the secrets of webhooks for the database. The first key encrypts, all of them decrypt. Printing or logging Keys shows no key.
type Keys struct {
	keys []key
}

// keyID is the beginning of the key's SHA-256.
type keyID [4]byte

type key struct {
	id   keyID
	aead cipher.AEAD // prefixes its own random nonce
}

// ParseKeys parses keys of 32 bytes in base64. Its errors never contain a key.
func ParseKeys(list []string) (Keys, error) {
	if len(list) == 0 {
		return Keys{}, errNoKey
	}
	keys := make([]key, 0, len(list))
	for i, text := range list {
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(raw) != keyBytes {
			return Keys{}, fmt.Errorf("key %d must be %d bytes in base64", i+1, keyBytes)
		}
		block, err := aes.NewCipher(raw)
		if err != nil {
			return Keys{}, fmt.Errorf("key %d: %w", i+1, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return Keys{}, fmt.Errorf("key %d: %w", i+1, err)
		}
		sum := sha256.Sum256(raw)
		id := keyID(sum[:])
		if other := slices.IndexFunc(keys, func(k key) bool { return k.id == id }); other >= 0 {
			return Keys{}, fmt.Errorf("key %d and key %d must differ", other+1, i+1)
		}
		keys = append(keys, key{id, aead})
	}
	return Keys{keys}, nil
}

// Enabled reports whether there is a key.
func (k Keys) Enabled() bool { return len(k.keys) > 0 }

// Seal encrypts the secret of a webhook with the first key. The result can be opened for this webhook only.
func (k Keys) Seal(webhookID uuid.UUID, secret []byte) ([]byte, error) {
	if len(k.keys) == 0 {
		return nil, errNoKey
	}
	first := k.keys[0]
	sealed := append([]byte{sealedFormat}, first.id[:]...)
	return first.aead.Seal(sealed, nil, secret, webhookID[:]), nil //nolint:gosec // the nonce is random: see key
}

// Open decrypts a sealed secret. It fails with ErrUnknownKey or ErrSealed.
func (k Keys) Open(webhookID uuid.UUID, sealed []byte) ([]byte, error) {
	i, err := k.find(sealed)
	if err != nil {
		return nil, err
	}
	secret, err := k.keys[i].aead.Open(nil, nil, sealed[sealedHeader:], webhookID[:])
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

// Reseal encrypts a sealed secret with the first key. It returns the secret unchanged if the first key has encrypted it already.
func (k Keys) Reseal(webhookID uuid.UUID, sealed []byte) (resealed []byte, changed bool, err error) {
	i, err := k.find(sealed)
	if err != nil || i == 0 {
		return sealed, false, err
	}
	secret, err := k.Open(webhookID, sealed)
	if err != nil {
		return sealed, false, err
	}
	if resealed, err = k.Seal(webhookID, secret); err != nil {
		return sealed, false, err
	}
	return resealed, true, nil
}

// find returns the index of the key that encrypted a secret.
func (k Keys) find(sealed []byte) (int, error) {
	if len(sealed) < sealedHeader || sealed[0] != sealedFormat {
		return 0, ErrSealed
	}
	id := keyID(sealed[1:])
	i := slices.IndexFunc(k.keys, func(k key) bool { return k.id == id })
	if i < 0 {
		return 0, ErrUnknownKey
	}
	return i, nil
}

// Format prints how many keys there are.
func (k Keys) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%d keys", len(k.keys)) }

// LogValue logs how many keys there are.
func (k Keys) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

// NewSecret makes the secret of a webhook.
func NewSecret() []byte {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return secret
}

// FormatSecret returns a secret in the form of Standard Webhooks, for its owner.
func FormatSecret(secret []byte) string {
	return secretPrefix + base64.StdEncoding.EncodeToString(secret)
}
