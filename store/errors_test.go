package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestClosedStoreIsUnavailable(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, _ *store.Store) {
		s, err := store.Open(store.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		_, read := s.GetApp(t.Context(), pageApp)
		_, written := s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil)
		_, authenticated := s.Authenticate(t.Context(), "x")
		for _, err := range []error{read, written, authenticated, s.Ready(t.Context())} {
			if unavailable := (*store.UnavailableError)(nil); !errors.As(err, &unavailable) {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestCanceledRequestIsNoFault(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, read := s.GetApp(ctx, pageApp)
		_, written := s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnIsFavorite: true}, writer, nil)
		for _, err := range []error{read, written} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}
		if get(t, s, pageApp).IsFavorite {
			t.Error("a canceled patch was written")
		}
	})
}

func TestUnreachableDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, "postgres://somebody:secret-password@127.0.0.1:1/nowhere?sslmode=disable")
	_, err := s.GetApp(t.Context(), pageApp)
	if unavailable := (*store.UnavailableError)(nil); !errors.As(err, &unavailable) || strings.Contains(err.Error(), "secret-password") {
		t.Errorf("%v", err)
	}
	if err := s.Ready(t.Context()); err == nil {
		t.Error("a store without a database is ready")
	}
}

func TestDatabaseURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "clientapps.db", "sqlite://", "sqlite:x", "mysql://x", "http://x"} {
		if store.CheckURL(url) == nil {
			t.Errorf("the URL %q is accepted", url)
		}
		if _, err := store.Open(store.Config{URL: url}); err == nil {
			t.Errorf("Open accepts the URL %q", url)
		}
	}
	_, err := store.Open(store.Config{URL: "postgres://somebody:secret-password@host:not-a-port/db"})
	if err == nil || strings.Contains(err.Error(), "secret-password") {
		t.Errorf("%v", err)
	}
}
