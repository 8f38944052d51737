package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/keyset"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/sqlite"
	"github.com/clientapps/clientapps/store/tenant"
	"github.com/clientapps/clientapps/store/tokencache"
	"github.com/clientapps/clientapps/store/tokenusage"
)

// Token is an API token without its secret, of which only the SHA-256 is stored.
type Token struct {
	ID            uuid.UUID
	Name          string
	Hash          []byte
	PreviousHash  *[]byte    // of the secret before the last rotation; nil: that secret ended with the rotation
	PreviousUntil *time.Time // when that secret ends
	Scopes        string     // separated by spaces
	AllClients    bool
	CreatedBy     *uuid.UUID // the token that made it; nil: the command
	CreatedAt     time.Time  `gorm:"autoCreateTime:false"`
	ExpiresAt     *time.Time // nil: never
	LastUsedAt    *time.Time // to the minute; nil: not used
	RevokedAt     *time.Time // nil: not revoked

	ClientIDs []uuid.UUID `gorm:"-"` // what the token covers unless AllClients, in order
	// FromProvider is set for an access token of an identity provider, which is in no table.
	FromProvider bool `gorm:"-"`

	secret     tokencache.Hash  // of the secret that Authenticate was called with
	secretEnds *time.Time       // nil: with the token
	usage      *tokenusage.Mark // nil if Authenticate has not returned it
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

// exceeds reports whether the token has a scope, a client or a later expiry than the other one. Access tokens of an identity provider
// are renewed all the time, so their expiry bounds nothing.
func (t *Token) exceeds(other *Token) bool {
	for scope := range strings.FieldsSeq(t.Scopes) {
		if !other.HasScope(scope) {
			return true
		}
	}
	if !other.AllClients {
		covered := make(map[uuid.UUID]bool, len(other.ClientIDs))
		for _, id := range other.ClientIDs {
			covered[id] = true
		}
		if t.AllClients || slices.ContainsFunc(t.ClientIDs, func(id uuid.UUID) bool { return !covered[id] }) {
			return true
		}
	}
	return other.ExpiresAt != nil && !other.FromProvider && (t.ExpiresAt == nil || t.ExpiresAt.After(*other.ExpiresAt))
}

// ended returns ErrRevokedToken or ErrExpiredToken if the token is no longer valid.
func (t *Token) ended(now time.Time) error {
	switch {
	case t.RevokedAt != nil:
		return ErrRevokedToken
	case t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
		return ErrExpiredToken
	}
	return nil
}

// accepts reports whether a secret with this hash is good for the token.
func (t *Token) accepts(hash tokencache.Hash, now time.Time) bool {
	if bytes.Equal(t.Hash, hash[:]) {
		return true
	}
	return t.PreviousHash != nil && bytes.Equal(*t.PreviousHash, hash[:]) && now.Before(*t.PreviousUntil)
}

// hashes returns the hashes of the token's secrets.
func (t *Token) hashes() []tokencache.Hash {
	all := []tokencache.Hash{tokencache.Hash(t.Hash)}
	if t.PreviousHash != nil {
		all = append(all, tokencache.Hash(*t.PreviousHash))
	}
	return all
}

// Authenticate returns the token that has this secret. ErrUnknownToken covers expired, revoked and replaced ones too. A token that
// another process has revoked or rotated stays good for at most Config.TokenCacheTTL. UnavailableError with ReasonTokens says that the
// token is not remembered, and that too many others wait to be looked up.
func (s *Store) Authenticate(ctx context.Context, secret string) (*Token, error) {
	hash := tokencache.Hash(sha256.Sum256([]byte(secret)))
	token, ok := s.tokens.Get(hash)
	if !ok {
		var err error
		if token, err = s.lookUpToken(ctx, hash); err != nil {
			return nil, err
		}
	}
	if token == nil {
		return nil, ErrUnknownToken
	}
	now := s.now()
	if err := token.ended(now); err != nil {
		return nil, err
	}
	if token.secretEnds != nil && !now.Before(*token.secretEnds) {
		return nil, ErrReplacedSecret
	}
	token.usage.Note(now)
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

// findTokens reads the tokens that have or had secrets with these hashes, and which clients they cover.
func (s *Store) findTokens(ctx context.Context, hashes []tokencache.Hash) (map[tokencache.Hash]*Token, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var tokens []Token
	sums := make([][]byte, len(hashes))
	for i := range hashes {
		sums[i] = hashes[i][:]
	}
	db := s.reader.WithContext(ctx)
	if err := whereIn(db, "hash", sums).Or(whereIn(db, "previous_hash", sums)).Find(&tokens).Error; err != nil {
		return nil, s.translate("find tokens", err)
	}
	if err := loadClientIDs(db, tokens); err != nil {
		return nil, s.translate("find tokens", err)
	}
	found := make(map[tokencache.Hash]*Token, len(tokens))
	for i := range tokens {
		token := &tokens[i]
		token.secret, token.usage = tokencache.Hash(token.Hash), s.usage.Mark(token.ID, token.LastUsedAt)
		found[token.secret] = token
		if token.PreviousHash != nil {
			previous := *token
			previous.secret, previous.secretEnds = tokencache.Hash(*token.PreviousHash), token.PreviousUntil
			found[previous.secret] = &previous
		}
	}
	return found, nil
}

// loadClientIDs sets which clients the tokens cover.
func loadClientIDs(db *gorm.DB, tokens []Token) error {
	byID, ids := make(map[uuid.UUID]*Token, len(tokens)), make([]uuid.UUID, len(tokens))
	for i := range tokens {
		byID[tokens[i].ID], ids[i] = &tokens[i], tokens[i].ID
	}
	if len(tokens) == 0 {
		return nil
	}
	var covered []TokenClient
	clients := tenant.CrossTenant(db, "a token says which clients it covers")
	if err := whereIn(clients, "token_id", ids).Order("client_id").Find(&covered).Error; err != nil {
		return err
	}
	for _, c := range covered {
		byID[c.TokenID].ClientIDs = append(byID[c.TokenID].ClientIDs, c.ClientID)
	}
	return nil
}

// writeUsage writes that tokens were used in a minute. A later use that is written already stays.
func (s *Store) writeUsage(ctx context.Context, minute time.Time, ids []uuid.UUID) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return whereIn(s.writer.WithContext(ctx).Model(&Token{}), "id", ids).
		Where("(last_used_at IS NULL OR last_used_at < ?)", minute).Updates(map[string]any{"last_used_at": minute}).Error
}

// visibleTo selects the tokens whose clients the other token covers. A token without clients is visible to itself, to its creator and
// to tokens for all clients. A nil token is the command, which sees all.
func visibleTo(q *gorm.DB, by *Token) *gorm.DB {
	if by == nil || by.AllClients {
		return q
	}
	const clients = "EXISTS (SELECT 1 FROM token_clients AS c WHERE c.token_id = tokens.id"
	q = tenant.CrossTenant(q, "a token sees the tokens whose clients it covers").
		Where("NOT all_clients").Where(clients+") OR created_by = ? OR id = ?", by.ID, by.ID)
	covered := append([]uuid.UUID{}, by.ClientIDs...) // never nil, which SQLite gets as NULL: nothing would be outside of it
	if q.Name() == postgres.Name {
		return q.Where("NOT "+clients+" AND c.client_id <> ALL(?))", postgres.Array{Values: covered})
	}
	return q.Where("NOT "+clients+" AND c.client_id NOT IN (SELECT value FROM json_each(?)))", sqlite.Array{Values: covered})
}

var tokenListing = listing[Token]{
	Keys: map[Column]sortKey[Token]{
		ColumnCreatedAt: keyset.TimeKey("created_at", func(t Token) time.Time { return t.CreatedAt }),
	},
	TieColumn:       "id",
	TieBreaker:      func(t Token) string { return t.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

// ListTokens returns one page of the tokens that by covers, revoked and expired ones too.
func (s *Store) ListTokens(ctx context.Context, by *Token, p Page) (List[Token], error) {
	list, err := tokenListing.Page(ctx, visibleTo(s.reader, by), p, nil)
	if err == nil {
		err = loadClientIDs(s.reader.WithContext(ctx), list.Rows)
	}
	return list, s.translate("list tokens", err)
}

// AllTokens returns every token, revoked and expired ones too, oldest first.
func (s *Store) AllTokens(ctx context.Context) ([]Token, error) {
	var tokens []Token
	err := s.reader.WithContext(ctx).Order("created_at, id").Find(&tokens).Error
	if err == nil {
		err = loadClientIDs(s.reader.WithContext(ctx), tokens)
	}
	return tokens, s.translate("list tokens", err)
}

// GetToken returns a token that by covers, or NotFoundError.
func (s *Store) GetToken(ctx context.Context, by *Token, id uuid.UUID) (Token, error) {
	tokens := make([]Token, 0, 1)
	err := visibleTo(s.reader.WithContext(ctx), by).Where("id = ?", id).Find(&tokens).Error
	if err == nil && len(tokens) == 0 {
		return Token{}, &NotFoundError{Kind: KindToken, ID: id}
	}
	if err == nil {
		err = loadClientIDs(s.reader.WithContext(ctx), tokens)
	}
	if err != nil {
		return Token{}, s.translate("get token", err)
	}
	return tokens[0], nil
}

// getTokenToChange is GetToken for a change of the token. ErrExceedsToken says that it has something that by lacks.
func (s *Store) getTokenToChange(ctx context.Context, by *Token, id uuid.UUID) (Token, error) {
	token, err := s.GetToken(ctx, by, id)
	if err == nil && by != nil && token.exceeds(by) {
		err = ErrExceedsToken
	}
	return token, err
}

// CreateToken stores a token for a secret, which another token makes, or the command if by is nil. ID, Hash, CreatedBy and CreatedAt are
// set here. Its clients must exist: ReferenceError. With a by, its expiry must be in the future (PastError), it must not have more than
// by has (ErrExceedsToken), and by must still be good (ErrUnknownToken).
func (s *Store) CreateToken(ctx context.Context, by *Token, secret string, token Token) (Token, error) {
	hash := tokencache.Hash(sha256.Sum256([]byte(secret)))
	token.ID, token.Hash, token.CreatedAt = uuid.New(), hash[:], s.now()
	slices.SortFunc(token.ClientIDs, compareIDs)
	token.ClientIDs = slices.Compact(token.ClientIDs)
	if by != nil {
		if token.ExpiresAt != nil && !token.ExpiresAt.After(token.CreatedAt) {
			return Token{}, &PastError{Field: "expires_at"}
		}
		if token.exceeds(by) {
			return Token{}, ErrExceedsToken
		}
		token.CreatedBy = &by.ID
	}
	err := s.inTx(ctx, tokenShare, exists(&Token{}, token.ID), func(tx *gorm.DB) error {
		if _, err := s.lockTokens(tx, by); err != nil {
			return err
		}
		if err := tx.Create(&token).Error; err != nil {
			return err
		}
		// With a row of tokens written: whoever erases a client waits for the grants of this transaction.
		if err := checkClients(tx, token.ClientIDs); err != nil {
			return err
		}
		return insertNew(tenant.CrossTenant(tx, "a token may cover many clients"), token.grants())
	})
	if err != nil {
		s.forgetIfEnded(by, err)
		return Token{}, s.translate("create token", err)
	}
	s.tokens.Forget(hash)
	return token, nil
}

// checkClients returns ReferenceError unless all clients exist.
func checkClients(tx *gorm.DB, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	var known []uuid.UUID
	if err := whereIn(tx.Model(&Client{}).Where("deleting_since IS NULL"), "id", ids).Order("id").Pluck("id", &known).Error; err != nil {
		return err
	}
	for i, id := range ids { // in order, too
		if i >= len(known) || known[i] != id {
			return &ReferenceError{Field: "client_ids", ID: id}
		}
	}
	return nil
}

// grants returns a row for each client of the token.
func (t *Token) grants() []TokenClient {
	rows := make([]TokenClient, len(t.ClientIDs))
	for i, id := range t.ClientIDs {
		rows[i] = TokenClient{TokenID: t.ID, ClientID: id}
	}
	return rows
}

// lockTokens locks the row of the token that makes a change, and of others, in the order of their ids, and returns the others by id.
// It refuses a change by a token that has ended, or whose secret has: what is cached for its requests may be older. A nil by is the
// command.
func (s *Store) lockTokens(tx *gorm.DB, by *Token, others ...uuid.UUID) (map[uuid.UUID]*Token, error) {
	ids := slices.Clone(others)
	if by != nil {
		ids = append(ids, by.ID)
	}
	if len(ids) == 0 {
		return nil, nil //nolint:nilnil // no map has no tokens
	}
	var rows []Token
	err := whereIn(tx.Clauses(forNoKeyUpdate), "id", ids).Order("id").Find(&rows).Error
	locked := make(map[uuid.UUID]*Token, len(rows))
	for i := range rows {
		locked[rows[i].ID] = &rows[i]
	}
	if err != nil || by == nil {
		return locked, err
	}
	now := s.now()
	row := locked[by.ID]
	if row == nil {
		return nil, ErrUnknownToken
	}
	if err := row.ended(now); err != nil {
		return nil, err
	}
	if !row.accepts(by.secret, now) {
		return nil, ErrReplacedSecret
	}
	return locked, nil
}

// forNoKeyUpdate locks rows that a transaction changes, or whose state its change depends on.
var forNoKeyUpdate = clause.Locking{Strength: "NO KEY UPDATE"}

// forgetIfEnded drops a token from the cache when a change has found out that it has ended.
func (s *Store) forgetIfEnded(by *Token, err error) {
	if by != nil && errors.Is(err, ErrUnknownToken) {
		s.tokens.Forget(by.secret)
	}
}

// RotateToken gives a token a new secret. The secret that it has stays good for the overlap, and no longer than the token; one that is
// still good from the rotation before ends at once. Errors are NotFoundError, ErrExceedsToken and EndedTokenError, and ErrUnknownToken
// when by has ended meanwhile.
func (s *Store) RotateToken(ctx context.Context, by *Token, id uuid.UUID, secret string, overlap time.Duration) (Token, error) {
	token, err := s.getTokenToChange(ctx, by, id)
	if err != nil {
		return Token{}, err
	}
	hash := tokencache.Hash(sha256.Sum256([]byte(secret)))
	clients := token.ClientIDs
	var old Token
	committed := func(db *gorm.DB) (bool, error) {
		var row Token
		err := db.Where("id = ?", id).Take(&row).Error
		switch {
		case err != nil || slices.Contains(row.hashes(), hash):
			return err == nil, err
		case bytes.Equal(row.Hash, old.Hash):
			return false, nil
		}
		return false, errCannotTell
	}
	err = s.inTx(ctx, tokenShare, committed, func(tx *gorm.DB) error {
		locked, err := s.lockTokens(tx, by, id)
		if err != nil {
			return err
		}
		now := s.now()
		old = *locked[id]
		if err := old.ended(now); err != nil {
			return &EndedTokenError{ID: id, cause: err}
		}
		token = old
		token.Hash, token.PreviousHash, token.PreviousUntil = hash[:], nil, nil
		if overlap > 0 {
			until := now.Add(overlap)
			token.PreviousHash, token.PreviousUntil = &old.Hash, &until
		}
		return tx.Model(&Token{}).Where("id = ?", id).Updates(map[string]any{
			"hash": token.Hash, "previous_hash": orNil(token.PreviousHash), "previous_until": token.PreviousUntil,
		}).Error
	})
	s.forgetIfEnded(by, err)
	if old.Hash != nil {
		s.tokens.Forget(append(old.hashes(), hash)...)
	}
	token.ClientIDs = clients
	return token, s.translate("rotate token", err)
}

// RevokeToken ends a token for good, and the tokens that it has made, those that they have made, and so on, and disables the
// webhooks that any of them has made, unless keepCreated. It returns the tokens that it has ended. Revoking a token again does the same for
// what is left. Errors are NotFoundError and ErrExceedsToken.
func (s *Store) RevokeToken(ctx context.Context, by *Token, id uuid.UUID, keepCreated bool) ([]Token, error) {
	if _, err := s.getTokenToChange(ctx, by, id); err != nil {
		return nil, err
	}
	var revoked []Token
	var hashes []tokencache.Hash
	// A revoked token makes no other, so that this holds for good once it does.
	committed := func(db *gorm.DB) (bool, error) {
		left, walked := 0, []uuid.UUID(nil)
		err := walkTokens(db, id, keepCreated, func(tokens []Token) error {
			for _, token := range tokens {
				walked = append(walked, token.ID)
				if token.RevokedAt == nil {
					left++
				}
			}
			return nil
		})
		if err == nil && left == 0 && !keepCreated {
			return allCreatedByDisabled(db, walked)
		}
		return left == 0, err
	}
	err := s.inTx(ctx, tokenShare, committed, func(tx *gorm.DB) error {
		revoked, hashes = nil, nil
		now, walked := s.now(), []uuid.UUID(nil)
		// The rows of a token's children are read after the token is locked and marked: a child in the making holds the token's row.
		err := walkTokens(tx.Clauses(forNoKeyUpdate), id, keepCreated, func(tokens []Token) error {
			var ids []uuid.UUID
			for _, token := range tokens {
				hashes, walked = append(hashes, token.hashes()...), append(walked, token.ID)
				if token.RevokedAt == nil {
					token.RevokedAt = &now
					ids, revoked = append(ids, token.ID), append(revoked, token)
				}
			}
			if len(ids) == 0 {
				return nil
			}
			return whereIn(tx.Model(&Token{}), "id", ids).Updates(map[string]any{"revoked_at": now}).Error
		})
		if err == nil && !keepCreated {
			err = s.disableCreatedBy(tx, walked)
		}
		return err
	})
	s.tokens.Forget(hashes...)
	if err != nil {
		return nil, s.translate("revoke token", err)
	}
	return revoked, nil
}

// walkTokens calls visit with a token, and unless alone with the tokens that it has made, with those that they have made, and so on.
func walkTokens(db *gorm.DB, id uuid.UUID, alone bool, visit func([]Token) error) error {
	db = db.Session(&gorm.Session{})
	level := db.Where("id = ?", id)
	for {
		var tokens []Token
		if err := level.Order("id").Find(&tokens).Error; err != nil || len(tokens) == 0 {
			return err
		}
		if err := visit(tokens); err != nil || alone {
			return err
		}
		ids := make([]uuid.UUID, len(tokens))
		for i := range tokens {
			ids[i] = tokens[i].ID
		}
		level = whereIn(db, "created_by", ids)
	}
}
