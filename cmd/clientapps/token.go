package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/store"
)

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func tokenCreate(ctx context.Context, p *process, args []string) error {
	flags := flag.NewFlagSet("clientapps token create", flag.ContinueOnError)
	var scopes, clients list
	name := flags.String("name", "", "what the token is for, 1 to 200 characters")
	all := flags.Bool("all-clients", false, "cover every client, those of the future too")
	var expires *time.Duration // nil when not given; 0 would be a token that has expired
	flags.Func("expires-in", "how long the token is good for, such as 720h (default: until revoked)", func(v string) error {
		d, err := time.ParseDuration(v)
		expires = &d
		return err
	})
	flags.Var(&clients, "client", "id of a client to cover; may be repeated")
	flags.Var(&scopes, "scope", "scope to carry; may be repeated: "+strings.Join(server.Scopes(), ", "))
	cfg, err := loadConfig(p, flags, args)
	if err != nil {
		return err
	}
	token, err := newToken(*name, scopes, clients, *all, expires)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return withSchema(ctx, cfg, func(s *store.Store) error {
		secret, err := store.NewTokenSecret()
		if err != nil {
			return err
		}
		created, err := s.CreateToken(ctx, secret, token)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(p.stderr, "token %s: keep what follows, it is not shown again\n", created.ID)
		_, err = fmt.Fprintln(p.stdout, secret)
		return err
	})
}

// newToken reports everything that is wrong with what was asked for.
func newToken(name string, scopes, clients list, all bool, expires *time.Duration) (store.Token, error) {
	problems := []error{server.CheckName("--name", name)}
	token := store.Token{Name: name, AllClients: all}
	for _, scope := range scopes {
		if !slices.Contains(server.Scopes(), scope) {
			problems = append(problems, fmt.Errorf("--scope %s is none of %s", scope, strings.Join(server.Scopes(), ", ")))
		}
	}
	slices.Sort(scopes)
	token.Scopes = strings.Join(slices.Compact(scopes), " ")
	if token.Scopes == "" {
		problems = append(problems, errors.New("at least one --scope is needed"))
	}
	for _, text := range clients {
		id, err := uuid.Parse(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("--client %s is not a UUID", text))
		}
		if !slices.Contains(token.ClientIDs, id) {
			token.ClientIDs = append(token.ClientIDs, id)
		}
	}
	if all == (len(clients) > 0) {
		problems = append(problems, errors.New("either --client or --all-clients is needed"))
	}
	if expires != nil {
		if *expires <= 0 {
			problems = append(problems, errors.New("--expires-in must be positive"))
		}
		at := time.Now().Add(*expires).UTC().Truncate(time.Millisecond)
		token.ExpiresAt = &at
	}
	return token, errors.Join(problems...)
}

func tokenList(ctx context.Context, p *process, args []string) error {
	flags := flag.NewFlagSet("clientapps token list", flag.ContinueOnError)
	cfg, err := loadConfig(p, flags, args)
	if err != nil {
		return err
	}
	return withSchema(ctx, cfg, func(s *store.Store) error {
		tokens, err := s.ListTokens(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "ID\tNAME\tSCOPES\tCLIENTS\tCREATED\tSTATE")
		for _, t := range tokens {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, strings.ReplaceAll(t.Scopes, " ", ","),
				coverage(t), t.CreatedAt.Format(time.RFC3339), state(t, time.Now()))
		}
		return w.Flush()
	})
}

func coverage(t store.Token) string {
	if t.AllClients {
		return "all"
	}
	ids := make([]string, len(t.ClientIDs))
	for i, id := range t.ClientIDs {
		ids[i] = id.String()
	}
	return strings.Join(ids, ",")
}

func state(t store.Token, now time.Time) string {
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

func tokenRevoke(ctx context.Context, p *process, args []string) error {
	flags := flag.NewFlagSet("clientapps token revoke", flag.ContinueOnError)
	cfg, err := loadConfig(p, flags, args, "ID")
	if err != nil {
		return err
	}
	id, err := uuid.Parse(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("%w: %s is not a UUID", errUsage, flags.Arg(0))
	}
	return withSchema(ctx, cfg, func(s *store.Store) error { return s.RevokeToken(ctx, id) })
}
