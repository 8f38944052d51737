package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy is a TCP proxy between a server and its database that can inject network faults.
type Proxy struct{ proxy *toxiproxy.Proxy }

// NewProxy starts a proxy that forwards everything.
func NewProxy(upstream string) (*Proxy, error) {
	engine := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{toxiproxy.NewProxy(engine, "database", "127.0.0.1:0", upstream)}
	return p, p.proxy.Start()
}

// Addr returns the proxy's address.
func (p *Proxy) Addr() string { return p.proxy.Listen }

// Refuse closes every connection, and refuses new ones until Heal.
func (p *Proxy) Refuse() { p.proxy.Stop() }

// Add applies a toxic of toxiproxy to existing and new connections until Heal. stream is "upstream" for data from the server and
// "downstream" for data from the database.
func (p *Proxy) Add(kind, stream string, attributes map[string]int) error {
	text, err := json.Marshal(map[string]any{
		"name": kind + "_" + stream, "type": kind, "stream": stream, "toxicity": 1, "attributes": attributes,
	})
	if err != nil {
		return err
	}
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(string(text))); err != nil {
		return fmt.Errorf("toxic %s: %w", text, err)
	}
	return nil
}

// Heal makes the proxy forward everything again.
func (p *Proxy) Heal(ctx context.Context) error {
	p.proxy.Toxics.ResetToxics(ctx)
	if p.proxy.Enabled {
		return nil
	}
	return p.proxy.Start()
}

// Close stops the proxy.
func (p *Proxy) Close() { p.proxy.Stop() }
