package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/tenant"
)

// Token is an API token without its secret, of which only the SHA-256 is stored.
type Token struct {
	ID         uuid.UUID
	Name       string
	Hash       []byte
	Scopes     string // separated by spaces
	AllClients bool
	CreatedAt  time.Time  `gorm:"autoCreateTime:false"`
	ExpiresAt  *time.Time // nil: never
	RevokedAt  *time.Time // nil: not revoked

	ClientIDs []uuid.UUID `gorm:"-"` // what the token covers unless AllClients
}

// TokenClient lets a token act for a client.
type TokenClient struct {
	TokenID  uuid.UUID
	ClientID uuid.UUID
}

// LogValue implements slog.LogValuer: a log may name a token, and no more.
func (t Token) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", t.ID.String()), slog.String("name", t.Name))
}

// HasScope says whether the token carries the scope.
func (t *Token) HasScope(scope string) bool {
	for s := range strings.SplitSeq(t.Scopes, " ") {
		if s == scope {
			return true
		}
	}
	return false
}

// Covers says whether the token may act for the client.
func (t *Token) Covers(client uuid.UUID) bool {
	return t.AllClients || slices.Contains(t.ClientIDs, client)
}

// HashToken is what is stored of a secret: its SHA-256.
func HashToken(secret string) []byte {
	hash := sha256.Sum256([]byte(secret))
	return hash[:]
}

type tokenHash [sha256.Size]byte

const (
	tokenPrefix   = "capp_"
	tokenSecret   = 43 // base 62 digits of 256 bits
	tokenChecksum = 6  // base 62 digits of a CRC-32
	tokenCached   = 10_000
)

// NewTokenSecret returns 256 random bits behind a recognizable prefix and before a checksum, so that scanners find leaked
// tokens and a mistyped one costs no query.
func NewTokenSecret() (string, error) {
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	digits := new(big.Int).SetBytes(raw[:]).Text(62)
	body := tokenPrefix + strings.Repeat("0", tokenSecret-len(digits)) + digits
	sum := tokenSum(body)
	return body + string(sum[:]), nil
}

// WellFormedToken says whether the text has the form and the checksum of a token.
func WellFormedToken(secret string) bool {
	if len(secret) != len(tokenPrefix)+tokenSecret+tokenChecksum || !strings.HasPrefix(secret, tokenPrefix) {
		return false
	}
	body := secret[:len(secret)-tokenChecksum]
	sum := tokenSum(body)
	return secret[len(body):] == string(sum[:])
}

// likeToken finds tokens in a text, and what is left of one that was cut off: ours, and the JWTs of identity providers.
var likeToken = regexp.MustCompile(tokenPrefix + `[0-9A-Za-z]{8,}|` + jwtPrefix + `[0-9A-Za-z_-]{8,}(\.[0-9A-Za-z_-]*){0,4}`)

const jwtPrefix = "eyJ" // the beginning of a JSON object in base64

// HasToken says whether a text shows a token, or something like one.
func HasToken(text string) bool {
	return (strings.Contains(text, tokenPrefix) || strings.Contains(text, jwtPrefix)) && likeToken.MatchString(text)
}

// RedactTokens hides the tokens in a text.
func RedactTokens(text string) string {
	if !HasToken(text) {
		return text
	}
	return likeToken.ReplaceAllStringFunc(text, func(token string) string {
		if strings.HasPrefix(token, tokenPrefix) {
			return tokenPrefix + "***"
		}
		return jwtPrefix + "***"
	})
}

// TokenPrefix is as much of a token as may be shown: enough to find its owner's copy of it, and of no use otherwise. It is
// empty for what is no token.
func TokenPrefix(secret string) string {
	if !WellFormedToken(secret) {
		return ""
	}
	return secret[:len(tokenPrefix)+4]
}

const base62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" // the digits of big.Int.Text

func tokenSum(body string) (digits [tokenChecksum]byte) {
	sum := crc32.ChecksumIEEE([]byte(body))
	for i := range digits {
		digits[tokenChecksum-1-i] = base62[sum%62]
		sum /= 62
	}
	return digits
}

func newTokenCache(ttl time.Duration) (*otter.Cache[tokenHash, *Token], error) {
	return otter.New(&otter.Options[tokenHash, *Token]{
		MaximumSize:      tokenCached,
		ExpiryCalculator: otter.ExpiryWriting[tokenHash, *Token](ttl),
	})
}

// tokenMemory remembers tokens for Config.TokenTTL. Those that there are not have a place of their own, so that inventing
// them drives out none that there is.
type tokenMemory struct {
	known, unknown *otter.Cache[tokenHash, *Token]
}

func newTokenMemory(ttl time.Duration) (tokenMemory, error) {
	known, err := newTokenCache(ttl)
	if err != nil {
		return tokenMemory{}, err
	}
	unknown, err := newTokenCache(ttl)
	return tokenMemory{known, unknown}, err
}

// get returns a token that is remembered; nil with true says that there is none.
func (m tokenMemory) get(hash tokenHash) (*Token, bool) {
	if token, ok := m.known.GetIfPresent(hash); ok {
		return token, true
	}
	return m.unknown.GetIfPresent(hash)
}

// set remembers a token, or with nil that there is none: that costs one look-up in a while, not one a request.
func (m tokenMemory) set(hash tokenHash, token *Token) {
	if token != nil {
		m.known.Set(hash, token)
	} else {
		m.unknown.Set(hash, nil)
	}
}

func (m tokenMemory) forget(hash tokenHash) {
	m.known.Invalidate(hash)
	m.unknown.Invalidate(hash)
}

// Authenticate returns the token that has this secret. ErrUnknownToken also stands for expired and revoked ones. A token
// revoked by another process stays good for at most Config.TokenTTL. UnavailableError with ReasonTokens says that the token
// is not remembered, and that too many others wait to be looked up.
func (s *Store) Authenticate(ctx context.Context, secret string) (*Token, error) {
	hash := tokenHash(sha256.Sum256([]byte(secret)))
	token, ok := s.tokens.get(hash)
	if ok {
		s.counts.tokenHits.Add(1)
	} else {
		s.counts.tokenMisses.Add(1)
		var err error
		if token, err = s.lookUpToken(ctx, hash); err != nil {
			return nil, err
		}
	}
	switch {
	case token == nil:
		return nil, ErrUnknownToken
	case token.RevokedAt != nil:
		return nil, ErrRevokedToken
	case token.ExpiresAt != nil && !s.now().Before(*token.ExpiresAt):
		return nil, ErrExpiredToken
	}
	return token, nil
}

// lookUpToken returns nil for an unknown hash.
func (s *Store) lookUpToken(ctx context.Context, hash tokenHash) (*Token, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	token, err := s.lookups.lookUp(ctx, hash, s.tokens.set)
	return token, s.translate("find token", err)
}

// CreateToken stores a token for a secret. Its clients must exist (NotFoundError) unless it covers all of them; ID, Hash
// and CreatedAt are set here.
func (s *Store) CreateToken(ctx context.Context, secret string, token Token) (Token, error) {
	hash := tokenHash(sha256.Sum256([]byte(secret)))
	token.ID, token.Hash, token.CreatedAt = uuid.New(), hash[:], s.now()
	err := s.inTx(ctx, tokenShare, nil, func(tx *gorm.DB) error {
		if err := tx.Create(&token).Error; err != nil {
			return err
		}
		for _, id := range token.ClientIDs {
			if err := tx.Where("id = ?", id).Take(&Client{}).Error; errors.Is(err, gorm.ErrRecordNotFound) {
				return &NotFoundError{Kind: KindClient, ID: id}
			} else if err != nil {
				return err
			}
			if err := tenant.Of(tx, id).Create(&TokenClient{TokenID: token.ID, ClientID: id}).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Token{}, s.translate("create token", err)
	}
	s.lookups.forget(func() { s.tokens.forget(hash) })
	return token, nil
}

// ListTokens returns every token, revoked and expired ones too, oldest first.
func (s *Store) ListTokens(ctx context.Context) ([]Token, error) {
	var tokens []Token
	if err := s.read.WithContext(ctx).Order("created_at, id").Find(&tokens).Error; err != nil {
		return nil, s.translate("list tokens", err)
	}
	var clients []TokenClient
	covered := tenant.CrossTenant(s.read.WithContext(ctx), "the command lists all tokens with their clients")
	if err := covered.Order("client_id").Find(&clients).Error; err != nil {
		return nil, s.translate("list tokens", err)
	}
	byToken := map[uuid.UUID][]uuid.UUID{}
	for _, c := range clients {
		byToken[c.TokenID] = append(byToken[c.TokenID], c.ClientID)
	}
	for i := range tokens {
		tokens[i].ClientIDs = byToken[tokens[i].ID]
	}
	return tokens, nil
}

// RevokeToken ends a token for good. Revoking it again changes nothing. NotFoundError when there is no such token.
func (s *Store) RevokeToken(ctx context.Context, id uuid.UUID) error {
	var token Token
	err := s.read.WithContext(ctx).Where("id = ?", id).Take(&token).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return &NotFoundError{Kind: KindToken, ID: id}
	}
	if err == nil {
		revoked := func(db *gorm.DB) (bool, error) {
			var n int64
			err := db.Model(&Token{}).Where("id = ? AND revoked_at IS NOT NULL", id).Count(&n).Error
			return n > 0, err
		}
		err = s.inTx(ctx, tokenShare, revoked, func(tx *gorm.DB) error {
			return tx.Model(&Token{}).Where("id = ? AND revoked_at IS NULL", id).
				Updates(map[string]any{"revoked_at": s.now()}).Error
		})
	}
	if err != nil {
		return s.translate("revoke token", err)
	}
	s.lookups.forget(func() { s.tokens.forget(tokenHash(token.Hash)) })
	return nil
}
