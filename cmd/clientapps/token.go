package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
)

// tokenRequest has the flags of token create.
type tokenRequest struct {
	name            string
	all             bool
	clients, scopes []string
	expires         *time.Duration // nil when not given; 0 is refused
}

func (p *process) tokenCreateCommand() *cobra.Command {
	var r tokenRequest
	c := p.command("create", "Create a token and print it on standard output; it is shown only once", forDatabase, func(ctx context.Context, cfg Config, _ []string) error {
		return p.tokenCreate(ctx, cfg, r)
	})
	flags := c.Flags()
	flags.StringVar(&r.name, "name", "", "what the token is for, 1 to 200 characters")
	flags.BoolVar(&r.all, "all-clients", false, "cover every client, future ones too")
	flags.Func("expires-in", "how long the token is valid, such as 720h (default: until revoked)", func(v string) error {
		d, err := time.ParseDuration(v)
		r.expires = &d
		return err
	})
	flags.StringArrayVar(&r.clients, "client", nil, "id of a client to cover; may be repeated")
	flags.StringArrayVar(&r.scopes, "scope", nil, "scope to grant; may be repeated: "+strings.Join(server.Scopes(), ", "))
	return c
}

func (p *process) tokenCreate(ctx context.Context, cfg Config, r tokenRequest) error {
	token, err := r.token()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return withSchema(ctx, cfg, func(s *store.Store) error {
		secret, err := apitoken.New()
		if err != nil {
			return err
		}
		created, err := s.CreateToken(ctx, nil, secret, token)
		if missing := (*store.ReferenceError)(nil); errors.As(err, &missing) {
			return &store.NotFoundError{Kind: store.KindClient, ID: missing.ID}
		}
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(p.stderr, "token %s: keep the following secret, it is not shown again\n", created.ID)
		_, err = fmt.Fprintln(p.stdout, secret)
		return err
	})
}

// token returns the requested token, or all problems of the request.
func (r tokenRequest) token() (store.Token, error) {
	problems := []error{schemas.CheckName("--name", r.name)}
	token := store.Token{Name: r.name, AllClients: r.all}
	for _, scope := range r.scopes {
		if !slices.Contains(server.Scopes(), scope) {
			problems = append(problems, fmt.Errorf("--scope %s is not one of %s", scope, strings.Join(server.Scopes(), ", ")))
		}
	}
	token.Scopes = strings.Join(slices.Compact(slices.Sorted(slices.Values(r.scopes))), " ")
	if token.Scopes == "" {
		problems = append(problems, errors.New("at least one --scope is needed"))
	}
	for _, text := range r.clients {
		id, err := uuid.Parse(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("--client %s is not a UUID", text))
		}
		if !slices.Contains(token.ClientIDs, id) {
			token.ClientIDs = append(token.ClientIDs, id)
		}
	}
	if r.all == (len(r.clients) > 0) {
		problems = append(problems, errors.New("either --client or --all-clients is needed"))
	}
	if r.expires != nil {
		if *r.expires <= 0 {
			problems = append(problems, errors.New("--expires-in must be positive"))
		}
		at := time.Now().Add(*r.expires).UTC().Truncate(time.Millisecond)
		token.ExpiresAt = &at
	}
	return token, errors.Join(problems...)
}

func (p *process) tokenListCommand() *cobra.Command {
	return p.command("list", "List the tokens, without their secrets", forDatabase, p.tokenList)
}

func (p *process) tokenList(ctx context.Context, cfg Config, _ []string) error {
	return withSchema(ctx, cfg, func(s *store.Store) error {
		tokens, err := s.AllTokens(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "ID\tNAME\tSCOPES\tCLIENTS\tCREATED\tLAST USED\tSTATE")
		for _, t := range tokens {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, strings.ReplaceAll(t.Scopes, " ", ","),
				coveredClients(t), t.CreatedAt.Format(time.RFC3339), formatLastUse(t), tokenState(t, time.Now()))
		}
		return w.Flush()
	})
}

func coveredClients(t store.Token) string {
	if t.AllClients {
		return "all"
	}
	ids := make([]string, len(t.ClientIDs))
	for i, id := range t.ClientIDs {
		ids[i] = id.String()
	}
	return strings.Join(ids, ",")
}

// formatLastUse formats a time that the store records to the minute, and some seconds late.
func formatLastUse(t store.Token) string {
	if t.LastUsedAt == nil {
		return "never"
	}
	return t.LastUsedAt.Format("2006-01-02T15:04Z")
}

func tokenState(t store.Token, now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked " + t.RevokedAt.Format(time.RFC3339)
	case t.ExpiresAt == nil:
		return "active"
	case t.ExpiresAt.After(now):
		return "expires " + t.ExpiresAt.Format(time.RFC3339)
	}
	return "expired " + t.ExpiresAt.Format(time.RFC3339)
}

// maxOverlap is the same as in the contract.
const maxOverlap = 7 * 24 * time.Hour

func (p *process) tokenRotateCommand() *cobra.Command {
	var overlap time.Duration
	c := p.command("rotate ID", "Give a token a new secret and print it on standard output; it is shown only once", forDatabase, func(ctx context.Context, cfg Config, args []string) error {
		return p.tokenRotate(ctx, cfg, args[0], overlap)
	})
	c.Flags().DurationVar(&overlap, "overlap", 0, "how long the old secret stays good, such as 24h, at most 168h (default: not at all)")
	return c
}

func (p *process) tokenRotate(ctx context.Context, cfg Config, text string, overlap time.Duration) error {
	id, err := tokenID(text)
	if overlap < 0 || overlap > maxOverlap {
		err = errors.Join(err, fmt.Errorf("%w: --overlap must be between 0 and 168h", errUsage))
	}
	if err != nil {
		return err
	}
	return withSchema(ctx, cfg, func(s *store.Store) error {
		secret, err := apitoken.New()
		if err != nil {
			return err
		}
		if _, err := s.RotateToken(ctx, nil, id, secret, overlap); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(p.stderr, "token %s: keep the following secret, it is not shown again\n", id)
		_, err = fmt.Fprintln(p.stdout, secret)
		return err
	})
}

func (p *process) tokenRevokeCommand() *cobra.Command {
	var keepCreated bool
	c := p.command("revoke ID", "Revoke a token, and the tokens that it has made", forDatabase, func(ctx context.Context, cfg Config, args []string) error {
		id, err := tokenID(args[0])
		if err != nil {
			return err
		}
		return withSchema(ctx, cfg, func(s *store.Store) error {
			_, err := s.RevokeToken(ctx, nil, id, keepCreated)
			return err
		})
	})
	c.Flags().BoolVar(&keepCreated, "keep-created", false, "keep the tokens that it has made")
	return c
}

func tokenID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		err = fmt.Errorf("%w: %s is not a UUID", errUsage, text)
	}
	return id, err
}
