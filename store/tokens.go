package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/tenant"
	"github.com/clientapps/clientapps/store/tokencache"
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

// LogValue implements slog.LogValuer: a log shows only the id and the name of a token.
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

// Authenticate returns the token that has this secret. ErrUnknownToken covers expired and revoked ones too. A token
// revoked by another process stays good for at most Config.TokenTTL. UnavailableError with ReasonTokens says that the token
// is not remembered, and that too many others wait to be looked up.
func (s *Store) Authenticate(ctx context.Context, secret string) (*Token, error) {
	hash := tokencache.Hash(sha256.Sum256([]byte(secret)))
	token, ok := s.tokens.Remembered(hash)
	if !ok {
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
func (s *Store) lookUpToken(ctx context.Context, hash tokencache.Hash) (*Token, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	token, err := s.tokens.LookUp(ctx, hash)
	if errors.Is(err, tokencache.ErrFull) {
		err = &UnavailableError{reason: ReasonTokens, cause: err}
	}
	return token, s.translate("find token", err)
}

// findTokens reads the tokens with these hashes, and which clients they cover.
func (s *Store) findTokens(ctx context.Context, hashes []tokencache.Hash) (map[tokencache.Hash]*Token, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var tokens []Token
	sums := make([][]byte, len(hashes))
	for i := range hashes {
		sums[i] = hashes[i][:]
	}
	if err := whereIn(s.read.WithContext(ctx), "hash", sums).Find(&tokens).Error; err != nil {
		return nil, s.translate("find tokens", err)
	}
	if len(tokens) == 0 {
		return nil, nil //nolint:nilnil // no map has no tokens
	}
	found, byID, ids := map[tokencache.Hash]*Token{}, map[uuid.UUID]*Token{}, make([]uuid.UUID, len(tokens))
	for i := range tokens {
		token := &tokens[i]
		found[tokencache.Hash(token.Hash)], byID[token.ID], ids[i] = token, token, token.ID
	}
	var covered []TokenClient
	clients := tenant.CrossTenant(s.read.WithContext(ctx), "a token says which clients it covers")
	if err := whereIn(clients, "token_id", ids).Order("client_id").Find(&covered).Error; err != nil {
		return nil, s.translate("find tokens", err)
	}
	for _, c := range covered {
		byID[c.TokenID].ClientIDs = append(byID[c.TokenID].ClientIDs, c.ClientID)
	}
	return found, nil
}

// CreateToken stores a token for a secret. Its clients must exist (NotFoundError) unless it covers all of them; ID, Hash
// and CreatedAt are set here.
func (s *Store) CreateToken(ctx context.Context, secret string, token Token) (Token, error) {
	hash := tokencache.Hash(sha256.Sum256([]byte(secret)))
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
	s.tokens.Forget(hash)
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
	s.tokens.Forget(tokencache.Hash(token.Hash))
	return nil
}
