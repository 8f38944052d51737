// Package apitoken makes, checks and redacts the secrets of API tokens.
package apitoken

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"math/big"
	"regexp"
	"strings"
)

// Hash returns the SHA-256 of a secret. Only this is stored.
func Hash(secret string) []byte {
	hash := sha256.Sum256([]byte(secret))
	return hash[:]
}

const (
	prefix         = "capp_"
	secretDigits   = 43 // base 62 digits of 256 bits
	checksumDigits = 6  // base 62 digits of a CRC-32
)

// New returns a new secret: a prefix, 256 random bits and a checksum. Scanners can find leaked tokens by the prefix, and a mistyped token
// costs no query.
func New() (string, error) {
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	digits := new(big.Int).SetBytes(raw[:]).Text(62)
	body := prefix + strings.Repeat("0", secretDigits-len(digits)) + digits
	sum := checksum(body)
	return body + string(sum[:]), nil
}

// WellFormed reports whether the text has the form and the checksum of a token.
func WellFormed(secret string) bool {
	if len(secret) != len(prefix)+secretDigits+checksumDigits || !strings.HasPrefix(secret, prefix) {
		return false
	}
	body := secret[:len(secret)-checksumDigits]
	sum := checksum(body)
	return secret[len(body):] == string(sum[:])
}

// tokenPattern matches whole and truncated tokens: API tokens, and the JWTs of identity providers.
var tokenPattern = regexp.MustCompile(prefix + `[0-9A-Za-z]{8,}|` + jwtPrefix + `[0-9A-Za-z_-]{8,}(\.[0-9A-Za-z_-]*){0,4}`)

const jwtPrefix = "eyJ" // the beginning of a JSON object in base64

// IsIn reports whether a text contains a token, or something like one.
func IsIn(text string) bool {
	return (strings.Contains(text, prefix) || strings.Contains(text, jwtPrefix)) && tokenPattern.MatchString(text)
}

// Redact replaces the tokens in a text.
func Redact(text string) string {
	if !IsIn(text) {
		return text
	}
	return tokenPattern.ReplaceAllStringFunc(text, func(token string) string {
		if strings.HasPrefix(token, prefix) {
			return prefix + "***"
		}
		return jwtPrefix + "***"
	})
}

// Prefix returns the part of a token that may be shown, by which its owner can recognize the token. It returns "" for any other text.
func Prefix(secret string) string {
	if !WellFormed(secret) {
		return ""
	}
	return secret[:len(prefix)+4]
}

const base62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" // the digits of big.Int.Text

func checksum(body string) (digits [checksumDigits]byte) {
	sum := crc32.ChecksumIEEE([]byte(body))
	for i := range digits {
		digits[checksumDigits-1-i] = base62[sum%62]
		sum /= 62
	}
	return digits
}
