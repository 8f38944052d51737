package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/clientapps/clientapps/bench/dataset"
)

// idleWebhooks is the number of webhooks of clients that have no changes.
const idleWebhooks = 10_000

// webhookVariants lists our server with webhooks, and what each has besides the idle ones: null is a webhook of all clients.
var webhookVariants = []struct{ name, client string }{
	{"ours-webhooks", ""}, {"ours-webhook-client", `"` + dataset.ClientID(0) + `"`}, {"ours-webhook-all", "null"},
}

// startWebhooks starts our server with webhooks, on a database of its own. client is that of the webhook with deliveries, as JSON;
// empty: there is none.
func (h *harness) startWebhooks(ctx context.Context, c *contender, client string) (err error) {
	var url string
	if url, c.token, err = h.database(ctx, strings.ReplaceAll(c.name, "-", "_"), h.size, "ours"); err != nil {
		return err
	}
	c.history = postgresHistory(url)
	key := base64.StdEncoding.EncodeToString([]byte("the key of a test, and no secret"))
	if err := h.serveOurs(ctx, c, "ours", url, "--webhook-key", key, "--webhook-allow-private=true"); err != nil {
		return err
	}
	admin := *c
	if admin.token, err = h.admin(ctx, "ours", url, "token", "create", "--name", "webhooks", "--all-clients",
		"--scope", "apps:read", "--scope", "webhooks:write"); err != nil {
		return err
	}
	receiver, received, err := h.startReceiver()
	if err != nil {
		return err
	}
	all := client
	if all == "" {
		all = "null"
	}
	made, err := admin.send(ctx, "POST", "/v2/webhooks", `{"url":"http://`+receiver+`/","client_id":`+all+`}`)
	var hook struct{ ID string }
	if err != nil || made.status != http.StatusCreated || json.Unmarshal([]byte(made.body), &hook) != nil {
		return fmt.Errorf("create a webhook: %d %s %w", made.status, made.body, err)
	}
	path := "/v2/webhooks/" + hook.ID
	if err := addIdleWebhooks(ctx, url); err != nil {
		return err
	}
	if client == "" {
		_, err := admin.send(ctx, "DELETE", path, "")
		return err
	}
	// What a slice leaves to deliver would slow the slices of others down.
	c.afterSlice = func(ctx context.Context) error {
		a, err := admin.send(ctx, "POST", path+"/replay", `{"since":"2999-01-01T00:00:00Z"}`)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("skip what is not delivered: %d %s", a.status, a.body)
		}
		slog.Info("delivered so far", "contender", c.name, "deliveries", received[0].Load(), "changes", received[1].Load())
		return err
	}
	return nil
}

// addIdleWebhooks copies the only webhook, for other clients.
func addIdleWebhooks(ctx context.Context, url string) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	_, err = db.Exec(ctx, `INSERT INTO webhooks (id, client_id, url, fields, status, secret, created_at, updated_at, version, position, key,
			failures, marked)
		SELECT gen_random_uuid(), gen_random_uuid(), url, fields, status, secret, created_at, updated_at, version, position, key,
			failures, marked
		FROM webhooks, generate_series(1, $1)`, idleWebhooks)
	if err == nil {
		_, err = db.Exec(ctx, "VACUUM (ANALYZE) webhooks")
	}
	return err
}

// startReceiver starts a receiver that answers 204, and counts deliveries and changes.
func (h *harness) startReceiver() (addr string, received *[2]atomic.Int64, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ended by Close
	if err != nil {
		return "", nil, err
	}
	received = &[2]atomic.Int64{}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20)) // half a delivery has fewer changes
		received[0].Add(1)
		received[1].Add(int64(bytes.Count(body, []byte(`"field":`))))
		w.WriteHeader(http.StatusNoContent)
	})}
	go func() { _ = server.Serve(listener) }() // ended by Close
	h.stops = append(h.stops, func() { _ = server.Close() })
	return listener.Addr().String(), received, nil
}
